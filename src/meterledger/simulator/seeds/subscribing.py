"""Subscriptions that were there before: in mid-period, each to a price of every seeded meter."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from meterledger.simulator.billing.catalog import Price, Product, Recurring, UsageType
from meterledger.simulator.billing.cycle import told
from meterledger.simulator.billing.periods import Cycle, Interval, next_boundary, previous_boundary
from meterledger.simulator.billing.subscriptions import BillingMode, Item, Subscription
from meterledger.simulator.metering.meters import Meter
from meterledger.simulator.seeds.customers import SubscriptionSeed
from meterledger.simulator.state.account import Account

CURRENCY = "usd"
UNIT_AMOUNT = Decimal(1)  # a cent: a seeded price is there to be billed, not to be looked at
SUBSCRIPTION_PREFIX = "sub_"

_SEEDED = "seeded_for"  # the metadata by which a seeded price is found again
_CANCELED = ("canceled", "incomplete_expired")


def subscribe(account: Account, customer: str, seed: SubscriptionSeed, now: float) -> None:
    """
    Make a customer's subscription as it stands at an instant in epoch seconds, in the middle of a period.

    Usage counts from the start of that period. There is no first invoice: it was long ago. What has ended,
    is known already, or would have nothing to bill, is not made.
    """
    meters = [meter for spec in account.rules.seeds if (meter := account.meters.active(spec.event_name))]
    is_known = seed.id is not None and account.subscriptions.knows(seed.id)
    if seed.status in _CANCELED or is_known or not meters:
        return
    cycle = Cycle(interval=Interval(seed.interval), count=seed.count)
    anchor = _month_start(now) if seed.anchor is None else seed.anchor
    start, at = previous_boundary(anchor, cycle, int(now)), int(now)
    subscription = Subscription(
        id=_id(account, seed),
        livemode=account.livemode,
        created=at,
        start_date=start,
        customer=customer,
        currency=CURRENCY,
        items=tuple(_items(account, meters, cycle, start)),
        cycle=cycle,
        anchor=anchor,
        period_start=start,
        period_end=next_boundary(anchor, cycle, at),
        mode=BillingMode.FLEXIBLE,
        metadata=dict(seed.metadata),
    )
    told(account, account.subscriptions.put(subscription), "created", at)


def _id(account: Account, seed: SubscriptionSeed) -> str:
    if seed.id is None:
        return account.ids.next(SUBSCRIPTION_PREFIX, livemode=account.livemode)
    account.ids.keep_clear_of(seed.id, SUBSCRIPTION_PREFIX, livemode=account.livemode)
    return seed.id


def _items(account: Account, meters: list[Meter], cycle: Cycle, start: int) -> Iterator[Item]:
    for meter in meters:
        yield Item(
            id=account.ids.next("si_", livemode=account.livemode),
            created=start,
            price=_price(account, meter, cycle, start).id,
            quantity=None,
            metadata={},
            since=start,
        )


def _price(account: Account, meter: Meter, cycle: Cycle, created: int) -> Price:
    """Return the meter's seeded price for such periods, made where there is none yet."""
    metadata = {_SEEDED: f"{meter.spec.event_name} {cycle.count} {cycle.interval}"}
    for price in account.prices:
        if price.metadata == metadata and price.meter == meter.meter_id:
            return price
    product = account.products.put(
        Product(
            id=account.ids.next("prod_", livemode=account.livemode),
            livemode=account.livemode,
            created=created,
            name=meter.spec.display_name,
            metadata={},
        )
    )
    return account.prices.put(
        Price(
            id=account.ids.next("price_", livemode=account.livemode),
            livemode=account.livemode,
            created=created,
            product=product.id,
            currency=CURRENCY,
            unit_amount=UNIT_AMOUNT,
            nickname=meter.spec.event_name,
            metadata=metadata,
            recurring=Recurring(cycle=cycle, usage_type=UsageType.METERED, meter=meter.meter_id),
        )
    )


def _month_start(now: float) -> int:
    first = datetime.fromtimestamp(now, tz=UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return int(first.timestamp())
