"""The forecast on its lines: what counts exactly on one, and what a microsecond or a second beside it."""

from dataclasses import replace
from typing import Any

import pytest

from meterledger.domain.billing_period import BillingPeriod, calendar_month
from meterledger.domain.forecast import (
    Change,
    ChangeKind,
    Closing,
    Forecast,
    Late,
    LateUsage,
    SourceForecast,
    SourceHistory,
    forecast,
)
from meterledger.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, parse_instant
from meterledger.domain.push_schedule import PushSchedule

END = parse_instant("2026-11-01T00:00:00Z")
NOW = END - 4 * HOUR
MARGIN = 5 * MINUTE
CLOSING = Closing(period=calendar_month(END - 1), deadline=END + HOUR, event_name="api_requests")
REGULAR = SourceHistory(samples=20, first_arrival=END - 5 * DAY, last_arrival=NOW, longest_gap=HOUR)


def late_usage(*, every: int = 15 * MINUTE, phase: int = 0, closing: Closing = CLOSING) -> LateUsage:
    """Return what finds late usage of pushes at a phase; each reaches Stripe a second after it began."""
    return LateUsage.of(closing, PushSchedule(every=every, phase=phase), MARGIN)


def forecast_of(
    history: SourceHistory, cells: dict[Instant, Late] | None = None, *, now: Instant = NOW, every: int = HOUR
) -> Forecast:
    """Return the forecast of one source."""
    late = late_usage(every=every)
    late.by_boundary.update(cells or {})
    return forecast(CLOSING, {"one": history}, {"one": late}, now=now)


def only(found: Forecast) -> SourceForecast:
    """Return what is forecast of the only source."""
    (source,) = found.sources
    return source


