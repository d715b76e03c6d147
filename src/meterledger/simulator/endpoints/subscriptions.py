"""`/v1/subscriptions`, reading and making them."""

from dataclasses import replace
from functools import partial

from meterledger.simulator.billing.catalog import Price
from meterledger.simulator.billing.customers import MAX_CUSTOMER_FIELD
from meterledger.simulator.billing.cycle import begin
from meterledger.simulator.billing.periods import next_boundary
from meterledger.simulator.billing.subscription_body import subscription_body
from meterledger.simulator.billing.subscriptions import (
    BillingMode,
    Collection,
    Item,
    Subscription,
)
from meterledger.simulator.endpoints.billing_parameters import merged_metadata, optional_instant
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
from meterledger.simulator.protocol.api_errors import ApiError, missing_parameter
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.instant_range import range_names, read_range
from meterledger.simulator.protocol.paging import MAX_ID_LENGTH, PAGE_NAMES, list_page, read_page
from meterledger.simulator.state.account import Account

_STATUSES = (
    "active",
    "all",
    "canceled",
    "ended",
    "incomplete",
    "incomplete_expired",
    "past_due",
    "paused",
    "trialing",
    "unpaid",
)
_NAMES = CHANGEABLE | {"customer", "currency", "backdate_start_date", "billing_mode[type]"}
_LIST_NAMES = frozenset({"customer", "price", "status", "collection_method"})
_RANGES = ("created", "current_period_start", "current_period_end")


def show(account: Account, subscription: Subscription) -> dict[str, object]:
    """Return a subscription as the API shows it."""
    return subscription_body(subscription, account.prices.get)


def create_subscription(request: ApiRequest) -> dict[str, object]:
    """
    Make a subscription and bill its first invoice.

    Raises:
        ApiError: A parameter is bad, or the customer or a price is unknown.
    """
    account, parameters = request.account, request.parameters
    parameters.allow(_NAMES | item_names("price", "quantity"), FAMILIES)
    return show(account, begin(account, _read(request)))


def get_subscription(request: ApiRequest) -> dict[str, object]:
    """Show one subscription."""
    request.parameters.allow(())
    return show(request.account, request.account.subscriptions.get(request.object_id))


def list_subscriptions(request: ApiRequest) -> dict[str, object]:
    """List the subscriptions, the newest first; canceled ones only where their status is asked for."""
    account, parameters = request.account, request.parameters
    parameters.allow(PAGE_NAMES.union(_LIST_NAMES, *(range_names(name) for name in _RANGES)))
    customer = parameters.optional_text("customer", max_length=MAX_CUSTOMER_FIELD)
    price = parameters.optional_text("price", max_length=MAX_ID_LENGTH)
    collection = parameters.optional_choice("collection_method", tuple(Collection))
    statuses = _statuses(parameters.optional_choice("status", _STATUSES))
    created, starts, ends = (read_range(parameters, name) for name in _RANGES)
    chosen = [
        subscription
        for subscription in account.subscriptions.newest_first()
        if subscription.status in statuses
        and customer in (None, subscription.customer)
        and collection in (None, subscription.collection)
        and (price is None or any(item.price == price for item in subscription.items))
        and created.holds(subscription.created)
        and starts.holds(subscription.period_start)
        and ends.holds(subscription.period_end)
    ]
    body = partial(show, account)
    return list_page(chosen, body, read_page(parameters), url="/v1/subscriptions", kind="subscription")


def _statuses(asked: str | None) -> tuple[str, ...]:
    match asked:
        case None:
            return ("active",)
        case "all":
            return ("active", "canceled")
        case "ended":
            return ("canceled",)
        case status:
            return (status,)


def _read(request: ApiRequest) -> Subscription:
    account, parameters = request.account, request.parameters
    now = int(request.now)
    customer = parameters.text("customer", max_length=MAX_CUSTOMER_FIELD)
    refusal = account.customers.refusal(customer, param="customer")
    if refusal is not None:
        raise refusal
    prices = _prices(request)
    cycle = cycle_of(list(prices.values()))
    word = parameters.optional_choice("billing_mode[type]", tuple(BillingMode))
    mode = BillingMode.FLEXIBLE if word is None else BillingMode(word)
    started = _start_date(request)
    anchor = _anchor(request, next_boundary(now, cycle, now))
    # What a classic subscription is backdated for is in its first period; of a flexible one it is before it.
    period_start = started if mode is BillingMode.CLASSIC else now
    collection, days_until_due = read_collection(parameters, Collection.CHARGE, None)
    unborn = Subscription(
        id="",
        livemode=account.livemode,
        created=now,
        start_date=started,
        customer=customer,
        currency=one_currency(list(prices.values()), parameters),
        items=tuple(_item(request, place, price, period_start) for place, price in prices.items()),
        cycle=cycle,
        anchor=anchor,
        period_start=period_start,
        period_end=next_boundary(anchor, cycle, now),
        mode=mode,
        collection=collection,
        days_until_due=days_until_due,
        description=parameters.optional_text("description", max_length=MAX_DESCRIPTION),
        metadata=merged_metadata(parameters, "metadata", {}),
    )
    ending = read_ending(parameters, unborn, now)
    return replace(ending, id=account.ids.next("sub_", livemode=account.livemode))


def _prices(request: ApiRequest) -> dict[int, Price]:
    """Return the price of each item, by the item's place among the parameters."""
    places = indexes(request.parameters)
    if not places:
        raise missing_parameter("items")
    prices = {place: priced(request, place) for place in places}
    missing = [place for place, price in prices.items() if price is None]
    if missing:
        raise missing_parameter(f"items[{missing[0]}][price]")
    found = {place: price for place, price in prices.items() if price is not None}
    ids = [price.id for price in found.values()]
    for place, price in found.items():
        if ids.count(price.id) > 1:
            raise ApiError(
                f"The price '{price.id}' can be in a subscription once.", param=f"items[{place}][price]"
            )
    return found


def _item(request: ApiRequest, place: int, price: Price, since: int) -> Item:
    account, parameters = request.account, request.parameters
    return Item(
        id=account.ids.next("si_", livemode=account.livemode),
        created=int(request.now),
        price=price.id,
        quantity=quantity_of(parameters, place, price, None),
        metadata=merged_metadata(parameters, f"items[{place}][metadata]", {}),
        since=since,
    )


def _start_date(request: ApiRequest) -> int:
    now = int(request.now)
    started = optional_instant(request.parameters, "backdate_start_date")
    if started is not None and started > now:
        raise ApiError("A subscription can only be backdated to the past.", param="backdate_start_date")
    return now if started is None else started


def _anchor(request: ApiRequest, latest: int) -> int:
    now = int(request.now)
    anchor = optional_instant(request.parameters, "billing_cycle_anchor")
    if anchor is None:
        return now
    if not now <= anchor <= latest:
        raise ApiError(
            "billing_cycle_anchor lies between now and the end of a first period that began now.",
            param="billing_cycle_anchor",
        )
    return anchor
