"""
The pace of requests: a token bucket under Stripe's documented limits, slower when Stripe says so.

Other programs of the account send too, so that the documented limit may be too much. A refusal for the
rate halves the pace; while none comes it rises again, a little with each answer.
"""

from dataclasses import dataclass, field

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


def meter_events_per_second(*, is_stripe: bool, mode: str, connected: bool, way: Way) -> float | None:
    """Return how many meter events a second that is; on the stream each request takes a whole batch."""
    requests = allowed_per_second(is_stripe=is_stripe, mode=mode, connected=connected, way=way)
    return requests and requests * (MAX_BATCH if way is Way.STREAM else 1)


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

    def start(self, now: float) -> None:
        """Begin without a second's worth saved up; ``now`` in monotonic seconds."""
        self._tokens, self._filled_at = 1.0, now

    def wait_seconds(self, now: float) -> float:
        """Take a token, and return how long to wait before using it; ``now`` in monotonic seconds."""
        elapsed = max(0.0, now - self._filled_at)
        self._tokens = min(self.per_second, self._tokens + elapsed * self.per_second)
        self._filled_at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self.per_second)


RISE_PER_SECOND = 5.0
"""By how many requests a second the pace rises in a second without refusals."""

LEAST_PER_SECOND = 1.0

ONE_REFUSAL_SECONDS = 1.0
"""Refusals within so long are one: they were under way together."""


@dataclass(slots=True)
class Pace:
    """How fast requests go; ``ceiling`` is the most a second, None where no limit is known."""

    ceiling: float | None
    _bucket: TokenBucket | None = field(init=False)
    _slowed_at: float = field(init=False, default=float("-inf"))
    _second: int = field(init=False, default=0)
    _sent: int = field(init=False, default=0)
    _sent_before: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._bucket = None if self.ceiling is None else TokenBucket(self.ceiling)

    @property
    def per_second(self) -> float | None:
        """Requests a second at present; None while nothing holds them back."""
        return None if self._bucket is None else self._bucket.per_second

    def wait_seconds(self, now: float) -> float:
        """Return how long to wait before the next request; ``now`` in monotonic seconds."""
        self._count(now)
        return 0.0 if self._bucket is None else self._bucket.wait_seconds(now)

    def refused(self, now: float) -> None:
        """Halve the pace: Stripe said that it is too much; ``now`` in monotonic seconds."""
        if now - self._slowed_at < ONE_REFUSAL_SECONDS:
            return
        self._slowed_at = now
        before = self.per_second or float(max(self._sent, self._sent_before))
        slower = TokenBucket(max(LEAST_PER_SECOND, before / 2))
        slower.start(now)
        self._bucket = slower

    def answered(self) -> None:
        """Let the pace rise a little, up to the ceiling."""
        if self._bucket is None:
            return
        risen = self._bucket.per_second + RISE_PER_SECOND / self._bucket.per_second
        self._bucket.per_second = risen if self.ceiling is None else min(self.ceiling, risen)

    def _count(self, now: float) -> None:
        """Count what goes in this second and the last: the pace to halve where no limit was known."""
        if int(now) != self._second:
            self._sent_before = self._sent if int(now) == self._second + 1 else 0
            self._second, self._sent = int(now), 0
        self._sent += 1
