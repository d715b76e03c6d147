"""The pace of requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.pace import Pace, TokenBucket, allowed_per_second, seconds_by_way_and_stream
from meterledger.domain.way import Way
from support.properties import steady


@pytest.mark.parametrize(
    ("mode", "connected", "limit"),
    [("live", False, 1000.0), ("live", True, 100.0), ("test", False, 25.0), ("test", True, 25.0)],
)
def test_the_pace_stays_below_stripes_limit(mode: str, connected: object, limit: float) -> None:
    """Against Stripe the pace is positive and below the documented limit of the mode and account."""
    allowed = allowed_per_second(is_stripe=True, mode=mode, connected=connected is True)

    assert allowed is not None
    assert limit / 2 < allowed < limit


def test_a_simulator_has_no_limit() -> None:
    """Against a host that is not Stripe's no limit is known."""
    assert allowed_per_second(is_stripe=False, mode="test", connected=False) is None


def test_a_burst_of_a_second_then_evenly() -> None:
    """After a pause a second's worth goes at once, and from then on one each time a token comes in."""
    bucket = TokenBucket(per_second=4.0)
    waits = [bucket.wait_seconds(1000.0) for _ in range(7)]

    assert waits == [0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 0.75]


def test_a_pause_fills_a_seconds_worth_and_no_more() -> None:
    """A long pause is not saved up for a larger burst."""
    bucket = TokenBucket(per_second=2.0)
    for _ in range(2):
        bucket.wait_seconds(1000.0)
    waits = [bucket.wait_seconds(9000.0) for _ in range(3)]

    assert waits == [0.0, 0.0, 0.5]


@steady
@given(
    rate=st.floats(1.0, 1000.0),
    gaps=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60),
)
def test_no_window_sees_more_than_the_rate_and_one_burst(rate: float, gaps: list[float]) -> None:
    """However requests come, those that go within any time are at most its share and one burst."""
    bucket = TokenBucket(per_second=rate)
    now, sent = 1000.0, []
    for gap in gaps:
        now += gap
        sent.append(now + bucket.wait_seconds(now))

    assert sent == sorted(sent)
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            assert last - first + 1 <= rate * (sent[last] - sent[first]) + rate + 1.001


def test_a_clock_that_goes_back_gives_no_tokens() -> None:
    """Time that runs backwards neither fills nor empties the bucket."""
    bucket = TokenBucket(per_second=1.0)
    bucket.wait_seconds(1000.0)

    assert bucket.wait_seconds(900.0) == 1.0


def test_a_refusal_halves_the_pace_and_answers_raise_it_again() -> None:
    """Half after the first, not again for those under way with it, then up to the ceiling."""
    pace = Pace(100.0)
    pace.refused(10.0)
    pace.refused(10.9)
    assert pace.per_second == 50.0
    pace.refused(11.1)
    assert pace.per_second == 25.0
    for _ in range(25):
        pace.answered()
    assert 29.0 < (pace.per_second or 0) < 30.0  # about RISE_PER_SECOND after a second's answers
    for _ in range(10_000):
        pace.answered()
    assert pace.per_second == 100.0


def test_where_no_limit_is_known_a_refusal_sets_one() -> None:
    """Nothing waits until the first refusal; then half of what went through a second is the pace."""
    pace = Pace(None)
    assert {pace.wait_seconds(5 + number / 1000) for number in range(400)} == {0.0}
    assert pace.per_second is None
    pace.refused(5.9)
    assert pace.per_second == 200.0
    pace.answered()
    assert pace.per_second == pytest.approx(200.025)


def test_after_a_refusal_nothing_saved_up_goes_at_once() -> None:
    """The slower pace begins with one request, not with a burst."""
    pace = Pace(8.0)
    pace.refused(100.0)
    assert [pace.wait_seconds(100.0) for _ in range(3)] == [0.0, 0.25, 0.5]


def test_the_pace_never_comes_to_a_halt() -> None:
    """However often Stripe refuses, a request a second still goes."""
    pace = Pace(25.0)
    for number in range(20):
        pace.refused(float(10 * number))
    assert pace.per_second == 1.0


def test_the_stream_is_worth_a_word_for_large_backlogs() -> None:
    """A million events take 18 minutes by v1 and 2 by the stream; a few, or the stream itself, none."""
    assert seconds_by_way_and_stream(1_000_000, mode="live", connected=False, way=Way.V1) == (1111, 111)
    assert seconds_by_way_and_stream(1_000_000, mode="live", connected=True, way=Way.V2) == (11111, 111)
    assert seconds_by_way_and_stream(99_999, mode="live", connected=False, way=Way.V1) is None
    assert seconds_by_way_and_stream(1_000_000, mode="live", connected=False, way=Way.STREAM) is None


def test_a_batch_is_one_request() -> None:
    """Live, 90 batches a second are 9,000 events; in test mode all ways have the same limit."""
    assert allowed_per_second(is_stripe=True, mode="live", connected=False, way=Way.STREAM) == 90.0
    assert allowed_per_second(is_stripe=True, mode="test", connected=False, way=Way.STREAM) == 22.5
