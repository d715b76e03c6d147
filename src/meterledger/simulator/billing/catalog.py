"""Products and prices: what is sold, and for how much a unit."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from meterledger.simulator.billing.periods import Cycle
from meterledger.simulator.metering.tally import plain

PRODUCT_KIND = "product"
PRICE_KIND = "price"


class UsageType(StrEnum):
    """Whether a price is billed by a meter, after the period, or by a quantity, before it."""

    METERED = "metered"
    LICENSED = "licensed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Something that is sold; created is in whole seconds since the epoch."""

    id: str
    livemode: bool
    created: int
    name: str
    active: bool = True
    description: str | None = None
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring:
    """How often a price is billed, and by what; a metered one has the id of its meter."""

    cycle: Cycle
    usage_type: UsageType
    meter: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """
    What a unit costs; it never changes.

    Attributes:
        id: `price_...`.
        livemode: Whether it is of live mode.
        created: Whole seconds since the epoch.
        product: The id of what is sold.
        currency: Three letters.
        unit_amount: In the currency's smallest unit, with decimals.
        active: Whether new subscriptions can have it.
        nickname: For people.
        metadata: The client's own.
        recurring: None where it is paid once.
    """

    id: str
    livemode: bool
    created: int
    product: str
    currency: str
    unit_amount: Decimal
    active: bool = True
    nickname: str | None = None
    metadata: dict[str, str]
    recurring: Recurring | None

    @property
    def meter(self) -> str | None:
        """The id of its meter, where it is metered."""
        return None if self.recurring is None else self.recurring.meter


def product_body(product: Product) -> dict[str, object]:
    """Return a product as the API shows it."""
    return {
        "id": product.id,
        "object": "product",
        "active": product.active,
        "created": product.created,
        "default_price": None,
        "description": product.description,
        "images": [],
        "livemode": product.livemode,
        "marketing_features": [],
        "metadata": product.metadata,
        "name": product.name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": product.created,
        "url": None,
    }


def price_body(price: Price) -> dict[str, object]:
    """Return a price as the API shows it."""
    return {
        "id": price.id,
        "object": "price",
        "active": price.active,
        "billing_scheme": "per_unit",
        "created": price.created,
        "currency": price.currency,
        "custom_unit_amount": None,
        "livemode": price.livemode,
        "lookup_key": None,
        "metadata": price.metadata,
        "nickname": price.nickname,
        "product": price.product,
        "recurring": None if price.recurring is None else _recurring_body(price.recurring),
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time" if price.recurring is None else "recurring",
        "unit_amount": _whole(price.unit_amount),
        "unit_amount_decimal": plain(price.unit_amount),
    }


def plan_body(price: Price) -> dict[str, object]:
    """Return the plan, Stripe's older word for a price, that a subscription's item shows beside it."""
    recurring = {} if price.recurring is None else _recurring_body(price.recurring)
    return {
        "id": price.id,
        "object": "plan",
        "active": price.active,
        "amount": _whole(price.unit_amount),
        "amount_decimal": plain(price.unit_amount),
        "billing_scheme": "per_unit",
        "created": price.created,
        "currency": price.currency,
        "livemode": price.livemode,
        "metadata": price.metadata,
        "nickname": price.nickname,
        "product": price.product,
        "tiers_mode": None,
        "transform_usage": None,
        **recurring,
    }


def _recurring_body(recurring: Recurring) -> dict[str, object]:
    return {
        "interval": recurring.cycle.interval,
        "interval_count": recurring.cycle.count,
        "meter": recurring.meter,
        "trial_period_days": None,
        "usage_type": recurring.usage_type,
    }


def _whole(amount: Decimal) -> int | None:
    whole = int(amount)
    return whole if whole == amount else None