@pytest.mark.parametrize(("phase", "events"), [(-SECOND, 0), (-SECOND // 2, 0), (-1, 0), (0, 1)])
def test_late_is_what_reaches_stripe_in_a_later_second_than_the_deadline(phase: int, events: int) -> None:
    """The push of 01:00 reaches Stripe a second later; one that begins in the second before it does not."""
    late = late_usage(every=HOUR, phase=phase)
    late.note(END - MINUTE, END + MINUTE, 1, 0)

    assert sum(one.events for one in late.by_boundary.values()) == events


def test_the_first_instant_of_a_period_is_of_it() -> None:
    """Usage from a whole period before a boundary is of it; what is a microsecond older is not."""
    day = Closing(period=BillingPeriod(END - DAY, END), deadline=END + HOUR, event_name="api_requests")
    late = late_usage(closing=day)
    late.note(END - DAY, END + 2 * HOUR, 1, 0)
    late.note(END - DAY - 1, END + 2 * HOUR, 1, 0)

    assert late.by_boundary[END].events == 1


@pytest.mark.parametrize(("event_time", "is_hopeless"), [(END - 1, False), (END, True), (END + 1, True)])
def test_what_happens_at_the_last_push_is_too_late_for_it(event_time: Instant, *, is_hopeless: bool) -> None:
    """Before the boundary of 00:30 the last push is that of 00:00: what happens then is not in it."""
    closing = replace(CLOSING, period=BillingPeriod(END - DAY, END + 30 * MINUTE), deadline=END + 40 * MINUTE)
    late = late_usage(every=HOUR, closing=closing)
    late.note(event_time, END + 50 * MINUTE, 1, 0)

    assert [one.is_hopeless for one in late.by_boundary.values()] == [is_hopeless]


def test_the_worst_of_a_boundary_counts_in_whatever_order() -> None:
    """The longest lateness, the earliest arrival that it would take, and the least time to spare."""
    arrivals = (END + 5 * HOUR, END + 3 * HOUR)
    found = []
    for order in (arrivals, arrivals[::-1]):
        late = late_usage()
        for arrival in order:
            late.note(END - MINUTE, arrival, 1, 0)
        found.append(late.by_boundary[END])

    assert found[0] == found[1]
    assert found[0].lateness == 5 * HOUR + SECOND
    assert found[0].earlier == 5 * HOUR - 45 * MINUTE
    assert found[0].spare == HOUR - MARGIN - SECOND - 5 * HOUR


@pytest.mark.parametrize(("gaps", "silence"), [((3 * HOUR, HOUR), 6 * HOUR), ((MINUTE, MINUTE), HOUR)])
def test_silence_is_longer_than_twice_the_longest_pause_and_an_hour(
    gaps: tuple[int, int], silence: int
) -> None:
    """Exactly so long is none yet; and after exactly a week it has not ended yet."""
    history, at = SourceHistory(), END
    history.note(at, at)
    for gap in gaps:
        at += gap
        history.note(at, at)

    assert not history.is_silent(at + silence)
    assert history.is_silent(at + silence + 1)
    assert not history.has_ended(at + 7 * DAY)
    assert history.has_ended(at + 7 * DAY + 1)


def test_a_source_that_pauses_for_weeks_has_not_ended_after_one() -> None:
    """What came every ten days may come again."""
    history = replace(REGULAR, longest_gap=10 * DAY, last_arrival=END - 8 * DAY)

    assert not history.has_ended(END)


@pytest.mark.parametrize(
    ("first_arrival", "boundaries", "weekday_only"),
    [
        (END - 5 * DAY, 4, False),
        (END - 5 * DAY + 1, 3, False),
        (END - 29 * DAY, 4, True),
        (END - 29 * DAY + 1, 27, False),
        (END - 100 * DAY, 5, True),
    ],
)
def test_boundaries_count_from_a_day_after_the_first_arrival(
    first_arrival: Instant, boundaries: int, *, weekday_only: bool
) -> None:
    """Exactly a day later one counts, within 35 days; where four are of one weekday, these alone."""
    found = only(forecast_of(replace(REGULAR, first_arrival=first_arrival)))

    assert (found.boundaries, found.weekday_only) == (boundaries, weekday_only)


@pytest.mark.parametrize(
    ("now", "boundaries"), [(END - DAY + HOUR, 3), (END - DAY + HOUR + 1, 4), (END - 4 * HOUR, 4)]
)
def test_a_boundary_counts_when_its_grace_period_is_over(now: Instant, boundaries: int) -> None:
    """Until then usage of it may still come."""
    assert only(forecast_of(replace(REGULAR, last_arrival=now), now=now)).boundaries == boundaries


@pytest.mark.parametrize(
    ("boundary", "lateness", "first_arrival", "boundaries"),
    [
        (END - 4 * DAY, DAY, END - 5 * DAY, 3),
        (END - 4 * DAY - 1, DAY, END - 5 * DAY, 4),
        (END - 19 * DAY, 18 * DAY, END - 20 * DAY, 5),
    ],
)
def test_boundaries_count_once_the_longest_lateness_is_over(
    boundary: Instant, lateness: int, first_arrival: Instant, boundaries: int
) -> None:
    """That of a boundary which counts itself; and no more than two weeks are waited for."""
    cells = {boundary: Late(events=1, units=1, lateness=lateness, spare=0)}

    assert only(forecast_of(replace(REGULAR, first_arrival=first_arrival), cells)).boundaries == boundaries


def test_after_a_source_went_silent_nothing_of_it_is_known() -> None:
    """It brought nothing for two days: their ends say nothing."""
    assert only(forecast_of(replace(REGULAR, last_arrival=NOW - 2 * DAY))).boundaries == 2


@pytest.mark.parametrize(
    ("samples", "first_arrival", "is_known"),
    [(20, END - 4 * DAY, True), (19, END - 4 * DAY, False), (20, END - 3 * DAY, False)],
)
def test_twenty_samples_and_three_boundaries_are_enough(
    samples: int, first_arrival: Instant, *, is_known: bool
) -> None:
    """One less of either is too little."""
    history = replace(REGULAR, samples=samples, first_arrival=first_arrival)

    assert (only(forecast_of(history)).late is not None) is is_known


def test_of_an_even_number_of_boundaries_the_lower_middle_is_expected() -> None:
    """Late usage of 1, 2, 3 and 4 events: 2 are expected."""
    cells = {END - day * DAY: Late(events=day, units=day, lateness=2 * HOUR, spare=0) for day in range(1, 5)}
    late = only(forecast_of(REGULAR, cells)).late

    assert late is not None
    assert (late.least.events, late.expected.events, late.most.events) == (1, 2, 4)


def changes_after(every: int = HOUR, **facts: Any) -> dict[ChangeKind, int | None]:
    """Return what would do, where on each of two days some usage was late like this."""
    worst = replace(Late(events=1, units=1, lateness=2 * HOUR, spare=0), **facts)
    slight = Late(events=1, units=1, lateness=1, spare=HOUR)
    found = forecast_of(REGULAR, {END - 2 * DAY: worst, END - 3 * DAY: slight}, every=every)
    return {one.kind: one.seconds for one in found.changes}


def test_a_grace_period_does_that_is_just_long_enough() -> None:
    """Lateness and margin together, rounded up to the second."""
    just = 3 * HOUR - MARGIN

    assert changes_after(lateness=just)[ChangeKind.GRACE_PERIOD] == 3 * 3600
    assert changes_after(lateness=just - 1)[ChangeKind.GRACE_PERIOD] == 3 * 3600
    assert changes_after(lateness=just + 1)[ChangeKind.GRACE_PERIOD] == 6 * 3600


@pytest.mark.parametrize(
    ("every", "spare", "seconds"),
    [
        (HOUR, 30 * MINUTE, 1800),
        (HOUR, 30 * MINUTE - 1, 1200),
        (2 * MINUTE, MINUTE, 60),
        (HOUR, MINUTE - 1, None),
        (3 * MINUTE + SECOND, 2 * MINUTE, None),
    ],
)
def test_pushes_do_that_are_just_frequent_enough(every: int, spare: int, seconds: int | None) -> None:
    """The longest part of the interval that is waited for; in whole seconds, and a minute at the least."""
    assert changes_after(every, spare=spare).get(ChangeKind.PUSH_EVERY) == seconds


def test_how_much_earlier_is_said_in_whole_minutes_rounded_up() -> None:
    """And not at all where some of it did not even exist."""
    assert changes_after(earlier=MINUTE)[ChangeKind.DELIVER_EARLIER] == 60
    assert changes_after(earlier=MINUTE + 1)[ChangeKind.DELIVER_EARLIER] == 120
    assert changes_after(earlier=MINUTE, is_hopeless=True)[ChangeKind.DELIVER_EARLIER] is None


def test_nothing_late_needs_no_change() -> None:
    """And no source is told to be earlier."""
    assert list[Change](forecast_of(REGULAR).changes) == []
