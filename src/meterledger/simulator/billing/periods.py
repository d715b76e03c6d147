"""
When billing periods begin and end.

Every boundary is counted from the anchor, never from the boundary before it, so that a period that ended
early in a short month does not pull the later ones along: the 31st becomes the 28th and the 31st again.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from dateutil.relativedelta import relativedelta

from meterledger.simulator.instants import DAY_SECONDS, LATEST_EPOCH_SECONDS

NEVER = LATEST_EPOCH_SECONDS + 1  # the boundary after the last that a calendar here can name

_WEEK_DAYS = 7
_YEAR_MONTHS = 12


class Interval(StrEnum):
    """What a billing period is counted in."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


# Stripe bills at least every three years.
MOST_INTERVALS = {Interval.DAY: 1095, Interval.WEEK: 156, Interval.MONTH: 36, Interval.YEAR: 3}

_SHORTEST_DAYS = {Interval.DAY: 1, Interval.WEEK: 7, Interval.MONTH: 28, Interval.YEAR: 365}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """How long a billing period is: so many intervals."""

    interval: Interval
    count: int

    @property
    def shortest_seconds(self) -> int:
        """The length of the shortest period there can be, in seconds."""
        return _SHORTEST_DAYS[self.interval] * self.count * DAY_SECONDS


def boundary(anchor: int, cycle: Cycle, number: int) -> int:
    """
    Return the instant that lies a number of periods after the anchor, or before it where negative.

    Args:
        anchor: Seconds since the epoch.
        cycle: The length of a period.
        number: How many periods.

    Returns:
        Seconds since the epoch; `NEVER` where the calendar ends before.
    """
    step = cycle.count * number
    match cycle.interval:
        case Interval.DAY:
            return min(anchor + step * DAY_SECONDS, NEVER)
        case Interval.WEEK:
            return min(anchor + step * _WEEK_DAYS * DAY_SECONDS, NEVER)
        case Interval.MONTH:
            return _months_after(anchor, step)
        case Interval.YEAR:
            return _months_after(anchor, step * _YEAR_MONTHS)


def next_boundary(anchor: int, cycle: Cycle, instant: int) -> int:
    """Return the first boundary after an instant; all in seconds since the epoch."""
    if instant >= NEVER:
        return NEVER
    number = _periods_between(anchor, cycle, instant) - 1
    while (found := boundary(anchor, cycle, number)) <= instant:
        number += 1
    return found


def previous_boundary(anchor: int, cycle: Cycle, instant: int) -> int:
    """Return the last boundary up to an instant; all in seconds since the epoch."""
    number = _periods_between(anchor, cycle, instant) + 1
    while (found := boundary(anchor, cycle, number)) > instant:
        number -= 1
    return found


def _periods_between(anchor: int, cycle: Cycle, instant: int) -> int:
    """Return how many periods lie between the two at the most, none of them after the instant but one."""
    match cycle.interval:
        case Interval.DAY:
            return (instant - anchor) // (cycle.count * DAY_SECONDS)
        case Interval.WEEK:
            return (instant - anchor) // (cycle.count * _WEEK_DAYS * DAY_SECONDS)
        case Interval.MONTH:
            return _months_between(anchor, instant) // cycle.count
        case Interval.YEAR:
            return _months_between(anchor, instant) // (cycle.count * _YEAR_MONTHS)


def _months_between(first: int, second: int) -> int:
    before, after = datetime.fromtimestamp(first, tz=UTC), datetime.fromtimestamp(second, tz=UTC)
    return (after.year - before.year) * _YEAR_MONTHS + after.month - before.month


def _months_after(anchor: int, months: int) -> int:
    try:
        moved = datetime.fromtimestamp(anchor, tz=UTC) + relativedelta(months=months)
    except (OverflowError, ValueError):
        return NEVER
    return int(moved.timestamp())
