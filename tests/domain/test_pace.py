"""The pace of requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.pace import TokenBucket, allowed_per_second, seconds_by_way_and_stream
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
