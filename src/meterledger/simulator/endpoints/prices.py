"""`/v1/prices`."""

import re
from decimal import Decimal

from meterledger.simulator.billing.catalog import Price, Recurring, UsageType, price_body
from meterledger.simulator.billing.periods import MOST_INTERVALS, Cycle, Interval
from meterledger.simulator.endpoints.billing_parameters import merged_metadata, optional_flag
from meterledger.simulator.endpoints.products import read_product
from meterledger.simulator.protocol.api_errors import ApiError, missing_parameter, no_such_object
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.instant_range import range_names, read_range
from meterledger.simulator.protocol.paging import MAX_ID_LENGTH, PAGE_NAMES, list_page, read_page
from meterledger.simulator.protocol.parameters import Parameters
from meterledger.simulator.state.account import Account

MAX_NICKNAME = 5000  # characters
MAX_AMOUNT_DIGITS = 12  # before the decimal point, and after it

_NAMES = frozenset(
    {
        "active",
        "billing_scheme",
        "currency",
        "nickname",
        "product",
        "product_data[name]",
        "recurring[interval]",
        "recurring[interval_count]",
        "recurring[meter]",
        "recurring[usage_type]",
        "unit_amount",
        "unit_amount_decimal",
    }
)
_FAMILIES = ("metadata[", "product_data[metadata][", "expand[")
_LIST_NAMES = frozenset({"active", "currency", "product", "type", "recurring[interval]", "recurring[meter]"})
_CURRENCY = re.compile(r"[a-z]{3}")
_AMOUNT = re.compile(rf"[0-9]{{1,{MAX_AMOUNT_DIGITS}}}(\.[0-9]{{1,{MAX_AMOUNT_DIGITS}}})?")


def create_price(request: ApiRequest) -> dict[str, object]:
    """
    Make a price for a unit of a product, and the product where it comes along.

    Raises:
        ApiError: A parameter is bad, the product is unknown, or the meter is unknown or inactive.
    """
    account, parameters = request.account, request.parameters
    parameters.allow(_NAMES, _FAMILIES)
    parameters.optional_choice("billing_scheme", ("per_unit",))
    currency = _currency(parameters.text("currency", max_length=3))
    unit_amount = _unit_amount(parameters)
    recurring = _recurring(account, parameters)
    nickname = parameters.optional_text("nickname", max_length=MAX_NICKNAME)
    metadata = merged_metadata(parameters, "metadata", {})
    active = optional_flag(parameters, "active") is not False
    price = Price(
        id=account.ids.next("price_", livemode=account.livemode),
        livemode=account.livemode,
        created=int(request.now),
        product=_product_id(request),
        currency=currency,
        unit_amount=unit_amount,
        active=active,
        nickname=nickname,
        metadata=metadata,
        recurring=recurring,
    )
    return price_body(account.prices.put(price))


def get_price(request: ApiRequest) -> dict[str, object]:
    """Show one price."""
    request.parameters.allow(())
    return price_body(request.account.prices.get(request.object_id))


def list_prices(request: ApiRequest) -> dict[str, object]:
    """List the prices, the newest first, all or those of a kind."""
    parameters = request.parameters
    parameters.allow(PAGE_NAMES | range_names("created") | _LIST_NAMES)
    active, created = optional_flag(parameters, "active"), read_range(parameters, "created")
    kind = parameters.optional_choice("type", ("one_time", "recurring"))
    wanted = {
        name: parameters.optional_text(name, max_length=MAX_ID_LENGTH)
        for name in ("currency", "product", "recurring[interval]", "recurring[meter]")
    }
    chosen = [
        price
        for price in request.account.prices.newest_first()
        if active in (None, price.active)
        and created.holds(price.created)
        and (kind is None or (price.recurring is None) == (kind == "one_time"))
        and wanted["currency"] in (None, price.currency)
        and wanted["product"] in (None, price.product)
        and wanted["recurring[meter]"] in (None, price.meter)
        and wanted["recurring[interval]"] in (None, price.recurring and price.recurring.cycle.interval)
    ]
    return list_page(chosen, price_body, read_page(parameters), url="/v1/prices", kind="price")


def _currency(text: str) -> str:
    currency = text.lower()
    if _CURRENCY.fullmatch(currency) is None:
        raise ApiError(f"Invalid currency: {text}", param="currency")
    return currency


def _unit_amount(parameters: Parameters) -> Decimal:
    given = [name for name in ("unit_amount", "unit_amount_decimal") if name in parameters.fields]
    if not given:
        raise missing_parameter("unit_amount")
    if len(given) > 1:
        raise ApiError(
            "You may send unit_amount or unit_amount_decimal, not both.", param="unit_amount_decimal"
        )
    name, text = given[0], parameters.fields[given[0]]
    if _AMOUNT.fullmatch(text) is None:
        raise ApiError(
            f"Invalid decimal: at most {MAX_AMOUNT_DIGITS} digits before the point and after it", param=name
        )
    if name == "unit_amount" and "." in text:
        raise ApiError(f"Invalid integer: {text}", code="parameter_invalid_integer", param=name)
    return Decimal(text)


def _recurring(account: Account, parameters: Parameters) -> Recurring | None:
    if not any(name.startswith("recurring[") for name in parameters.fields):
        return None
    interval = Interval(parameters.choice("recurring[interval]", tuple(Interval)))
    count = parameters.optional_integer("recurring[interval_count]")
    cycle = Cycle(interval=interval, count=1 if count is None else count)
    if not 1 <= cycle.count <= MOST_INTERVALS[interval]:
        raise ApiError(
            f"Invalid interval_count: must be between 1 and {MOST_INTERVALS[interval]} for {interval}",
            param="recurring[interval_count]",
        )
    word = parameters.optional_choice("recurring[usage_type]", tuple(UsageType))
    usage_type = UsageType.LICENSED if word is None else UsageType(word)
    meter_id = parameters.optional_text("recurring[meter]", max_length=MAX_ID_LENGTH)
    if usage_type is UsageType.LICENSED:
        if meter_id is not None:
            raise ApiError("Only metered prices have a meter.", param="recurring[meter]")
        return Recurring(cycle=cycle, usage_type=usage_type, meter=None)
    if meter_id is None:
        raise ApiError(
            "A metered price needs a meter: send its id.",
            code="parameter_missing",
            param="recurring[meter]",
        )
    return Recurring(cycle=cycle, usage_type=usage_type, meter=_active_meter(account, meter_id))


def _active_meter(account: Account, meter_id: str) -> str:
    meter = account.meters.find(meter_id)
    if meter is None:
        raise no_such_object("billing meter", meter_id, param="recurring[meter]", status=400)
    if not meter.active:
        raise ApiError(
            f"The meter '{meter_id}' is inactive and cannot be attached to a price.",
            param="recurring[meter]",
            executed=True,
        )
    return meter_id


def _product_id(request: ApiRequest) -> str:
    account, parameters = request.account, request.parameters
    product_id = parameters.optional_text("product", max_length=MAX_ID_LENGTH)
    comes_along = any(name.startswith("product_data[") for name in parameters.fields)
    if product_id is not None and comes_along:
        raise ApiError("You may send product or product_data, not both.", param="product_data")
    if comes_along:
        return account.products.put(read_product(request, "product_data")).id
    if product_id is None:
        raise missing_parameter("product")
    if account.products.find(product_id) is None:
        raise no_such_object("product", product_id, param="product", status=400)
    return product_id
