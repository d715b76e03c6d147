"""
Billing periods and their deadlines.

A period is [start, end). Periods are counted from an anchor, never stepped from the period before, so
that the 31st stays the 31st: calendar months in UTC, and each subscription's own cycle.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date
from functools import lru_cache

from meterledger.domain.instant import DAY, EPOCH, HOUR, Instant, to_datetime

DEFAULT_GRACE_PERIOD = HOUR
MAX_GRACE_PERIOD = 72 * HOUR
"""The longest grace period Stripe offers: after it no draft of the period is open."""


@dataclass(frozen=True, slots=True, order=True)
class BillingPeriod:
    """One billing period; both ends are instants, the end exclusive."""

    start: Instant
    end: Instant

    def holds(self, instant: Instant) -> bool:
        """Tell whether an instant lies in the period."""
        return self.start <= instant < self.end

    def deadline(self, grace_period: int) -> Instant:
        """Return when the period's invoice finalizes, given a grace period in microseconds."""
        return self.end + grace_period


@dataclass(frozen=True, slots=True)
class BillingCycle:
    """Periods of ``count`` times ``unit`` (day, week, month or year), counted from an anchor."""

    anchor: Instant
    unit: str
    count: int

    def period_at(self, instant: Instant) -> BillingPeriod:
        """Return the period that an instant lies in; the first and the last end with the calendar."""
        instant = min(max(instant, _FIRST), _LAST - 1)
        number = self._about(instant)
        start, end = self._boundary(number), self._boundary(number + 1)
        while start > instant:
            number -= 1
            start, end = self._boundary(number), start
        while end <= instant:
            number += 1
            start, end = end, self._boundary(number + 1)
        return BillingPeriod(start, end)

    def _about(self, instant: Instant) -> int:
        if self.unit in _DAYS:
            return (instant - self.anchor) // (_DAYS[self.unit] * self.count)
        first, then = to_datetime(self.anchor), to_datetime(instant)
        months = (then.year - first.year) * 12 + then.month - first.month
        return months // (_MONTHS[self.unit] * self.count)

    def _boundary(self, number: int) -> Instant:
        if self.unit in _DAYS:
            found = self.anchor + number * self.count * _DAYS[self.unit]
        else:
            found = _months_later(self.anchor, number * self.count * _MONTHS[self.unit])
        return min(max(found, _FIRST), _LAST)


_FIRST: Instant = (date.min.toordinal() - EPOCH.toordinal()) * DAY
_LAST: Instant = (date(MAXYEAR, 12, 1).toordinal() - EPOCH.toordinal()) * DAY
"""No usage is of that last year, and deadlines after this end can still be written."""

_DAYS = {"day": DAY, "week": 7 * DAY}
_MONTHS = {"month": 1, "year": 12}

CALENDAR_MONTHS = BillingCycle(0, "month", 1)


def calendar_month(instant: Instant) -> BillingPeriod:
    """Return the calendar month in UTC that an instant lies in."""
    return _month_of_day(instant // DAY)


@lru_cache(maxsize=4096)
def _month_of_day(day: int) -> BillingPeriod:
    moment = to_datetime(day * DAY)
    return _month_from_epoch((moment.year - EPOCH.year) * 12 + moment.month - EPOCH.month)


def _month_from_epoch(number: int) -> BillingPeriod:
    return BillingPeriod(_months_later(0, number), _months_later(0, number + 1))


def _months_later(anchor: Instant, months: int) -> Instant:
    """
    Return the same day and time so many months later, or the month's last day where it is shorter.

    Where no calendar has it, its first or last instant of use.
    """
    first = to_datetime(anchor).date()
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    if not MINYEAR <= year <= MAXYEAR:
        return _FIRST if year < MINYEAR else _LAST
    day = min(first.day, monthrange(year, month + 1)[1])
    return anchor + (date(year, month + 1, day).toordinal() - first.toordinal()) * DAY
