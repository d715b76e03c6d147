"""Where billing periods begin and end."""

from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from meterledger.simulator.billing.periods import NEVER, Cycle, Interval, boundary, next_boundary
from meterledger.simulator.instants import DAY_SECONDS, LATEST_EPOCH_SECONDS

_LAST_ANCHOR = 4_102_444_800  # 2100-01-01

cycles = st.builds(Cycle, interval=st.sampled_from(Interval), count=st.integers(1, 36))
instants = st.integers(0, _LAST_ANCHOR)


def _at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def _monthly(anchor: str, count: int = 1) -> list[str]:
    cycle = Cycle(interval=Interval.MONTH, count=count)
    found = [boundary(_at(anchor), cycle, number) for number in range(1, 6)]
    return [datetime.fromtimestamp(instant, tz=UTC).strftime("%Y-%m-%d %H:%M") for instant in found]


def test_the_end_of_a_month_stays_the_end_of_a_month() -> None:
    """From the 31st the boundaries are the 28th, the 31st, the 30th: a short month pulls none along."""
    assert _monthly("2026-01-31T10:30") == [
        "2026-02-28 10:30",
        "2026-03-31 10:30",
        "2026-04-30 10:30",
        "2026-05-31 10:30",
        "2026-06-30 10:30",
    ]


def test_leap_years() -> None:
    """In a leap year February has its 29th, for months and for years."""
    assert _monthly("2028-01-30T00:00")[0] == "2028-02-29 00:00"
    yearly = Cycle(interval=Interval.YEAR, count=1)
    leap_day = _at("2028-02-29T00:00")
    assert boundary(leap_day, yearly, 1) == _at("2029-02-28T00:00")
    assert boundary(leap_day, yearly, 4) == _at("2032-02-29T00:00")


def test_several_intervals_to_a_period() -> None:
    """A period can be three months, two weeks or ten days long."""
    assert _monthly("2026-11-30T00:00", 3)[:2] == ["2027-02-28 00:00", "2027-05-30 00:00"]
    start = _at("2026-11-01T00:00")
    assert boundary(start, Cycle(interval=Interval.WEEK, count=2), 1) == _at("2026-11-15T00:00")
    assert boundary(start, Cycle(interval=Interval.DAY, count=10), 3) == _at("2026-12-01T00:00")


@pytest.mark.parametrize("interval", Interval)
def test_where_the_calendar_ends(interval: Interval) -> None:
    """After the last day of the year 9999 there is one more boundary, which never comes."""
    cycle = Cycle(interval=interval, count=1)
    assert next_boundary(LATEST_EPOCH_SECONDS - 5, cycle, LATEST_EPOCH_SECONDS) == NEVER
    assert next_boundary(LATEST_EPOCH_SECONDS - 5, cycle, NEVER) == NEVER


@given(anchor=instants, cycle=cycles, number=st.integers(-40, 40), part=st.floats(0, 0.999))
def test_the_next_boundary_is_the_next(anchor: int, cycle: Cycle, number: int, part: float) -> None:
    """From the first of two boundaries until the second, the second is next; before the anchor too."""
    first, second = boundary(anchor, cycle, number), boundary(anchor, cycle, number + 1)
    assume(0 <= first < second < NEVER)
    assert next_boundary(anchor, cycle, first + int((second - first) * part)) == second


@given(anchor=instants, cycle=cycles, count=st.integers(1, 60))
def test_stepping_does_not_drift(anchor: int, cycle: Cycle, count: int) -> None:
    """Going from boundary to boundary leads where counting from the anchor leads, in strict order."""
    reached = anchor
    for number in range(1, count + 1):
        following = next_boundary(anchor, cycle, reached)
        assert following == boundary(anchor, cycle, number)
        assert following - reached >= cycle.shortest_seconds - 3 * DAY_SECONDS
        reached = following
