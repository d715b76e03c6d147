"""A limit on calls per second, as a bucket that refills with real time."""


class RateLimiter:
    """
    Takes a number of calls a second, and as many at once after a second of rest.

    Args:
        per_second: Calls a second.
        now: Seconds of the clock that `take` is asked with.
    """

    def __init__(self, per_second: int, now: float) -> None:
        self._per_second = per_second
        self._tokens = float(per_second)
        self._refilled_at = now

    def take(self, now: float) -> bool:
        """Take one call at an instant (seconds of a clock that never goes back), or return False."""
        gained = (now - self._refilled_at) * self._per_second
        self._tokens = min(float(self._per_second), self._tokens + gained)
        self._refilled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
