"""Billing periods: calendar months in UTC, counted and never stepped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.billing_period import (
    CALENDAR_MONTHS,
    BillingCycle,
    BillingPeriod,
    calendar_month,
    is_closed_for_certain,
    months_back,
)
from meterledger.domain.instant import DAY, HOUR, Instant, parse_instant, to_text
from support.properties import steady

INSTANTS = st.integers(parse_instant("0001-01-01T00:00:00Z"), parse_instant("9998-12-31T23:59:59Z"))


def dates(period: BillingPeriod) -> tuple[str, str]:
    """Return both ends of a period as text."""
    return to_text(period.start), to_text(period.end)


@pytest.mark.parametrize(
    ("instant", "start", "end"),
    [
        ("2026-10-15T12:00:00Z", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        ("2026-10-01T00:00:00Z", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        ("2026-09-30T23:59:59.999999Z", "2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z"),
        ("2026-10-01T01:00:00+02:00", "2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z"),
        ("2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("2024-02-29T00:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        ("2026-02-28T23:59:59Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("1969-12-31T23:59:59Z", "1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z"),
    ],
)
def test_a_calendar_month_in_utc(instant: str, start: str, end: str) -> None:
    """An instant lies in the month that UTC shows, whatever the offset it was written at."""
    assert (start, end) == dates(calendar_month(parse_instant(instant)))


@steady
@given(instant=INSTANTS)
def test_months_tile_time(instant: Instant) -> None:
    """Every instant lies in exactly one month, and a month begins where the one before ends."""
    month = calendar_month(instant)

    assert month.holds(instant)
    assert calendar_month(month.start) == month
    assert calendar_month(month.end).start == month.end
    assert not month.holds(month.end)
    assert 28 * DAY <= month.end - month.start <= 31 * DAY


@pytest.mark.parametrize(
    ("back", "start", "end"),
    [
        (0, "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"),
        (1, "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        (3, "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        (25, "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        (12 * 60, "1966-03-01T00:00:00Z", "1966-04-01T00:00:00Z"),
    ],
)
def test_going_back_by_months(back: int, start: str, end: str) -> None:
    """Months back are whole calendar months, over years and the epoch alike."""
    march = calendar_month(parse_instant("2026-03-31T00:00:00Z"))

    assert (start, end) == dates(months_back(march, back))


def test_the_deadline_is_the_end_and_the_grace_period() -> None:
    """The invoice of a period finalizes one grace period after its end."""
    october = calendar_month(parse_instant("2026-10-15T00:00:00Z"))

    assert to_text(october.deadline(HOUR)) == "2026-11-01T01:00:00Z"
    assert to_text(october.deadline(72 * HOUR)) == "2026-11-04T00:00:00Z"
    assert october.deadline(0) == october.end


@pytest.mark.parametrize(
    ("now", "known", "expected"),
    [
        ("2026-11-04T00:00:00Z", True, True),
        ("2026-11-03T23:59:59.999999Z", True, False),
        ("2026-10-15T00:00:00Z", True, False),
        ("2027-10-15T00:00:00Z", True, True),
        ("2026-11-04T00:00:00Z", False, False),
        ("2036-11-04T00:00:00Z", False, False),
    ],
)
def test_a_period_is_closed_for_certain_only_if_its_dates_are_known(
    now: str, known: object, expected: object
) -> None:
    """72 hours after its end a period of known dates is closed, and one of assumed dates never is."""
    october = calendar_month(parse_instant("2026-10-15T00:00:00Z"))

    assert expected is is_closed_for_certain(october, parse_instant(now), dates_known=known is True)


@pytest.mark.parametrize("back", [0, 1, 24_313, 30_000, 10**30])
def test_before_the_calendar_there_is_no_month(back: int) -> None:
    """Who looks back further than the calendar gets its first month."""
    first = ("0001-01-01T00:00:00Z", "0001-02-01T00:00:00Z")
    assert dates(months_back(calendar_month(parse_instant(first[0])), back)) == first
    if back > 24_000:
        assert dates(months_back(calendar_month(parse_instant("2026-11-01T00:00:00Z")), back)) == first


@pytest.mark.parametrize(
    ("anchor", "unit", "count", "instant", "start", "end"),
    [
        ("2026-01-31T06", "month", 1, "2026-03-01T00", "2026-02-28T06", "2026-03-31T06"),
        ("2026-01-31T06", "month", 1, "2026-02-28T05", "2026-01-31T06", "2026-02-28T06"),
        ("2026-06-15T00", "month", 3, "2026-06-14T23", "2026-03-15T00", "2026-06-15T00"),
        ("2024-02-29T00", "year", 1, "2026-02-28T00", "2026-02-28T00", "2027-02-28T00"),
        ("2026-06-15T00", "week", 2, "2026-06-29T00", "2026-06-29T00", "2026-07-13T00"),
    ],
)
def test_a_billing_cycle_is_counted_from_its_anchor(  # one row of a table
    anchor: str, unit: str, count: int, instant: str, start: str, end: str
) -> None:
    """Never stepped from the period before: the 31st stays the 31st; before the anchor it goes backwards."""
    cycle = BillingCycle(parse_instant(f"{anchor}:00:00Z"), unit, count)

    found = cycle.period_at(parse_instant(f"{instant}:00:00Z"))

    assert dates(found) == (f"{start}:00:00Z", f"{end}:00:00Z")


@steady
@given(st.integers(parse_instant("1970-01-01T00:00:00Z"), parse_instant("2100-01-01T00:00:00Z")))
def test_calendar_months_are_a_cycle_too(instant: Instant) -> None:
    """The cycle anchored at the epoch is the calendar."""
    assert CALENDAR_MONTHS.period_at(instant) == calendar_month(instant)
