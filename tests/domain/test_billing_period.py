"""Billing periods: calendar months in UTC, counted and never stepped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.billing_period import (
    CALENDAR_MONTHS,
    BillingCycle,
    BillingPeriod,
    calendar_month,
)
from meterledger.domain.instant import DAY, HOUR, Instant, parse_instant, to_text
from support.properties import steady

INSTANTS_FROM, INSTANTS_TO = parse_instant("0001-01-01T00:00:00Z"), parse_instant("9998-12-31T23:59:59Z")
INSTANTS = st.integers(INSTANTS_FROM, INSTANTS_TO)


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


def test_the_deadline_is_the_end_and_the_grace_period() -> None:
    """The invoice of a period finalizes one grace period after its end."""
    october = calendar_month(parse_instant("2026-10-15T00:00:00Z"))

    assert to_text(october.deadline(HOUR)) == "2026-11-01T01:00:00Z"
    assert to_text(october.deadline(72 * HOUR)) == "2026-11-04T00:00:00Z"
    assert october.deadline(0) == october.end


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


@steady
@given(
    st.one_of(
        INSTANTS,
        st.integers(INSTANTS_FROM, INSTANTS_FROM + 4000 * DAY),
        st.integers(INSTANTS_TO - 4000 * DAY, INSTANTS_TO + DAY),
    ),
    st.integers(parse_instant("1970-01-01T00:00:00Z"), parse_instant("3000-01-01T00:00:00Z")),
    st.sampled_from([("day", 1), ("day", 4000), ("week", 1), ("month", 1), ("month", 36), ("year", 10)]),
)
def test_every_instant_of_the_calendar_is_in_a_period_that_can_be_written(
    instant: Instant, anchor: Instant, interval: tuple[str, int]
) -> None:
    """A time of the year 1, which some programs write for none, is in a period as every other is."""
    period = BillingCycle(anchor, *interval).period_at(instant)

    assert period.holds(instant)
    assert all(dates(period))
    assert to_text(period.deadline(72 * HOUR))
