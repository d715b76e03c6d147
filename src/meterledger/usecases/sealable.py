"""
What was found of usage that may be sealed, kept for the next of its kind.

Meter and Stripe customer hold for one stretch of time of a customer, subscription and feature. Only the clock
changes the answer: that is looked at each time.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from meterledger.domain.blocking import MAX_AGE, MAX_AHEAD
from meterledger.domain.instant import Instant
from meterledger.domain.meter import Meter
from meterledger.domain.meter_event import UsageToSeal

MOST_CASES = 100_000
"""Remembered at once, half a KiB each; then they are asked again."""


class Sealable(NamedTuple):
    """Usage with an event_time from ``start`` to before ``end`` may be sealed before ``closes_at``."""

    start: Instant
    end: Instant
    closes_at: Instant
    meter: Meter
    billed: str
    is_ordered: bool


@dataclass(slots=True)
class SealableCases:
    """By customer_id, subscription and feature."""

    _cases: dict[tuple[str, str | None, str], list[Sealable]] = field(default_factory=dict)
    _count: int = 0

    def find(self, usage: UsageToSeal, now: Instant) -> Sealable | None:
        """Return what is known of usage, if nothing blocks it now; else it has to be judged."""
        at = usage.event_time
        if now - MAX_AGE <= at <= now + MAX_AHEAD:
            for case in self._cases.get((usage.customer_id, usage.subscription_id, usage.feature), ()):
                if case.start <= at < case.end and now < case.closes_at:
                    return case
        return None

    def add(self, usage: UsageToSeal, case: Sealable) -> None:
        """Remember what was found of usage that nothing blocks."""
        if self._count >= MOST_CASES:
            self.clear()
        self._count += 1
        # The latest first: usage mostly comes in order.
        names = (usage.customer_id, usage.subscription_id, usage.feature)
        self._cases.setdefault(names, []).insert(0, case)

    def clear(self) -> None:
        """Forget everything: what Stripe said of its meters has changed, or memory is full."""
        self._cases.clear()
        self._count = 0
