"""`/v1/customers`."""

from dataclasses import replace

from meterledger.simulator.billing.customers import (
    CUSTOMER_DETAILS,
    MAX_CUSTOMER_FIELD,
    Customer,
    customer_body,
)
from meterledger.simulator.billing.cycle import cancel
from meterledger.simulator.billing.subscriptions import Status
from meterledger.simulator.metering.reception import drop_unprocessed
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.paging import PAGE_NAMES, list_page, read_page
from meterledger.simulator.protocol.parameters import Parameters


def create_customer(request: ApiRequest) -> dict[str, object]:
    """Make a customer."""
    account = request.account
    customer = Customer(
        id=account.ids.next("cus_", livemode=account.livemode),
        livemode=account.livemode,
        created=int(request.now),
        details=dict.fromkeys(CUSTOMER_DETAILS) | _given_details(request.parameters),
        metadata=request.parameters.family("metadata"),
    )
    return customer_body(account.customers.put(customer))


def get_customer(request: ApiRequest) -> dict[str, object]:
    """Show one customer that was made here."""
    request.parameters.allow(())
    return customer_body(request.account.customers.get(request.object_id))


def update_customer(request: ApiRequest) -> dict[str, object]:
    """Change a customer's details; metadata is added to what there is."""
    given = _given_details(request.parameters)
    customer = request.account.customers.get(request.object_id)
    metadata = customer.metadata | request.parameters.family("metadata")
    changed = replace(customer, details=customer.details | given, metadata=metadata)
    return customer_body(request.account.customers.put(changed))


def delete_customer(request: ApiRequest) -> dict[str, object]:
    """
    Delete a customer and end its subscriptions.

    Its usage stays counted, but for what is still being processed, and is not billed.
    """
    request.parameters.allow(())
    account = request.account
    deleted = account.customers.delete(request.object_id)
    drop_unprocessed(account, deleted.id, request.now)
    for subscription in account.subscriptions.newest_first():
        if subscription.customer == deleted.id and subscription.status is Status.ACTIVE:
            cancel(account, subscription, int(request.now), invoice_now=False)
    return customer_body(deleted)


def list_customers(request: ApiRequest) -> dict[str, object]:
    """List the customers that were made here, the newest first, all or those with one address."""
    parameters = request.parameters
    parameters.allow(PAGE_NAMES | {"email"})
    email = parameters.optional_text("email", max_length=MAX_CUSTOMER_FIELD)
    chosen = [
        customer
        for customer in request.account.customers.newest_first()
        if email in (None, customer.details["email"])
    ]
    return list_page(chosen, customer_body, read_page(parameters), url="/v1/customers", kind="customer")


def _given_details(parameters: Parameters) -> dict[str, str | None]:
    parameters.allow(CUSTOMER_DETAILS, ("metadata[", "expand["))
    return {
        name: parameters.optional_text(name, max_length=MAX_CUSTOMER_FIELD)
        for name in CUSTOMER_DETAILS
        if name in parameters.fields
    }
