"""The pace of requests: a token bucket under Stripe's documented limits."""

from dataclasses import dataclass

from meterledger.domain.stream_batch import MAX_BATCH
from meterledger.domain.way import Way

LIVE_PER_SECOND = 1000.0
TEST_PER_SECOND = 25.0
CONNECTED_ACCOUNT_PER_SECOND = 100.0
LIVE_BATCHES_PER_SECOND = 100.0
"""The stream takes 10,000 meter events a second, 100 in each batch."""
_SHARE_USED = 0.9
"""Below the limit, because other programs of the account send too."""


def allowed_per_second(*, is_stripe: bool, mode: str, connected: bool, way: Way = Way.V1) -> float | None:
    """Return how many requests a second may be sent; None where no limit is known (a simulator)."""
    if not is_stripe:
        return None
    if mode == "test":
        return TEST_PER_SECOND * _SHARE_USED
    if way is Way.STREAM:
        return LIVE_BATCHES_PER_SECOND * _SHARE_USED
    return (CONNECTED_ACCOUNT_PER_SECOND if connected else LIVE_PER_SECOND) * _SHARE_USED


LARGE_BACKLOG = 100_000
"""Meter events from which on it is worth saying that the stream is faster."""


def seconds_by_way_and_stream(
    backlog: int, *, mode: str, connected: bool, way: Way
) -> tuple[int, int] | None:
    """
    Return how long a backlog takes by its way and by the stream, in whole seconds, under live limits.

    None where that is not worth a word: a small backlog, a way that is the stream, or test mode at Stripe,
    whose limits are the same for all.
    """
    if way is Way.STREAM or backlog < LARGE_BACKLOG:
        return None
    slow = allowed_per_second(is_stripe=True, mode=mode, connected=connected, way=way)
    fast = allowed_per_second(is_stripe=True, mode=mode, connected=connected, way=Way.STREAM)
    if slow is None or fast is None:
        raise AssertionError("unreachable: Stripe's limits are known")
    return round(backlog / slow), round(backlog / (fast * MAX_BATCH))


@dataclass(slots=True)
class TokenBucket:
    """Lets ``per_second`` requests through, and up to a second's worth at once after a pause."""

    per_second: float
    _tokens: float = 1.0
    _filled_at: float = 0.0

    def wait_seconds(self, now: float) -> float:
        """Take a token, and return how long to wait before using it; ``now`` in monotonic seconds."""
        elapsed = max(0.0, now - self._filled_at)
        self._tokens = min(self.per_second, self._tokens + elapsed * self.per_second)
        self._filled_at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self.per_second)
