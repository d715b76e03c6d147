"""`/v1/invoices`."""

from dataclasses import replace
from functools import partial

from meterledger.simulator.billing.customers import MAX_CUSTOMER_FIELD
from meterledger.simulator.billing.cycle import upcoming
from meterledger.simulator.billing.invoice_body import invoice_body, line_body
from meterledger.simulator.billing.invoices import Invoice, InvoiceStatus
from meterledger.simulator.billing.invoicing import as_of, finalize
from meterledger.simulator.billing.subscriptions import Collection, Status, Subscription
from meterledger.simulator.endpoints.billing_parameters import (
    merged_metadata,
    optional_flag,
    optional_instant,
)
from meterledger.simulator.endpoints.subscription_parameters import MAX_DESCRIPTION
from meterledger.simulator.instants import DAY_SECONDS, HOUR_SECONDS
from meterledger.simulator.protocol.api_errors import NOT_FOUND, ApiError, missing_parameter
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.instant_range import range_names, read_range
from meterledger.simulator.protocol.paging import MAX_ID_LENGTH, PAGE_NAMES, list_page, read_page
from meterledger.simulator.protocol.parameters import Parameters
from meterledger.simulator.state.account import Account

LATEST_DEADLINE_SECONDS = 5 * 365 * DAY_SECONDS  # ahead of now

_LIST_NAMES = frozenset({"customer", "subscription", "status", "collection_method"})
_CHANGEABLE = frozenset({"auto_advance", "automatically_finalizes_at", "description"})


def get_invoice(request: ApiRequest) -> dict[str, object]:
    """Show one invoice; a draft as it would be if it were finalized now."""
    request.parameters.allow(())
    return _show(request.account, request.now, request.account.invoices.get(request.object_id))


def list_invoices(request: ApiRequest) -> dict[str, object]:
    """List the invoices, the newest first, all or those of a kind."""
    account, parameters = request.account, request.parameters
    parameters.allow(PAGE_NAMES.union(_LIST_NAMES, range_names("created")))
    customer = parameters.optional_text("customer", max_length=MAX_CUSTOMER_FIELD)
    subscription = parameters.optional_text("subscription", max_length=MAX_ID_LENGTH)
    status = parameters.optional_choice("status", tuple(InvoiceStatus))
    collection = parameters.optional_choice("collection_method", tuple(Collection))
    created = read_range(parameters, "created")
    if subscription is not None and customer is None:
        customer = account.subscriptions.given(subscription).customer
    chosen = [
        invoice
        for invoice in account.invoices.newest_first(customer)
        if subscription in (None, invoice.subscription)
        and status in (None, invoice.status)
        and collection in (None, invoice.collection)
        and created.holds(invoice.created)
    ]
    body = partial(_show, account, request.now)
    return list_page(chosen, body, read_page(parameters), url="/v1/invoices", kind="invoice")


def list_lines(request: ApiRequest) -> dict[str, object]:
    """List an invoice's lines."""
    request.parameters.allow(PAGE_NAMES)
    invoice = as_of(request.account, request.account.invoices.get(request.object_id), request.now)
    page = read_page(request.parameters)
    url = f"/v1/invoices/{invoice.id}/lines"
    return list_page(invoice.lines, partial(line_body, invoice), page, url=url, kind="line item")


def update_invoice(request: ApiRequest) -> dict[str, object]:
    """
    Change a draft's deadline, hold it open, or describe it; of a final one only metadata can change.

    Raises:
        ApiError: A parameter is bad, or the invoice is final.
    """
    account, parameters = request.account, request.parameters
    parameters.allow(_CHANGEABLE, ("metadata[", "expand["))
    invoice = account.invoices.get(request.object_id)
    changed = replace(invoice, metadata=merged_metadata(parameters, "metadata", invoice.metadata))
    if _CHANGEABLE & parameters.fields.keys():
        if invoice.status is not InvoiceStatus.DRAFT:
            raise ApiError(
                f"Invoice '{invoice.id}' is final and cannot be changed like this.",
                code="invoice_not_editable",
                executed=True,
            )
        changed = _rescheduled(parameters, changed, int(request.now))
        described = parameters.optional_text("description", max_length=MAX_DESCRIPTION)
        changed = replace(changed, description=described or invoice.description)
    return _show(account, request.now, account.invoices.put(changed))


def finalize_invoice(request: ApiRequest) -> dict[str, object]:
    """
    Make a draft final now.

    Raises:
        ApiError: It is no draft.
    """
    account, parameters = request.account, request.parameters
    parameters.allow(("auto_advance",))
    advance = optional_flag(parameters, "auto_advance")
    final = finalize(account, account.invoices.get(request.object_id), request.now)
    if advance is not None:
        final = account.invoices.put(replace(final, auto_advance=advance))
    return invoice_body(final)


def preview_invoice(request: ApiRequest) -> dict[str, object]:
    """
    Show what a subscription's running period comes to by now; of a customer's, the one that ends first.

    Raises:
        ApiError: Neither was sent, or there is no such subscription.
    """
    account, parameters = request.account, request.parameters
    parameters.allow(("customer", "subscription"))
    customer = parameters.optional_text("customer", max_length=MAX_CUSTOMER_FIELD)
    named = parameters.optional_text("subscription", max_length=MAX_ID_LENGTH)
    if named is not None:
        candidates = [account.subscriptions.given(named)]
    elif customer is not None:
        candidates = account.subscriptions.oldest_first()
    else:
        raise missing_parameter("customer")
    chosen = [
        subscription
        for subscription in candidates
        if subscription.status is Status.ACTIVE and customer in (None, subscription.customer)
    ]
    if not chosen:
        raise ApiError(
            f"No upcoming invoices for customer: '{customer or candidates[0].customer}'",
            status=NOT_FOUND,
            code="invoice_upcoming_none",
            executed=True,
        )
    return invoice_body(upcoming(account, min(chosen, key=_period_end), request.now))


def _show(account: Account, now: float, invoice: Invoice) -> dict[str, object]:
    return invoice_body(as_of(account, invoice, now))


def _period_end(subscription: Subscription) -> int:
    return subscription.period_end


def _rescheduled(parameters: Parameters, invoice: Invoice, now: int) -> Invoice:
    advance = optional_flag(parameters, "auto_advance")
    deadline = optional_instant(parameters, "automatically_finalizes_at")
    advances = invoice.auto_advance if advance is None else advance
    if deadline is None:
        if not advances:
            return replace(invoice, auto_advance=False, automatically_finalizes_at=None)
        if invoice.auto_advance:
            return invoice
        # It starts to wait again, for as long as a draft does that nobody has told otherwise.
        return replace(invoice, auto_advance=True, automatically_finalizes_at=now + HOUR_SECONDS)
    if not advances:
        raise ApiError("automatically_finalizes_at needs auto_advance.", param="automatically_finalizes_at")
    if not now < deadline <= now + LATEST_DEADLINE_SECONDS:
        raise ApiError(
            "automatically_finalizes_at lies in the future, at most five years ahead.",
            param="automatically_finalizes_at",
        )
    return replace(invoice, auto_advance=True, automatically_finalizes_at=deadline)
