"""Making invoices, counting what they bill, and making them final."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from meterledger.simulator.billing.grace import Condition
from meterledger.simulator.billing.invoice_body import invoice_body
from meterledger.simulator.billing.invoices import BillingReason, Invoice, InvoiceStatus, Line
from meterledger.simulator.billing.subscriptions import Item, Segment, Subscription
from meterledger.simulator.metering.usage import Measured, Span
from meterledger.simulator.protocol.api_errors import ApiError
from meterledger.simulator.state.account import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """
    Why and when an invoice is made.

    Attributes:
        reason: Stripe's word.
        at: Seconds since the epoch.
        at_once: Whether it is final from the start.
        period: The period that ends with it.
    """

    reason: BillingReason
    at: int
    at_once: bool
    period: Span


def issue(
    account: Account, subscription: Subscription, lines: list[Line], occasion: Occasion
) -> Subscription:
    """Make a subscription's next invoice, unless it would have no line, and return the subscription."""
    if not lines:
        return subscription
    invoice_id = account.ids.next("in_", livemode=account.livemode)
    invoice = account.invoices.put(drafted(account, subscription, lines, occasion, invoice_id))
    account.events.record("invoice.created", invoice_body(as_of(account, invoice, occasion.at)), occasion.at)
    if occasion.at_once:
        finalize(account, invoice, occasion.at)
    return account.subscriptions.put(replace(subscription, latest_invoice=invoice.id))


def metered_line(account: Account, item: Item, segment: Segment) -> Line:
    """Return the line of an item's usage, not counted yet."""
    return _line(account, item, segment, metered=True, counted=None)


def licensed_line(account: Account, item: Item, period: Span) -> Line:
    """Return the line of a licensed item for a period."""
    segment = Segment(price=item.price, start=period.start, end=period.end)
    return _line(account, item, segment, metered=False, counted=Decimal(item.quantity or 0))


def counted(account: Account, customer: str, line: Line, instant: float) -> Line:
    """Return a metered line as it counts what an invoice knows of at an instant in epoch seconds."""
    until = instant
    if account.rules.readings.billed_by == "aggregated":
        until -= account.rules.lag_seconds
    measured = _measured(account, customer, line, until)
    return replace(line, counted=measured.total, events=measured.events)


def as_of(account: Account, invoice: Invoice, instant: float) -> Invoice:
    """Return an invoice with the quantities that are still open as of an instant in epoch seconds."""
    if all(line.counted is not None for line in invoice.lines):
        return invoice
    lines = (
        counted(account, invoice.customer, line, instant) if line.counted is None else line
        for line in invoice.lines
    )
    return replace(invoice, lines=tuple(lines))


def finalize(account: Account, invoice: Invoice, at: float) -> Invoice:
    """
    Make a draft final: what is counted at that instant (epoch seconds) is what it bills, for ever.

    Raises:
        ApiError: It is no draft.
    """
    if invoice.status is not InvoiceStatus.DRAFT:
        raise ApiError(
            f"Invoice '{invoice.id}' is final already.", code="invoice_not_editable", executed=True
        )
    settled = as_of(account, invoice, at)
    final = account.invoices.put(
        replace(
            settled,
            status=InvoiceStatus.OPEN if settled.total else InvoiceStatus.PAID,
            automatically_finalizes_at=None,
            finalized_at=int(at),
            number=account.ids.next("SIMULATED-", livemode=True),
        )
    )
    account.events.record("invoice.finalized", invoice_body(final), at)
    return final


def finalize_when_due(account: Account, invoice_id: str, due: float) -> None:
    """Make a draft final, if this is still the instant to do it."""
    invoice = account.invoices.get(invoice_id)
    if invoice.automatically_finalizes_at == due:
        finalize(account, invoice, due)


def grace_seconds(
    account: Account, subscription: Subscription, reason: BillingReason, lines: Iterable[Line]
) -> int:
    """Return how long such an invoice stays a draft, in seconds."""
    met = set()
    if reason is BillingReason.CYCLE:
        met.add(Condition.SUBSCRIPTION_CYCLE)
    if any(line.metered for line in lines):
        met.add(Condition.METERED_PRICE)
    return account.rules.grace.seconds_for(met, subscription.cycle.shortest_seconds)


def drafted(
    account: Account, subscription: Subscription, lines: list[Line], occasion: Occasion, invoice_id: str
) -> Invoice:
    """Return a draft with the lines, kept nowhere yet."""
    named = invoice_id.replace("in_", "il_", 1)
    deadline = None
    if not occasion.at_once:
        deadline = occasion.at + grace_seconds(account, subscription, occasion.reason, lines)
    return Invoice(
        id=invoice_id,
        livemode=account.livemode,
        created=occasion.at,
        customer=subscription.customer,
        subscription=subscription.id,
        subscription_metadata=subscription.metadata,
        reason=occasion.reason,
        currency=subscription.currency,
        period_start=occasion.period.start,
        period_end=occasion.period.end,
        lines=tuple(replace(line, id=f"{named}_{place}") for place, line in enumerate(lines, 1)),
        auto_advance=True,
        automatically_finalizes_at=deadline,
        collection=subscription.collection,
        days_until_due=subscription.days_until_due,
        metadata={},
    )


def _line(account: Account, item: Item, segment: Segment, *, metered: bool, counted: Decimal | None) -> Line:
    price = account.prices.get(segment.price)
    return Line(
        id="",  # given by the invoice
        item=item.id,
        price=price.id,
        product=price.product,
        label=account.products.get(price.product).name,
        unit_amount=price.unit_amount,
        start=segment.start,
        end=segment.end,
        metered=metered,
        counted=counted,
    )


def _measured(account: Account, customer: str, line: Line, until: float) -> Measured:
    meter_id = account.prices.get(line.price).meter
    if meter_id is None or line.end <= line.start:
        return Measured()
    series = account.usage.find(account.meters.get(meter_id), customer)
    if series is None:
        return Measured()
    return account.usage.measure(series, Span(line.start, line.end), received_until=until)
