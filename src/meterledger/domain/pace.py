"""The pace of requests: a token bucket under Stripe's documented limits."""

from dataclasses import dataclass

LIVE_PER_SECOND = 1000.0
TEST_PER_SECOND = 25.0
CONNECTED_ACCOUNT_PER_SECOND = 100.0
_SHARE_USED = 0.9
"""Below the limit, because other programs of the account send too."""


def allowed_per_second(*, is_stripe: bool, mode: str, connected: bool) -> float | None:
    """Return how many meter events a second may be sent; None where no limit is known (a simulator)."""
    if not is_stripe:
        return None
    if mode == "test":
        return TEST_PER_SECOND * _SHARE_USED
    return (CONNECTED_ACCOUNT_PER_SECOND if connected else LIVE_PER_SECOND) * _SHARE_USED


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
