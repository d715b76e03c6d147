"""What is read alike when a subscription is made and when it is changed."""

import re
from dataclasses import replace

from meterledger.simulator.billing.catalog import Price
from meterledger.simulator.billing.periods import Cycle
from meterledger.simulator.billing.subscriptions import Collection, Subscription
from meterledger.simulator.endpoints.billing_parameters import optional_flag, optional_instant
from meterledger.simulator.protocol.api_errors import ApiError, missing_parameter, no_such_object
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.paging import MAX_ID_LENGTH
from meterledger.simulator.protocol.parameters import Parameters

MAX_ITEMS = 20  # Stripe's limit for a subscription
MAX_DESCRIPTION = 500  # characters
MAX_DAYS_UNTIL_DUE = 3650
MAX_QUANTITY = 10**9

CHANGEABLE = frozenset(
    {
        "billing_cycle_anchor",
        "cancel_at",
        "cancel_at_period_end",
        "collection_method",
        "days_until_due",
        "description",
        "proration_behavior",
    }
)
FAMILIES = ("metadata[", "expand[", *(f"items[{place}][metadata][" for place in range(MAX_ITEMS)))

_PLACE = re.compile(r"items\[([0-9]{1,2})\]\[")


def item_names(*fields: str) -> frozenset[str]:
    """Return the parameters of every item there can be that have one of the fields."""
    return frozenset(f"items[{place}][{field}]" for place in range(MAX_ITEMS) for field in fields)


def indexes(parameters: Parameters) -> list[int]:
    """Return the places of the items that were sent, in their order."""
    return sorted({int(found[1]) for name in parameters.fields if (found := _PLACE.match(name))})


def priced(request: ApiRequest, place: int) -> Price | None:
    """
    Return the price that an item was sent with, or None where it came without.

    Raises:
        ApiError: There is no such price, it is not active, or it is paid once.
    """
    param = f"items[{place}][price]"
    price_id = request.parameters.optional_text(param, max_length=MAX_ID_LENGTH)
    if price_id is None:
        return None
    price = request.account.prices.find(price_id)
    if price is None:
        raise no_such_object("price", price_id, param=param, status=400)
    if price.recurring is None or not price.active:
        raise ApiError(f"The price '{price_id}' is not recurring, or not active.", param=param, executed=True)
    return price


def cycle_of(prices: list[Price]) -> Cycle:
    """
    Return how often the prices are billed.

    Raises:
        ApiError: They differ.
    """
    cycles = {price.recurring.cycle for price in prices if price.recurring is not None}
    if len(cycles) != 1:
        raise ApiError("All prices of a subscription have the same interval here.", param="items")
    return cycles.pop()


def one_currency(prices: list[Price], parameters: Parameters) -> str:
    """
    Return the prices' currency.

    Raises:
        ApiError: They differ, or another one was asked for.
    """
    currency = prices[0].currency
    asked = parameters.fields.get("currency", currency).lower()
    if asked != currency:
        raise ApiError(f"The prices are in {currency}.", param="currency")
    if any(price.currency != currency for price in prices):
        raise ApiError("All prices of a subscription have the same currency.", param="items")
    return currency


def quantity_of(parameters: Parameters, place: int, price: Price, held: int | None) -> int | None:
    """
    Return an item's quantity: what was sent, else what it had, else one; None of a metered price.

    Raises:
        ApiError: It is no quantity, or the price is metered.
    """
    name = f"items[{place}][quantity]"
    quantity = parameters.optional_integer(name)
    if price.meter is not None:
        if quantity is not None:
            raise ApiError("A metered price has no quantity.", param=name)
        return None
    if quantity is None:
        return 1 if held is None else held
    if not 0 <= quantity <= MAX_QUANTITY:
        raise ApiError(f"Invalid quantity: must be between 0 and {MAX_QUANTITY}", param=name)
    return quantity


def read_collection(
    parameters: Parameters, collection: Collection, days: int | None
) -> tuple[Collection, int | None]:
    """
    Return how invoices are paid and within how many days; collection and days are what held so far.

    Raises:
        ApiError: Sent invoices have no days, or others have.
    """
    word = parameters.optional_choice("collection_method", tuple(Collection))
    method = collection if word is None else Collection(word)
    sent = parameters.optional_integer("days_until_due")
    if sent is not None and not 0 <= sent <= MAX_DAYS_UNTIL_DUE:
        raise ApiError(
            f"Invalid days_until_due: must be between 0 and {MAX_DAYS_UNTIL_DUE}", param="days_until_due"
        )
    if method is Collection.CHARGE:
        if sent is not None:
            raise ApiError("Only sent invoices have days until they are due.", param="days_until_due")
        return method, None
    due = days if sent is None else sent
    if due is None:
        raise missing_parameter("days_until_due")
    return method, due


def read_ending(parameters: Parameters, subscription: Subscription, now: int) -> Subscription:
    """
    Return a subscription with the end that was asked for, if one was.

    An end within the running period ends it; an empty `cancel_at`, or `cancel_at_period_end=false`, takes
    an end back.

    Args:
        parameters: The request's.
        subscription: As it is without.
        now: Seconds since the epoch.

    Raises:
        ApiError: Both were sent, or the end lies in the past.
    """
    parameters.optional_choice("proration_behavior", ("always_invoice", "create_prorations", "none"))
    with_period = optional_flag(parameters, "cancel_at_period_end")
    if with_period is None and "cancel_at" not in parameters.fields:
        return subscription
    if with_period and parameters.fields.get("cancel_at"):
        raise ApiError("You may send cancel_at or cancel_at_period_end, not both.", param="cancel_at")
    cancel_at = None
    if parameters.fields.get("cancel_at"):
        cancel_at = optional_instant(parameters, "cancel_at")
    if cancel_at is not None and cancel_at <= now:
        raise ApiError("cancel_at must be in the future.", param="cancel_at")
    is_asked = bool(with_period) or cancel_at is not None
    ending = replace(
        subscription,
        cancel_at=cancel_at,
        cancel_at_period_end=bool(with_period),
        canceled_at=now if is_asked else None,
    )
    return replace(ending, period_end=ending.end_of_period(max(now, ending.period_start)))
