"""The push schedule: given, seen or assumed, and which push takes what."""

import pytest

from meterledger.domain.instant import HOUR, MINUTE, SECOND
from meterledger.domain.push_schedule import ASSUMED_PUSH_EVERY, PushSchedule, ScheduleBasis

MIDNIGHT = 20_000 * 24 * HOUR


@pytest.mark.parametrize(
    ("arrival", "push"), [(0, 0), (1, 15), (15 * MINUTE, 15), (15 * MINUTE + 1, 30), (59 * MINUTE, 60)]
)
def test_usage_goes_with_the_first_push_after_it(arrival: int, push: int) -> None:
    """An arrival at the instant of a push goes with it, a microsecond later with the next."""
    schedule = PushSchedule(every=15 * MINUTE)

    assert schedule.first_push(MIDNIGHT + arrival) == MIDNIGHT + push * MINUTE


def test_the_last_push_is_at_an_instant_or_before_it() -> None:
    """Of the pushes up to an instant the last is told, the one at the instant included."""
    schedule = PushSchedule(every=HOUR, phase=10 * MINUTE)

    assert schedule.last_push(MIDNIGHT + 10 * MINUTE) == MIDNIGHT + 10 * MINUTE
    assert schedule.last_push(MIDNIGHT + 10 * MINUTE - 1) == MIDNIGHT - 50 * MINUTE


def test_a_schedule_is_seen_in_three_pushes_or_more() -> None:
    """The median interval in whole minutes, with the phase of the last push; two pushes tell nothing."""
    begun = [MIDNIGHT, MIDNIGHT + 30 * MINUTE + SECOND, MIDNIGHT + HOUR + 2 * SECOND]
    seen = PushSchedule.of(None, begun)

    assert (seen.every, seen.basis) == (30 * MINUTE, ScheduleBasis.OBSERVED)
    assert seen.first_push(MIDNIGHT + HOUR) == MIDNIGHT + HOUR + 2 * SECOND
    assert PushSchedule.of(None, begun[:2]).every == ASSUMED_PUSH_EVERY
    assert PushSchedule.of(None, begun[:2]).basis is ScheduleBasis.ASSUMED


def test_pushes_of_one_instant_are_one() -> None:
    """What was sent by two pushes at each half hour keeps the schedule of one, and two of them show none."""
    twice = [push for number in range(4) for push in (number * 30 * MINUTE,) * 2]

    assert PushSchedule.of(None, twice) == PushSchedule.of(None, twice[::2])
    assert PushSchedule.of(None, twice[:4]).basis is ScheduleBasis.ASSUMED


def test_a_given_interval_counts_and_keeps_the_phase_of_pushes_that_keep_it() -> None:
    """Another interval than the one seen starts at midnight; the same one goes on as it ran."""
    begun = [MIDNIGHT + hour * HOUR + 7 * MINUTE for hour in range(5)]

    assert PushSchedule.of(HOUR, begun).first_push(MIDNIGHT) == MIDNIGHT + 7 * MINUTE
    assert PushSchedule.of(2 * HOUR, begun).first_push(MIDNIGHT + 1) == MIDNIGHT + 2 * HOUR
    assert PushSchedule.of(2 * HOUR, begun).basis is ScheduleBasis.GIVEN


def test_sending_takes_as_long_as_the_pace_allows_and_a_second_at_least() -> None:
    """9,000 meter events at 900 a second are 10 seconds; without a known limit it is one."""
    schedule = PushSchedule(every=HOUR, per_second=900.0, waiting={5: 9_000, 6: 9_001})

    assert [schedule.sending(number) for number in (4, 5, 6)] == [SECOND, 10 * SECOND, 11 * SECOND]
    assert PushSchedule(every=HOUR).seconds_to_send(1_000_000) == 1
