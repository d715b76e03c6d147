"""
Rhythm: when a source usually brings its usage, and whether it has brought that of a period yet.

The period's end is rehearsed on the days before it, at its time of day: how long after each boundary usage
of before it still arrived, and how far short of the boundary it stopped. A daily batch at 02:00 is done two
hours after midnight; a source of minutes is done within minutes. Of days of the week that differ (no batch
on Sundays), the same day of the week counts, once there are enough of them.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from typing import NamedTuple

from meterledger.domain.instant import DAY, MINUTE, Instant

HISTORY = 35 * DAY
MIN_BOUNDARIES = 3
"""Under so many rehearsed days' ends nothing is expected of a source."""

MIN_SAME_WEEKDAY = 4
_WEEK_DAYS = 7
_STRAGGLERS = 100
"""Nobody waits for the slowest one of so many usage events: mended rows and stragglers are no rhythm."""

_USUAL_PERCENT = 90


class Arrivals(NamedTuple):
    """Usage events of one source that arrived together; the instants of the first and the last of them."""

    arrived_at: Instant
    first_event_time: Instant
    last_event_time: Instant
    usage_events: int


class SourceState(StrEnum):
    """What a source has brought of a period, by its rhythm."""

    EXPECTED = "expected"
    LATE = "late"
    COMPLETE = "complete"
    TOO_LITTLE_HISTORY = "too_little_history"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """A source seen from the end of a period; spans in microseconds."""

    state: SourceState
    last_delivery: Instant
    reached: Instant
    """The latest event_time that it brought."""
    interval: int | None
    """The usual time between deliveries; None under two of them."""
    has_passed: bool
    """Whether it has reached the period's end, as far as it usually does."""
    complete_by: Instant | None
    """By when, on nine of ten such days, all of it had arrived; None without enough history."""
    days: int
    """The days' ends that this was learnt from."""

    @property
    def next_delivery(self) -> Instant | None:
        """When the next delivery is to be expected."""
        return None if self.interval is None else self.last_delivery + self.interval


class _Usual(NamedTuple):
    """How usage of before a boundary arrives: learnt from boundaries like it."""

    late: int
    """How long after the boundary it still arrives; 0 if all of it is there before."""
    ahead: int
    """How long before the boundary its last usage may already be there."""
    short: int
    """How far before the boundary its last event_time may lie."""
    days: int


class Rhythm:
    """What one source has brought, and when."""

    def __init__(self, arrivals: Iterable[Arrivals]) -> None:
        """Take what arrived, in any order; raises ValueError for nothing."""
        kept = sorted(_stragglers_forgiven(list(arrivals)))
        if not kept:
            msg = "no arrivals"
            raise ValueError(msg)
        self._arrived = [one.arrived_at for one in kept]
        self._reached = list(accumulate((one.last_event_time for one in kept), max))
        """By each arrival, the latest event_time so far."""
        backwards = accumulate((one.first_event_time for one in reversed(kept)), min)
        self._still_to_come = list(backwards)[::-1]
        """From each arrival on, the earliest event_time to come; neither ever falls."""
        self._interval = _usual_gap(self._arrived)

    def outlook(self, end: Instant, now: Instant) -> Outlook:
        """Return what the source has brought of the period that ends at an instant, and what is due."""
        usual = self._usual(end)
        has_passed = usual is not None and self._passes(end, usual)
        complete_by = None if usual is None else end + usual.late
        if usual is None or complete_by is None:
            state = SourceState.TOO_LITTLE_HISTORY
        elif has_passed and now >= complete_by:
            state = SourceState.COMPLETE
        elif any(self._is_late(boundary, now) for boundary in _latest_two(end, now)):
            state = SourceState.LATE
        else:
            state = SourceState.EXPECTED
        return Outlook(
            state=state,
            last_delivery=self._arrived[-1],
            reached=self._reached[-1],
            interval=self._interval,
            has_passed=has_passed,
            complete_by=complete_by,
            days=usual.days if usual else self._days(end),
        )

    def _is_late(self, boundary: Instant, now: Instant) -> bool:
        """Tell whether a boundary should have been passed by now; arrivals are exact to the minute."""
        usual = self._usual(boundary)
        return (
            usual is not None and now > boundary + usual.late + MINUTE and not self._passes(boundary, usual)
        )

    def _passes(self, boundary: Instant, usual: _Usual) -> bool:
        """Tell whether, once the last usage could be there, it reached as far as it usually does."""
        at = max(
            bisect_left(self._reached, boundary - usual.short),
            bisect_left(self._arrived, boundary - usual.ahead),
        )
        return at < len(self._arrived)

    def _usual(self, end: Instant) -> _Usual | None:
        found = self._rehearsed(end)
        same = found[_WEEK_DAYS]
        if len(same) < MIN_SAME_WEEKDAY:
            same = found[0]
        if len(same) < MIN_BOUNDARIES:
            return None
        offsets = sorted(offset for offset, _ in same)
        return _Usual(
            late=max(offsets[-(-_USUAL_PERCENT * len(offsets) // 100) - 1], 0),
            ahead=max(-offsets[0], 0),
            short=max(short for _, short in same),
            days=len(same),
        )

    def _days(self, end: Instant) -> int:
        return len(self._rehearsed(end)[0])

    def _rehearsed(self, end: Instant) -> dict[int, list[tuple[int, int]]]:
        """
        Return how usage arrived around the boundaries before an end.

        For each: how long after it the last usage of before it arrived (negative: before it), and how far
        short of it the latest event_time stopped then. All under 0, those of the same weekday under 7.
        Only boundaries that the source has gone past since, and before which it had begun.
        """
        found: dict[int, list[tuple[int, int]]] = {0: [], _WEEK_DAYS: []}
        first = max(1, -((self._reached[-1] - end) // DAY))
        for day in range(first, first + HISTORY // DAY):
            boundary = end - day * DAY
            last = bisect_left(self._still_to_come, boundary) - 1
            if self._arrived[0] >= boundary or last < 0:
                break
            one = (self._arrived[last] - boundary, max(boundary - self._reached[last], 0))
            found[0].append(one)
            if day % _WEEK_DAYS == 0:
                found[_WEEK_DAYS].append(one)
        return found


def _latest_two(end: Instant, now: Instant) -> tuple[Instant, Instant]:
    """Return the last two days' ends up to now, at the time of day of a period's end, and none after it."""
    latest = end - max(0, -((now - end) // DAY)) * DAY
    return latest, latest - DAY


def _stragglers_forgiven(arrivals: Sequence[Arrivals]) -> Iterator[Arrivals]:
    """Take the slowest hundredth of the usage as if it was of the time it arrived: nobody waits for it."""
    to_forgive = sum(one.usage_events for one in arrivals) // _STRAGGLERS
    by_delay = sorted(arrivals, key=lambda one: one.first_event_time - one.arrived_at)
    for one, up_to in zip(by_delay, accumulate(one.usage_events for one in by_delay), strict=True):
        yield one._replace(first_event_time=one.arrived_at) if up_to <= to_forgive else one


def _usual_gap(instants: Sequence[Instant]) -> int | None:
    """Return the gap that half of the time lies in or below: nights and bursts do not mislead it."""
    gaps = sorted(later - earlier for earlier, later in pairwise(instants))
    so_far = list(accumulate(gaps))
    if not so_far or not so_far[-1]:
        return None
    return gaps[bisect_left(so_far, -(-so_far[-1] // 2))]
