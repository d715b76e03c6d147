"""`/v1/subscriptions/{id}`, changing and canceling; and `/v1/subscription_items`, which only shows."""

from dataclasses import replace

from meterledger.simulator.billing.cycle import cancel, reprice, restart, told
from meterledger.simulator.billing.subscription_body import item_body
from meterledger.simulator.billing.subscriptions import (
    Item,
    Status,
    Subscription,
    refuse_canceled,
)
from meterledger.simulator.endpoints.billing_parameters import merged_metadata, optional_flag
from meterledger.simulator.endpoints.subscription_parameters import (
    CHANGEABLE,
    FAMILIES,
    MAX_DESCRIPTION,
    cycle_of,
    indexes,
    item_names,
    one_currency,
    priced,
    quantity_of,
    read_collection,
    read_ending,
)
from meterledger.simulator.endpoints.subscriptions import show
from meterledger.simulator.protocol.api_errors import ApiError, no_such_object
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.paging import MAX_ID_LENGTH, PAGE_NAMES, list_page, read_page


def update_subscription(request: ApiRequest) -> dict[str, object]:
    """
    Change a subscription: its end, its prices, where its periods are counted from, its metadata.

    A price with another interval, like `billing_cycle_anchor=now`, ends the running period at once.

    Raises:
        ApiError: A parameter is bad, or the subscription has ended.
    """
    account, parameters = request.account, request.parameters
    parameters.allow(CHANGEABLE | item_names("id", "price", "quantity"), FAMILIES)
    subscription = account.subscriptions.get(request.object_id)
    if not all(name.startswith(("metadata[", "expand[")) for name in parameters.fields):
        refuse_canceled(subscription)
    now = int(request.now)
    collection, days = read_collection(parameters, subscription.collection, subscription.days_until_due)
    changed = replace(
        subscription,
        items=_items(request, subscription),
        collection=collection,
        days_until_due=days,
        description=parameters.optional_text("description", max_length=MAX_DESCRIPTION)
        or subscription.description,
        metadata=merged_metadata(parameters, "metadata", subscription.metadata),
    )
    prices = [account.prices.get(item.price) for item in changed.items]
    one_currency(prices, parameters)
    changed = replace(changed, cycle=cycle_of(prices))
    anchor = parameters.optional_choice("billing_cycle_anchor", ("now", "unchanged"))
    if anchor == "now" or changed.cycle != subscription.cycle:
        ending = read_ending(parameters, replace(changed, anchor=now, period_start=now), now)
        updated = restart(account, subscription, ending, now)
    else:
        updated = account.subscriptions.put(read_ending(parameters, changed, now))
    return show(account, told(account, updated, "updated", now))


def cancel_subscription(request: ApiRequest) -> dict[str, object]:
    """
    End a subscription now.

    Raises:
        ApiError: There is none, or it has ended.
    """
    account, parameters = request.account, request.parameters
    parameters.allow(("invoice_now", "prorate"), ("cancellation_details[", "expand["))
    invoice_now = optional_flag(parameters, "invoice_now") is True
    optional_flag(parameters, "prorate")
    subscription = account.subscriptions.get(request.object_id)
    if subscription.status is Status.CANCELED:
        raise no_such_object("subscription", subscription.id, param="id")
    return show(account, cancel(account, subscription, int(request.now), invoice_now=invoice_now))


def get_item(request: ApiRequest) -> dict[str, object]:
    """Show one item of a subscription."""
    request.parameters.allow(())
    subscription, item = request.account.subscriptions.of_item(request.object_id)
    return item_body(subscription, item, request.account.prices.get(item.price))


def list_items(request: ApiRequest) -> dict[str, object]:
    """List the items of a subscription."""
    account, parameters = request.account, request.parameters
    parameters.allow(PAGE_NAMES | {"subscription"})
    subscription = account.subscriptions.given(parameters.text("subscription", max_length=MAX_ID_LENGTH))

    def body(item: Item) -> dict[str, object]:
        return item_body(subscription, item, account.prices.get(item.price))

    url, kind = "/v1/subscription_items", "subscription item"
    return list_page(subscription.items, body, read_page(parameters), url=url, kind=kind)


def _items(request: ApiRequest, subscription: Subscription) -> tuple[Item, ...]:
    parameters = request.parameters
    held = {item.id: item for item in subscription.items}
    for place in indexes(parameters):
        name = f"items[{place}][id]"
        item = held.get(parameters.text(name, max_length=MAX_ID_LENGTH))
        if item is None:
            raise ApiError("The subscription has no such item.", param=name, executed=True)
        held[item.id] = _changed(request, subscription, item, place)
    return tuple(held.values())


def _changed(request: ApiRequest, subscription: Subscription, item: Item, place: int) -> Item:
    account, parameters = request.account, request.parameters
    price = priced(request, place) or account.prices.get(item.price)
    quantity = quantity_of(parameters, place, price, item.quantity)
    described = replace(
        item, metadata=merged_metadata(parameters, f"items[{place}][metadata]", item.metadata)
    )
    if price.id == item.price:
        return replace(described, quantity=quantity)
    return reprice(subscription.mode, described, price.id, quantity, int(request.now))
