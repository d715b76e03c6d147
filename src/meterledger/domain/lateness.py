"""
Lateness: whether usage made its invoice, and what grace period it would take.

All instants here are whole seconds since the epoch, rounded down; delays are rounded up.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate, pairwise, repeat
from operator import floordiv, sub

from meterledger.domain.instant import DAY, SECOND, Instant

GRACE_PERIODS_HOURS = (1, 3, 6, 12, 24, 48, 72)
"""The grace periods that Stripe offers and that are compared."""

MIN_SAMPLES = 20
"""Under so many samples nothing is concluded from delays."""

HISTORY_DAYS = 35
DAY_SECONDS = 86_400
_HOUR_SECONDS = 3600

BIN_EDGES = (
    60, 300, 900, 1800, 3600, 2 * 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 48 * 3600, 72 * 3600,
    7 * DAY_SECONDS,
)  # fmt: skip
"""The bins of a histogram of delays, in seconds; each ends with its edge."""


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

    @property
    def safe_until(self) -> int:
        """The deadline less the margin: what is accepted by then has landed."""
        return self.deadline - self.safety_margin


class Rule(StrEnum):
    """The line of the audit that says where a usage event stands; A is when Stripe accepted it."""

    ALREADY_BILLED = "already billed"
    IN_TIME = "A <= D - m"
    IN_THE_MARGIN = "D - m < A <= D"
    STRADDLES = "accepted_from <= D < accepted_by"
    LATE = "A > D"
    UNKNOWN = "unknown outcome, or in doubt"
    NEVER_CAME = "not accepted, and T > D"
    HELD = "blocked or rejected, and T <= D"
    SHORT_OF_TIME = "not accepted, and T + d + r > D - m"
    STILL_TIME = "not accepted, and none of the others"

    @property
    def landing(self) -> Landing:
        """Where it puts usage."""
        return _LANDINGS[self]


_LANDINGS = {
    Rule.ALREADY_BILLED: Landing.LANDED,
    Rule.IN_TIME: Landing.LANDED,
    Rule.IN_THE_MARGIN: Landing.AT_RISK,
    Rule.STRADDLES: Landing.AT_RISK,
    Rule.LATE: Landing.MISSED,
    Rule.UNKNOWN: Landing.AT_RISK,
    Rule.NEVER_CAME: Landing.MISSED,
    Rule.HELD: Landing.AT_RISK,
    Rule.SHORT_OF_TIME: Landing.AT_RISK,
    Rule.STILL_TIME: Landing.OPEN,
}


def judged(
    condition: Condition, yardstick: Yardstick, accepted_from: int | None, accepted_by: int | None
) -> Rule:
    """Return the line that holds of a usage event; acceptance is only known to lie between its two bounds."""
    if condition is Condition.ALREADY_BILLED:
        return Rule.ALREADY_BILLED
    if condition is Condition.UNKNOWN:
        return Rule.UNKNOWN
    if condition is Condition.ACCEPTED and accepted_from is not None and accepted_by is not None:
        return _judged_accepted(yardstick, accepted_from, accepted_by)
    if yardstick.now > yardstick.deadline:
        return Rule.NEVER_CAME
    if condition is Condition.HELD:
        return Rule.HELD
    done = yardstick.now + yardstick.delivery_delay + yardstick.retry_time
    return Rule.SHORT_OF_TIME if done > yardstick.safe_until else Rule.STILL_TIME


def _judged_accepted(yardstick: Yardstick, accepted_from: int, accepted_by: int) -> Rule:
    if accepted_by <= yardstick.safe_until:
        return Rule.IN_TIME
    if accepted_by <= yardstick.deadline:
        return Rule.IN_THE_MARGIN
    return Rule.LATE if accepted_from > yardstick.deadline else Rule.STRADDLES


@dataclass(frozen=True, slots=True, kw_only=True)
class DelaySummary:
    """Percentiles of one kind of delay, in seconds, by nearest rank."""

    count: int
    p50: int
    p90: int
    p99: int
    max: int


class Distribution:
    """The distribution of many delays, in seconds."""

    def __init__(self, delays: Iterable[int]) -> None:
        """Take delays in microseconds; or, in a Mapping, how many there are of each delay in seconds."""
        if not isinstance(delays, Mapping):
            delays = Counter(-(-delay // SECOND) for delay in delays)
        self._seconds: list[int] = sorted(delays)
        self._up_to = [0, *accumulate(delays[seconds] for seconds in self._seconds)]
        self._count = self._up_to[-1]

    def nearest_rank(self, percent: int) -> int:
        """Return a percentile by the nearest rank; raises IndexError where there are no delays."""
        rank = max(-(-percent * self._count // 100), 1)
        return self._seconds[bisect_left(self._up_to, rank) - 1]

    def summary(self) -> DelaySummary | None:
        """Return the percentiles; None where there are no delays."""
        if not self._count:
            return None
        return DelaySummary(
            count=self._count,
            p50=self.nearest_rank(50),
            p90=self.nearest_rank(90),
            p99=self.nearest_rank(99),
            max=self._seconds[-1],
        )

    def histogram(self) -> list[int]:
        """Return how many delays are in each bin: up to and including each edge, and at last beyond."""
        up_to = [self._up_to[bisect_right(self._seconds, edge)] for edge in BIN_EDGES]
        return [upper - lower for lower, upper in pairwise((0, *up_to, self._count))]


@dataclass(slots=True)
class Delays:
    """
    The delays of one source and meter, counted by whole seconds.

    Many at once and without a line of Python for each, for there may be millions of them. They are kept the
    wrong way around: // rounds down, and a delay is rounded up.
    """

    lateness: int = 0
    """The largest lateness at any rehearsed boundary, in microseconds."""
    _import: Counter[int] = field(default_factory=Counter)
    _delivery: Counter[int] = field(default_factory=Counter)
    _ingestion: Counter[int] = field(default_factory=Counter)

    def count(
        self, event_times: Sequence[Instant], arrivals: Sequence[Instant], acceptances: Sequence[Instant]
    ) -> None:
        """Count accepted usage events: when each was used, arrived at the ledger and was accepted."""
        self._import.update(_whole_seconds(event_times, arrivals))
        self._delivery.update(_whole_seconds(arrivals, acceptances))
        self._ingestion.update(_whole_seconds(event_times, acceptances))

    def count_unaccepted(self, event_time: Instant, arrival: Instant) -> None:
        """Count a usage event that is not accepted."""
        self._import[(event_time - arrival) // SECOND] += 1

    def kinds(self) -> dict[str, Counter[int]]:
        """Return how many there are of each import, delivery and ingestion delay, in seconds."""
        found = {"import": self._import, "delivery": self._delivery, "ingestion": self._ingestion}
        return {kind: Counter({-seconds: n for seconds, n in one.items()}) for kind, one in found.items()}

    def rehearse(
        self, event_time: Instant, known_by: Instant, time_of_day: int, within: tuple[Instant, Instant]
    ) -> None:
        """
        Rehearse a period's end with one usage event: how long after a boundary it still came in.

        Args:
            event_time: When it was used.
            known_by: When it was accepted; now where it is not.
            time_of_day: The boundaries', in microseconds.
            within: The first and the last instant at which a boundary counts.
        """
        first = max(event_time + 1, within[0])
        boundary = first + (time_of_day - first) % DAY
        if boundary <= known_by and boundary <= within[1]:
            self.lateness = max(self.lateness, known_by - boundary)


def _whole_seconds(earlier: Iterable[Instant], later: Iterable[Instant]) -> Iterator[int]:
    """Yield how long before the later ones the earlier are: whole seconds, never more than it is."""
    return map(floordiv, map(sub, earlier, later), repeat(SECOND))


def expected_delivery(delivery: Counter[int]) -> int:
    """Return the 99th percentile of delivery delays, in seconds; 0 under 20 samples."""
    return Distribution(delivery).nearest_rank(99) if delivery.total() >= MIN_SAMPLES else 0


@dataclass(slots=True)
class Rehearsal:
    """
    The period's end rehearsed on every day of the history, at the period end's time of day.

    For each boundary B: how long after B usage from before B was still coming in. Delays alone would
    mislead: a daily batch at 02:00 has delays of 26 h and needs a grace period of 3 h.
    """

    samples: int = 0
    by_source: dict[str, int] = field(default_factory=dict)
    """The largest lateness of each source, in seconds."""

    def note(self, source: str, lateness: int) -> None:
        """Note how late usage of a source came in after a boundary."""
        self.by_source[source] = max(self.by_source.get(source, 0), lateness)

    @property
    def largest_lateness(self) -> int:
        """The largest lateness at any boundary, in seconds."""
        return max(self.by_source.values(), default=0)

    @property
    def deciding_sources(self) -> list[str]:
        """The sources that the largest lateness comes from."""
        largest = self.largest_lateness
        return sorted(
            source for source, lateness in self.by_source.items() if lateness == largest and largest
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
