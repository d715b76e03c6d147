"""
Roll-ups: one meter event for the usage of a customer, meter, dimension set and UTC window.

Identifiers come from the window and not from the usage in it, so that a rebuilt ledger derives the same
ones whatever it was told in which order.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from meterledger.domain.billing_period import BillingCycle
from meterledger.domain.dues import NEVER
from meterledger.domain.instant import Instant, seconds_floor
from meterledger.domain.meter import Meter
from meterledger.domain.meter_event import (
    MeterEvent,
    RolledUpWindow,
    UsageToSeal,
    digest_of,
    dimensions_of,
)
from meterledger.domain.quantity import Quantity, exact_sum, fits_one_value

ROLLUP_PREFIX = "mlr1-"
"""Names the derivation below; another derivation takes another prefix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageWindow:
    """Where a usage event is rolled up: usage with an equal one goes into one meter event."""

    meter: Meter
    stripe_customer_id: str
    dimensions: str
    start: Instant
    end: Instant
    ready_at: Instant
    """When it is sealed: it has settled, or the period's deadline forces it."""
    closes_at: Instant = field(default=NEVER, compare=False)
    """When the period of its usage is closed for certain; no part of what the window is."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the time within one billing period of every cycle; it closes with the first to end."""

    start: Instant
    end: Instant
    period_end: Instant

    def cut_at(self, boundaries: Sequence[Instant], event_time: Instant) -> "Stretch":
        """Return the part around an instant that lies between two of further boundaries, in order."""
        position = bisect_right(boundaries, event_time)
        start = max(self.start, boundaries[position - 1]) if position else self.start
        if position == len(boundaries):
            return Stretch(start, self.end, self.period_end)
        following = boundaries[position]
        return Stretch(start, min(self.end, following), min(self.period_end, following))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one meter event of a window carries: usage events by their numbers, and their exact sum."""

    usage_events: Sequence[int]
    total: Quantity
    latest: Instant


def stretch_of(cycles: tuple[BillingCycle, ...], length: int, event_time: Instant) -> Stretch:
    """Return the UTC window of a length that holds an instant, cut off at the boundaries of its periods."""
    start = event_time - event_time % length
    stretches = _stretches(cycles, start, start + length)
    return stretches[bisect_right(stretches, event_time, key=lambda one: one.start) - 1]


@lru_cache(maxsize=65_536)
def _stretches(cycles: tuple[BillingCycle, ...], start: Instant, end: Instant) -> tuple[Stretch, ...]:
    found = []
    while start < end:
        period_end = min(cycle.period_at(start).end for cycle in cycles)
        found.append(Stretch(start, min(end, period_end), period_end))
        start = found[-1].end
    return tuple(found)


def dimensions_text(usage: UsageToSeal, meter: Meter) -> str:
    """Return the dimensions that are sent, as a flat JSON object in key order."""
    return msgspec.json.encode(dimensions_of(usage.dimensions, meter), order="deterministic").decode()


def derive_rollup_identifier(
    event_name: str, stripe_customer_id: str, window: RolledUpWindow, revision: int
) -> str:
    """Return the identifier of a rolled-up meter event: a digest of all that names it, 69 characters."""
    named = msgspec.json.decode(window.dimensions, type=dict[str, str])
    return ROLLUP_PREFIX + digest_of(
        event_name,
        stripe_customer_id,
        str(len(named)),
        *(text for pair in sorted(named.items()) for text in pair),
        str(window.start),
        str(window.part),
        str(revision),
    )


def seal_rolled_up(
    where: UsageWindow, total: Quantity, latest: Instant, *, part: int, revision: int
) -> MeterEvent:
    """
    Seal what a window holds, stamped with the latest event_time that it carries.

    Args:
        where: The window.
        total: The exact sum, with no more digits than Stripe takes.
        latest: The latest event_time of the usage.
        part: Counts from 0; more than one only where the sum had too many digits.
        revision: How often usage of this window was sealed before.
    """
    meter = where.meter
    window = RolledUpWindow(start=where.start, end=where.end, dimensions=where.dimensions, part=part)
    named = msgspec.json.decode(where.dimensions, type=dict[str, str])
    return MeterEvent(
        event_name=meter.event_name,
        identifier=derive_rollup_identifier(meter.event_name, where.stripe_customer_id, window, revision),
        timestamp=seconds_floor(latest),
        payload={meter.customer_key: where.stripe_customer_id, meter.value_key: str(total), **named},
        revision=revision,
        stripe_customer_id=where.stripe_customer_id,
        quantity=total,
        event_time=latest,
        window=window,
    )


def split_into_parts(usage: Iterable[UsageToSeal]) -> Iterator[Part]:
    """Cut usage into parts whose sums Stripe takes, in the order of event_time and usage key."""
    numbers: list[int] = []
    total = Quantity(0, 0)
    latest = 0
    for one in sorted(usage, key=lambda one: (one.event_time, one.source, one.request_id)):
        more = sum_of((total, one.quantity))
        if numbers and not fits_one_value(more.units, more.scale):
            yield Part(usage_events=numbers, total=total, latest=latest)
            numbers, more = [], sum_of((one.quantity,))
        numbers.append(one.usage_event)
        total, latest = more, one.event_time
    if numbers:
        yield Part(usage_events=numbers, total=total, latest=latest)


def sum_of(quantities: Iterable[Quantity]) -> Quantity:
    """Add quantities exactly, at the smallest scale that holds the sum."""
    units_by_scale: dict[int, int] = {}
    for one in quantities:
        units_by_scale[one.scale] = units_by_scale.get(one.scale, 0) + one.units
    return Quantity(*exact_sum(units_by_scale))
