"""The forecast against hand-computed cases: October's end, grace 1 h, margin 5 min, a push every 15 min."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.billing_period import BillingPeriod, calendar_month
from meterledger.domain.forecast import (
    Change,
    ChangeKind,
    Closing,
    Expected,
    Forecast,
    LateUsage,
    SourceHistory,
    forecast,
)
from meterledger.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, parse_instant
from meterledger.domain.push_schedule import PushSchedule
from support.properties import quick

END = parse_instant("2026-11-01T00:00:00Z")
"""A Sunday."""
NOW = END - 4 * HOUR
MARGIN = 5 * MINUTE


@dataclass
class Past:
    """Usage of a meter with its arrivals, and the forecast that follows."""

    grace: int = HOUR
    every: int = 15 * MINUTE
    phase: int = 0
    usage: list[tuple[str, Instant, Instant, int]] = field(default_factory=list)

    def hourly(
        self, source: str, delay: int, *, days: int = 33, until: Instant = NOW, units: int = 1
    ) -> "Past":
        """Let one event happen at half past each hour, and arrive after a delay."""
        first = (until - days * DAY) // HOUR * HOUR + 30 * MINUTE
        for event_time in range(first, until, HOUR):
            if event_time + delay <= until:
                self.usage.append((source, event_time, event_time + delay, units))
        return self

    def daily(self, source: str, at: int, *, days: int = 33, events: int = 24) -> "Past":
        """Let a day's hourly events arrive together on the next day."""
        first = (NOW // DAY - days) * DAY
        for day in range(first, NOW, DAY):
            if day + DAY + at <= NOW:
                self.usage += [
                    (source, day + hour * HOUR, day + DAY + at, 1) for hour in range(24 - events, 24)
                ]
        return self

    def forecast(self, now: Instant = NOW) -> Forecast:
        """Return the forecast for October."""
        closing = Closing(
            period=calendar_month(END - 1), deadline=END + self.grace, event_name="api_requests"
        )
        schedule = PushSchedule(every=self.every, phase=self.phase)
        histories: dict[str, SourceHistory] = {}
        late: dict[str, LateUsage] = {}
        for source, event_time, arrival, units in sorted(self.usage, key=lambda one: one[2]):
            histories.setdefault(source, SourceHistory()).note(arrival, arrival)
            found = late.setdefault(source, LateUsage.of(closing, schedule, MARGIN))
            found.note(event_time, arrival, units, 0)
        return forecast(closing, histories, late, now=now)


def totals(found: Forecast) -> tuple[int, int, int]:
    """Return the usage events of least, expected and most."""
    assert found.late is not None
    return found.late.least.events, found.late.expected.events, found.late.most.events


def changes(found: Forecast) -> dict[tuple[ChangeKind, str | None], int | None]:
    """Return the changes by what they change."""
    return {(one.kind, one.source): one.seconds for one in found.changes}


def test_a_source_that_comes_at_once_is_never_late() -> None:
    """Arrivals within minutes are pushed within the grace period: nothing late, nothing to change."""
    found = Past().hourly("prompt", 5 * MINUTE).forecast()

    assert totals(found) == (0, 0, 0)
    assert found.changes == ()


def test_regular_sources_are_forecast_to_the_event() -> None:
    """
    An hour late with 1 h of grace: half past eleven arrives at 00:30, in time; a day late: all of the day.

    Of the day, 00:30 arrives at 00:30 after the boundary, in time; the 23 others are late.
    """
    found = Past().hourly("hour_late", HOUR).hourly("day_late", DAY, units=5).forecast()

    assert totals(found) == (23, 23, 23)
    assert found.late is not None
    assert str(found.late.expected.quantity) == "115"
    by_source = {one.source: one.late and one.late.expected.events for one in found.sources}
    assert by_source == {"hour_late": 0, "day_late": 23}


def test_a_push_on_the_stroke_of_the_deadline_is_too_late() -> None:
    """Arrivals at 01:00 sharp go with the push of 01:00, which is at Stripe a second after the deadline."""
    found = Past().hourly("late", 90 * MINUTE).forecast()

    assert totals(found) == (1, 1, 1)
    assert changes(found) == {
        (ChangeKind.GRACE_PERIOD, None): 3 * 3600,
        (ChangeKind.DELIVER_EARLIER, "late"): 15 * 60,
    }


def test_what_a_push_every_hour_misses_a_more_frequent_one_saves() -> None:
    """Arrivals at 00:20 wait for the push of 01:00; with one every half an hour they are in time."""
    found = Past(every=HOUR).hourly("slow", 50 * MINUTE).forecast()

    assert totals(found) == (1, 1, 1)
    assert Change(kind=ChangeKind.PUSH_EVERY, seconds=1800) in found.changes
    assert totals(Past(every=30 * MINUTE).hourly("slow", 50 * MINUTE).forecast()) == (0, 0, 0)


def test_a_daily_batch_needs_no_more_than_the_time_until_it_comes() -> None:
    """A batch at 02:00 brings the whole day after the deadline: 3 hours of grace do, or 65 minutes less."""
    found = Past().daily("batch", 2 * HOUR).forecast()

    assert totals(found) == (24, 24, 24)
    assert changes(found)[ChangeKind.GRACE_PERIOD, None] == 3 * 3600
    assert changes(found)[ChangeKind.DELIVER_EARLIER, "batch"] == 75 * 60
    assert totals(Past(grace=3 * HOUR).daily("batch", 2 * HOUR).forecast()) == (0, 0, 0)


def test_the_weekday_of_the_end_counts_where_there_is_enough_of_it() -> None:
    """A batch that has less usage on Saturdays: October ends after one, and four such ends are known."""
    past = Past().daily("batch", 2 * HOUR)
    past.usage = [
        one for one in past.usage if one[1] // DAY % 7 != (END // DAY - 1) % 7 or one[1] % DAY < 3 * HOUR
    ]
    found = past.forecast()

    assert found.weekday_only
    assert found.boundaries == 4
    assert totals(found) == (3, 3, 3)


def test_with_less_history_all_days_count_as_a_range() -> None:
    """Ten days have only one Saturday: the range is over all of them, the expected is the median day."""
    past = Past().daily("batch", 2 * HOUR, days=10)
    past.usage = [
        one for one in past.usage if one[1] // DAY % 7 != (END // DAY - 1) % 7 or one[1] % DAY < 3 * HOUR
    ]
    found = past.forecast()

    assert not found.weekday_only
    assert totals(found) == (3, 24, 24)


def test_boundaries_that_may_still_get_usage_do_not_count() -> None:
    """With a source two days late the last two days are not fully known, and are left out."""
    found = Past().hourly("late", 2 * DAY, days=10).forecast()

    assert totals(found) == (47, 47, 47)


def test_too_little_history_is_said() -> None:
    """Under 20 usage events, or under three day's ends, there is no number."""
    few = Past().hourly("new", 2 * HOUR, days=2).forecast()
    rare = Past().daily("rare", 2 * HOUR, days=10, events=1).forecast()

    assert (few.late, few.changes, few.unknown_sources) == (None, (), ["new"])
    assert rare.late is None
    assert rare.samples < 20


def test_a_new_source_is_left_out_of_the_sum_by_name() -> None:
    """One source without history leaves the others their numbers, and is named."""
    found = Past().daily("batch", 2 * HOUR).hourly("new", DAY, days=2).forecast()

    assert totals(found) == (24, 24, 24)
    assert found.unknown_sources == ["new"]


def test_a_silent_source_is_named_and_its_silence_says_nothing() -> None:
    """A source that stopped two days ago is forecast by the days before; after eight it has ended."""
    stopped = NOW - 2 * DAY
    found = Past().hourly("quiet", 5 * HOUR, until=stopped, days=30).forecast()

    assert totals(found) == (4, 4, 4)
    assert found.sources[0].silent_since is not None
    assert Past().hourly("gone", 5 * HOUR, until=NOW - 8 * DAY).forecast().sources == ()


def test_a_source_slower_than_any_grace_period_is_told_so() -> None:
    """Four days late: no grace period is long enough, and only an earlier delivery would do."""
    found = Past().hourly("late", 4 * DAY).forecast()

    assert changes(found)[ChangeKind.GRACE_PERIOD, None] is None


def test_usage_from_before_the_period_is_not_of_it() -> None:
    """With a daily period and a source two days late only the last day counts, and not the one before."""
    closing = Closing(period=BillingPeriod(END - DAY, END), deadline=END + HOUR, event_name="api_requests")
    late = LateUsage.of(closing, PushSchedule(every=15 * MINUTE), MARGIN)
    for event_time in range(END - 10 * DAY, END - 3 * DAY, HOUR):
        late.note(event_time, event_time + 2 * DAY, 1, 0)

    assert {one.events for boundary, one in late.by_boundary.items() if boundary < END - 3 * DAY} == {24}


def test_quantities_of_several_scales_add_up_exactly() -> None:
    """A tenth and two units are 2.1, however they were stored."""
    closing = Closing(period=calendar_month(END - 1), deadline=END + HOUR, event_name="api_requests")
    late = LateUsage.of(closing, PushSchedule(every=15 * MINUTE), MARGIN)
    late.note(END - HOUR, END + 2 * HOUR, 100, 3)
    late.note(END - HOUR, END + 2 * HOUR, 2, 0)

    assert str(Expected(1, late.by_boundary[END].units).quantity) == "2.1"


def test_a_push_once_a_day_cannot_be_mended_by_the_source() -> None:
    """What happens after the last push before the deadline can be delivered as early as one likes."""
    found = Past(every=DAY, phase=12 * HOUR).hourly("prompt", MINUTE).forecast()

    assert changes(found)[ChangeKind.DELIVER_EARLIER, "prompt"] is None
    assert changes(found)[ChangeKind.PUSH_EVERY, None] is not None


_DELAYS = st.lists(st.integers(0, 40 * 3600), min_size=1, max_size=3)


@quick
@given(delays=_DELAYS, graces=st.tuples(st.integers(0, 72), st.integers(0, 72)))
def test_a_longer_grace_period_never_raises_the_forecast(delays: list[int], graces: tuple[int, int]) -> None:
    """With the same usage and the same known days, what is late only gets less."""
    short, long = (_with(delays, grace * HOUR) for grace in sorted(graces))

    assert short.late is not None
    assert long.late is not None
    assert short.late.most.events >= long.late.most.events
    assert short.late.expected.events >= long.late.expected.events
    assert short.late.least.events >= long.late.least.events


@quick
@given(delay=st.integers(0, 40 * 3600), days=st.integers(8, 30), more=st.integers(1, 10))
def test_more_history_of_the_same_pattern_changes_nothing(delay: int, days: int, more: int) -> None:
    """A regular source has the same forecast after ten days as after forty."""
    some = Past().hourly("regular", delay * SECOND, days=days).forecast()
    longer = Past().hourly("regular", delay * SECOND, days=days + more).forecast()

    assert some.late == longer.late
    assert some.changes == longer.changes


def _with(delays: Iterable[int], grace: int) -> Forecast:
    past = Past(grace=grace)
    for number, delay in enumerate(delays):
        past.hourly(f"source{number}", delay * SECOND)
    return past.forecast()
