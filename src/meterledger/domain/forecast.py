"""
The forecast: how much usage of a closing period will reach Stripe after its deadline.

The period's end is rehearsed at the same time of day on each earlier day of the history: of the usage from
before such a boundary, how much reached Stripe later than the boundary plus the grace period? The coming
end is expected to be like these.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from meterledger.domain.billing_period import BillingPeriod
from meterledger.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from meterledger.domain.lateness import HISTORY_DAYS, MIN_SAMPLES, grace_periods_seconds
from meterledger.domain.push_schedule import PushSchedule
from meterledger.domain.quantity import Quantity, rescaled

MIN_BOUNDARIES = 3
"""Under so many rehearsed boundaries nothing is forecast."""

MIN_SAME_WEEKDAY = 4
"""From so many boundaries of the coming one's weekday on, only these count."""

LONGEST_WAIT = 14 * DAY
"""Boundaries are not left out for longer than this because something may still come for them."""

ENDED_AFTER = 7 * DAY
"""A source that is silent for longer is taken to have ended."""

_LEAST_SILENCE = HOUR
_WEEK = 7 * DAY
_FINEST_SCALE = 12
_PARTS_OF_INTERVAL = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 30, 60, 120, 240, 480, 1440)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A billing period whose deadline is ahead, of one meter."""

    period: BillingPeriod
    deadline: Instant
    event_name: str

    @property
    def grace_period(self) -> int:
        """From the end to the deadline, in microseconds."""
        return self.deadline - self.period.end


@dataclass(slots=True)
class Late:
    """What reached Stripe too late for one boundary; durations in microseconds."""

    events: int = 0
    units: int = 0
    """At the finest scale."""
    lateness: int = 0
    """How long after the boundary the last of it reached Stripe."""
    earlier: int = 0
    """How much earlier all of it would have to arrive."""
    spare: int | None = None
    """How long a push may be waited for so that all of it is in time; below zero where none helps."""
    is_hopeless: bool = False
    """Some of it did not even exist at the last push before the deadline."""


@dataclass(slots=True, kw_only=True)
class LateUsage:
    """Finds the usage of one source that comes too late for the boundaries at one time of day."""

    time_of_day: int
    """Of the boundaries, in microseconds."""
    length: int
    """Of the period before a boundary: usage from before it is of another period."""
    grace_period: int
    safety_margin: int
    schedule: PushSchedule
    by_boundary: dict[Instant, Late] = field(default_factory=dict)

    @classmethod
    def of(cls, closing: Closing, schedule: PushSchedule, safety_margin: int) -> "LateUsage":
        """Return what finds the usage that is late for boundaries like the end of a closing period."""
        return cls(
            time_of_day=closing.period.end % DAY,
            length=closing.period.end - closing.period.start,
            grace_period=closing.grace_period,
            safety_margin=safety_margin,
            schedule=schedule,
        )

    def note(self, event_time: Instant, arrival: Instant, units: int, scale: int) -> None:
        """Note a usage event that arrived at an instant, for every boundary that it is too late for."""
        schedule = self.schedule
        number = schedule.number(arrival)
        sending = schedule.sending(number)
        reached = schedule.phase + number * schedule.every + sending
        boundary = event_time - (event_time - self.time_of_day) % DAY + DAY
        while (boundary + self.grace_period) // SECOND < reached // SECOND:
            if boundary - event_time > self.length:
                return
            late = self.by_boundary.get(boundary)
            if late is None:
                late = self.by_boundary[boundary] = Late()
            late.events += 1
            late.units += rescaled(units, scale, _FINEST_SCALE)
            late.lateness = max(late.lateness, reached - boundary)
            until = boundary + self.grace_period - self.safety_margin - sending
            last_push = schedule.last_push(until)
            late.is_hopeless |= last_push <= event_time
            late.earlier = max(late.earlier, arrival - last_push)
            late.spare = until - arrival if late.spare is None else min(late.spare, until - arrival)
            boundary += DAY


@dataclass(slots=True)
class SourceHistory:
    """When usage of one source and meter arrived; instants and durations in microseconds."""

    samples: int = 0
    first_arrival: Instant = 0
    last_arrival: Instant = 0
    longest_gap: int = 0

    def note(self, first: Instant, last: Instant, events: int = 1) -> None:
        """Note arrivals between two instants; arrivals have to be noted in the order of time."""
        if self.samples:
            self.longest_gap = max(self.longest_gap, first - self.last_arrival)
        else:
            self.first_arrival = first
        self.last_arrival = max(last, self.last_arrival)
        self.samples += events

    def is_silent(self, now: Instant) -> bool:
        """Tell whether nothing has come for over twice the longest gap there was before."""
        return now - self.last_arrival > max(2 * self.longest_gap, _LEAST_SILENCE)

    def has_ended(self, now: Instant) -> bool:
        """Tell whether it has been silent for so long that nothing of it is expected any more."""
        return self.is_silent(now) and now - self.last_arrival > ENDED_AFTER


@dataclass(frozen=True, slots=True)
class Expected:
    """A number of usage events, and what they add up to; each is of its own boundary."""

    events: int
    units: int

    @property
    def quantity(self) -> Quantity:
        """What they add up to."""
        return Quantity(self.units, _FINEST_SCALE)

    def __add__(self, other: "Expected") -> "Expected":
        return Expected(self.events + other.events, self.units + other.units)


NOTHING = Expected(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What is expected to be late (the median boundary), and the smallest and largest of all boundaries."""

    expected: Expected
    least: Expected
    most: Expected

    def __add__(self, other: "Range") -> "Range":
        return Range(
            expected=self.expected + other.expected,
            least=self.least + other.least,
            most=self.most + other.most,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceForecast:
    """The forecast of one source; None in place of a range where there is too little history."""

    source: str
    late: Range | None
    samples: int
    boundaries: int
    weekday_only: bool
    longest_lateness: int = 0
    """How long after a boundary usage that was too late reached Stripe, at the most; in microseconds."""
    silent_since: Instant | None = None


class ChangeKind(StrEnum):
    """What could be changed so that nothing is late."""

    GRACE_PERIOD = "grace_period"
    PUSH_EVERY = "push_every"
    DELIVER_EARLIER = "deliver_earlier"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one change alone would take, in seconds; None where even that would not do."""

    kind: ChangeKind
    seconds: int | None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The forecast of a closing period: the sum of those of its sources."""

    closing: Closing
    late: Range | None
    sources: tuple[SourceForecast, ...]
    changes: tuple[Change, ...] = ()

    @property
    def samples(self) -> int:
        """How many usage events of the history it rests on."""
        return sum(one.samples for one in self.sources)

    @property
    def boundaries(self) -> int:
        """How many boundaries were rehearsed, for the source that has the fewest."""
        return min((one.boundaries for one in self._known or self.sources), default=0)

    @property
    def weekday_only(self) -> bool:
        """Whether they are all of the weekday of the coming end."""
        return bool(self._known) and all(one.weekday_only for one in self._known)

    @property
    def unknown_sources(self) -> list[str]:
        """The sources that have too little history, and are left out of the sums."""
        return [one.source for one in self.sources if one.late is None]

    @property
    def _known(self) -> list[SourceForecast]:
        return [one for one in self.sources if one.late is not None]


def forecast(
    closing: Closing,
    histories: Mapping[str, SourceHistory],
    late: Mapping[str, LateUsage],
    *,
    now: Instant,
) -> Forecast:
    """
    Return the forecast of a closing period.

    Args:
        closing: The period, deadline and meter.
        histories: When usage of the meter arrived, by source.
        late: What was too late for boundaries like the end of the period, by source; none where nothing was.
        now: Usage that arrived by then is known.
    """
    sources, used = [], {}
    for source, history in sorted(histories.items()):
        if history.has_ended(now):
            continue
        cells = late[source].by_boundary if source in late else {}
        boundaries, weekday_only = _rehearsed(closing, history, cells, now)
        found = [cells.get(boundary, _NONE) for boundary in boundaries]
        is_known = history.samples >= MIN_SAMPLES and len(boundaries) >= MIN_BOUNDARIES
        if is_known and any(one.events for one in found):
            used[source] = found
        sources.append(
            SourceForecast(
                source=source,
                late=_range(found) if is_known else None,
                samples=history.samples,
                boundaries=len(boundaries),
                weekday_only=weekday_only,
                longest_lateness=max((one.lateness for one in found), default=0),
                silent_since=history.last_arrival if history.is_silent(now) else None,
            )
        )
    total = None
    for one in sources:
        if one.late is not None:
            total = one.late if total is None else total + one.late
    return Forecast(closing=closing, late=total, sources=tuple(sources), changes=tuple(_changes(used, late)))


_NONE = Late()


def _rehearsed(
    closing: Closing, history: SourceHistory, cells: Mapping[Instant, Late], now: Instant
) -> tuple[list[Instant], bool]:
    """Return the boundaries that count for a source, and whether they are of one weekday."""
    since = max(now - HISTORY_DAYS * DAY, history.first_arrival + DAY)
    longest = max((late.lateness for boundary, late in cells.items() if boundary >= since), default=0)
    wait = min(max(longest, closing.grace_period), LONGEST_WAIT)
    # What a silent source still owes is not known to be on time.
    known_by = history.last_arrival if history.is_silent(now) else now
    first = since + (closing.period.end - since) % DAY
    found = list(range(first, min(known_by - wait, closing.period.end), DAY))
    same = [boundary for boundary in found if (closing.period.end - boundary) % _WEEK == 0]
    return (same, True) if len(same) >= MIN_SAME_WEEKDAY else (found, False)


def _range(found: list[Late]) -> Range:
    events = sorted(late.events for late in found)
    units = sorted(late.units for late in found)
    middle = (len(found) - 1) // 2
    return Range(
        expected=Expected(events[middle], units[middle]),
        least=Expected(events[0], units[0]),
        most=Expected(events[-1], units[-1]),
    )


def _changes(used: Mapping[str, list[Late]], late: Mapping[str, LateUsage]) -> Iterable[Change]:
    """Yield what would do alone: for all, a grace period or pushes; for a source, its earlier arrival."""
    cells = [one for found in used.values() for one in found if one.events]
    if not cells:
        return
    like = late[next(iter(used))]
    needed = -(-(max(one.lateness for one in cells) + like.safety_margin) // SECOND)
    enough = (grace for grace in grace_periods_seconds() if grace >= needed)
    yield Change(kind=ChangeKind.GRACE_PERIOD, seconds=next(enough, None))
    spare = min(one.spare for one in cells if one.spare is not None)
    for parts in _PARTS_OF_INTERVAL:
        # A part of the interval keeps every push there was: nothing gets later by it.
        shorter, rest = divmod(like.schedule.every, parts)
        if shorter < MINUTE:
            break
        if not rest and shorter % SECOND == 0 and shorter <= spare:
            yield Change(kind=ChangeKind.PUSH_EVERY, seconds=shorter // SECOND)
            break
    for source, found in used.items():
        is_hopeless = any(one.is_hopeless for one in found)
        earlier = max(one.earlier for one in found)
        seconds = None if is_hopeless else -(-earlier // MINUTE) * 60
        yield Change(kind=ChangeKind.DELIVER_EARLIER, seconds=seconds, source=source)
