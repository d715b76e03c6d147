"""
Lateness: whether usage made its invoice, and what grace period it would take.

All instants here are whole seconds since the epoch, rounded down; delays are rounded up.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from meterledger.domain.instant import SECOND, Instant

GRACE_PERIODS_HOURS = (1, 3, 6, 12, 24, 48, 72)
"""The grace periods that Stripe offers and that are compared."""

MIN_SAMPLES = 20
"""Under so many samples nothing is concluded from delays."""

HISTORY_DAYS = 35
DAY_SECONDS = 86_400
_HOUR_SECONDS = 3600


class Landing(StrEnum):
    """Where a usage event stands against the deadline of its period."""

    LANDED = "landed"
    OPEN = "open"
    AT_RISK = "at_risk"
    MISSED = "missed"


class Condition(StrEnum):
    """What is known of a usage event's delivery."""

    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    """Stripe may have it: an unknown outcome, or in doubt."""
    HELD = "held"
    """Blocked or rejected: it will not go by itself."""
    WAITING = "waiting"
    ALREADY_BILLED = "already_billed"
    """An older system told Stripe of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What a usage event is measured against: deadline, now, margin, retry time, expected delivery delay."""

    deadline: int
    now: int
    safety_margin: int
    retry_time: int
    delivery_delay: int = 0


def landing(
    condition: Condition, yardstick: Yardstick, accepted_from: int | None, accepted_by: int | None
) -> Landing:
    """Return where a usage event stands; acceptance is only known to lie between its two bounds."""
    if condition is Condition.ALREADY_BILLED:
        return Landing.LANDED
    safe_until = yardstick.deadline - yardstick.safety_margin
    if condition is Condition.ACCEPTED and accepted_from is not None and accepted_by is not None:
        if accepted_by <= safe_until:
            return Landing.LANDED
        return Landing.MISSED if accepted_from > yardstick.deadline else Landing.AT_RISK
    if condition is Condition.UNKNOWN:
        return Landing.AT_RISK
    if yardstick.now > yardstick.deadline:
        return Landing.MISSED
    too_late = yardstick.now + yardstick.delivery_delay + yardstick.retry_time > safe_until
    return Landing.AT_RISK if condition is Condition.HELD or too_late else Landing.OPEN


def seconds(instant: Instant) -> int:
    """Return the whole second an instant lies in."""
    return instant // SECOND


def delay_seconds(start: Instant, end: Instant) -> int:
    """Return the delay between two instants in seconds, rounded up."""
    return -((start - end) // SECOND)


def nearest_rank(ordered: Sequence[int], percent: int) -> int:
    """Return a percentile by the nearest rank; ``ordered`` is sorted and not empty."""
    rank = -(-percent * len(ordered) // 100)
    return ordered[max(rank, 1) - 1]


@dataclass(slots=True)
class Delays:
    """The delays of one source and meter, in seconds."""

    arrival: "array[int]" = field(default_factory=lambda: array("q"))
    """From event_time to the arrival at the ledger: the import delay."""
    delivery: "array[int]" = field(default_factory=lambda: array("q"))
    ingestion: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, event_time: Instant, arrived: Instant, accepted: Instant | None) -> None:
        """Add one usage event; ``accepted`` is None while Stripe has not got it."""
        self.arrival.append(delay_seconds(event_time, arrived))
        if accepted is not None:
            self.delivery.append(delay_seconds(arrived, accepted))
            self.ingestion.append(delay_seconds(event_time, accepted))

    def expected_delivery(self) -> int:
        """Return the 99th percentile of the delivery delay; 0 under 20 samples."""
        if len(self.delivery) < MIN_SAMPLES:
            return 0
        return nearest_rank(sorted(self.delivery), 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class DelaySummary:
    """Percentiles of one kind of delay, in seconds."""

    count: int
    p50: int
    p90: int
    p99: int
    max: int


def summarized(delays: Iterable[int]) -> DelaySummary | None:
    """Return the percentiles of delays; None where there are none."""
    ordered = sorted(delays)
    if not ordered:
        return None
    return DelaySummary(
        count=len(ordered),
        p50=nearest_rank(ordered, 50),
        p90=nearest_rank(ordered, 90),
        p99=nearest_rank(ordered, 99),
        max=ordered[-1],
    )


@dataclass(slots=True)
class Rehearsal:
    """
    The period's end rehearsed at every UTC midnight of the 35 days before ``now``.

    For each boundary B: how long after B usage from before B was still coming in. Delays alone would
    mislead: a daily batch at 02:00 has delays of 26 h and needs a grace period of 3 h.
    """

    now: int
    samples: int = 0
    _by_source: dict[str, int] = field(default_factory=dict)

    def add(self, source: str, event_time: int, accepted: int | None) -> None:
        """Add one usage event; what is not accepted counts as still coming in."""
        self.samples += 1
        arrived = self.now if accepted is None else accepted
        first = -(-(self.now - HISTORY_DAYS * DAY_SECONDS) // DAY_SECONDS) * DAY_SECONDS
        boundary = max((event_time // DAY_SECONDS + 1) * DAY_SECONDS, first)
        if boundary <= min(arrived, self.now):
            lateness = arrived - boundary
            self._by_source[source] = max(self._by_source.get(source, 0), lateness)

    @property
    def largest_lateness(self) -> int:
        """The largest lateness at any boundary, in seconds."""
        return max(self._by_source.values(), default=0)

    @property
    def deciding_sources(self) -> list[str]:
        """The sources that the largest lateness comes from."""
        largest = self.largest_lateness
        return sorted(
            source for source, lateness in self._by_source.items() if lateness == largest and largest
        )

    def recommendation(self, retry_time: int, safety_margin: int) -> int | None:
        """Return the shortest grace period, in seconds, that all would have made; None where none does."""
        if self.samples < MIN_SAMPLES:
            return None
        needed = self.largest_lateness + retry_time + safety_margin
        return next((grace for grace in grace_periods_seconds() if needed <= grace), None)


def grace_periods_seconds() -> list[int]:
    """Return the grace periods that are compared, in seconds."""
    return [hours * _HOUR_SECONDS for hours in GRACE_PERIODS_HOURS]
