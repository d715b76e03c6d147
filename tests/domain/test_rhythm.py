"""What is expected of sources, by how they delivered on the days before: October 2026 ends on a Saturday."""

from collections.abc import Iterator

import pytest

from meterledger.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, parse_instant
from meterledger.domain.rhythm import Arrivals, Rhythm, SourceState

END = parse_instant("2026-11-01T00:00:00Z")


def at(text: str) -> Instant:
    """Return an instant of the days around the period's end, given as ``31 23:50`` or ``1 02:00``."""
    day, time = text.split()
    return parse_instant(f"2026-{'11' if int(day) < 10 else '10'}-{int(day):02}T{time}:00Z")


def days(until: str) -> Iterator[Instant]:
    """Yield every midnight from 27 September on that is before an instant."""
    midnight = parse_instant("2026-09-27T00:00:00Z")
    while midnight < at(until):
        yield midnight
        midnight += DAY


def daily_batch(until: str) -> Iterator[Arrivals]:
    """At 02:00, up to four minutes later, all of the day before, up to 20 seconds before midnight."""
    for midnight in days(until):
        arrived = midnight + 2 * HOUR + (midnight // DAY % 5) * MINUTE
        if arrived < at(until):
            yield Arrivals(arrived, midnight - DAY, midnight - 20 * SECOND, 500)


def twice_a_day(until: str) -> Iterator[Arrivals]:
    """At 00:30 what was before 22:00, and at 12:30 what was before 10:00."""
    for midnight in days(until):
        for arrived, before in ((30 * MINUTE, -2 * HOUR), (12 * HOUR + 30 * MINUTE, 10 * HOUR)):
            if midnight + arrived < at(until):
                yield Arrivals(
                    midnight + arrived, midnight + before - 12 * HOUR, midnight + before - SECOND, 9
                )


def by_the_minute(until: str) -> Iterator[Arrivals]:
    """Every ten minutes the usage of the ten minutes before that ended two minutes ago."""
    arrived = parse_instant("2026-10-05T00:00:00Z")
    while arrived < at(until):
        yield Arrivals(arrived, arrived - 12 * MINUTE, arrived - 2 * MINUTE, 7)
        arrived += 10 * MINUTE


def by_day_only(until: str) -> Iterator[Arrivals]:
    """At once, from 08:00 to 20:00; nothing at night."""
    for midnight in days(until):
        for hour in range(8, 21):
            if midnight + hour * HOUR < at(until):
                yield Arrivals(midnight + hour * HOUR, midnight + hour * HOUR, midnight + hour * HOUR, 3)


def not_on_sundays(until: str) -> Iterator[Arrivals]:
    """The daily batch, but that nothing comes on Sundays, and Monday's brings two days."""
    for one in daily_batch(until):
        weekday = (one.arrived_at // DAY + 3) % 7
        if weekday == 0:
            yield one._replace(first_event_time=one.first_event_time - DAY)
        elif weekday != 6:
            yield one


def with_stragglers(until: str) -> Iterator[Arrivals]:
    """By the minute, and each day one usage event that is four days late."""
    yield from by_the_minute(until)
    for midnight in days(until):
        if midnight + 9 * HOUR < at(until):
            yield Arrivals(midnight + 9 * HOUR, midnight - 4 * DAY, midnight - 4 * DAY, 1)


def new_source(until: str) -> Iterator[Arrivals]:
    """The daily batch, for three days."""
    return (one for one in daily_batch(until) if one.arrived_at > at("29 00:00"))


@pytest.mark.parametrize(
    ("source", "delivered_until", "now", "state", "complete_by"),
    [
        # Before the end: what is still to come is expected.
        (daily_batch, "31 12:00", "31 12:00", "expected", "1 02:04"),
        (daily_batch, "31 12:00", "1 02:04", "expected", "1 02:04"),
        # Later than on any day: late. With the batch: complete.
        (daily_batch, "31 12:00", "1 02:06", "late", "1 02:04"),
        (daily_batch, "1 12:00", "1 02:06", "complete", "1 02:04"),
        # It already lacks the batch of the day before.
        (daily_batch, "31 01:00", "31 12:00", "late", "1 02:04"),
        # The delivery half an hour after the end brings nothing of the last two hours.
        (twice_a_day, "1 01:00", "1 01:00", "expected", "1 12:30"),
        (twice_a_day, "1 13:00", "1 13:00", "complete", "1 12:30"),
        (by_the_minute, "31 23:55", "31 23:55", "expected", "1 00:10"),
        (by_the_minute, "1 00:15", "1 00:15", "complete", "1 00:10"),
        (by_the_minute, "31 23:45", "1 00:15", "late", "1 00:10"),
        # Quiet nights are no lateness.
        (by_day_only, "31 23:00", "31 23:00", "expected", "1 00:00"),
        (by_day_only, "31 23:00", "1 00:05", "complete", "1 00:00"),
        (by_day_only, "31 12:30", "1 00:05", "late", "1 00:00"),
        # 1 November is a Sunday: on Sundays nothing came before, and the day's usage on Monday.
        (not_on_sundays, "1 12:00", "1 12:00", "expected", "2 02:03"),
        (not_on_sundays, "1 12:00", "2 02:06", "late", "2 02:03"),
        # One straggler in a thousand is waited for by nobody.
        (with_stragglers, "1 00:15", "1 00:15", "complete", "1 00:10"),
        (new_source, "31 12:00", "1 12:00", "too_little_history", None),
    ],
)
def test_a_source_is_expected_by_how_it_delivered_before(
    source: object, delivered_until: str, now: str, state: str, complete_by: str | None
) -> None:
    """A source is expected, late or complete by what it did at the ends of the days before."""
    assert callable(source)

    outlook = Rhythm(source(delivered_until)).outlook(END, at(now))

    assert outlook.state is SourceState(state)
    assert outlook.complete_by == (None if complete_by is None else at(complete_by))


@pytest.mark.parametrize(
    ("source", "interval"),
    [(daily_batch, DAY), (by_the_minute, 10 * MINUTE), (by_day_only, HOUR), (twice_a_day, 12 * HOUR)],
)
def test_the_usual_interval_is_the_gap_that_time_is_spent_in(source: object, interval: int) -> None:
    """The next delivery is expected after the gap that half of the time lies in."""
    assert callable(source)

    outlook = Rhythm(source("31 12:00")).outlook(END, at("31 12:00"))

    assert outlook.interval is not None
    assert abs(outlook.interval - interval) < 5 * MINUTE
    assert outlook.next_delivery == outlook.last_delivery + outlook.interval


def test_an_end_far_ahead_is_judged_by_the_days_there_are() -> None:
    """A quarter's end two months ahead has the same rhythm as that of next midnight."""
    far = END + 61 * DAY

    outlook = Rhythm(daily_batch("31 12:00")).outlook(far, at("31 12:00"))

    assert outlook.state is SourceState.EXPECTED
    assert outlook.complete_by is not None
    assert outlook.complete_by - far <= 2 * HOUR + 4 * MINUTE


def test_another_time_of_day_has_another_lateness() -> None:
    """Of a period that ends at 14:30, the daily batch brings the last usage at 02:00 of the next day."""
    outlook = Rhythm(daily_batch("31 12:00")).outlook(END + 14 * HOUR + 30 * MINUTE, at("31 12:00"))

    assert outlook.complete_by == at("2 02:04")


def test_nothing_that_arrived_is_no_rhythm() -> None:
    """A source that brought nothing has no rhythm."""
    with pytest.raises(ValueError, match="no arrivals"):
        Rhythm([])
