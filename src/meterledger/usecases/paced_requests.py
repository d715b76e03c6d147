"""Requests one after the other at Stripe's pace, again where it cannot tell for now."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from meterledger.domain.delivery import backoff_seconds
from meterledger.domain.instant import Instant
from meterledger.domain.pace import TokenBucket
from meterledger.errors import StripeError

REQUESTS_PER_SECOND = 20.0
"""Below Stripe's 25/s for one endpoint ("Rate limits")."""

TRIES = 5


@dataclass(slots=True, kw_only=True)
class PacedRequests:
    """How a run asks: clocks, sleep and chance are passed in."""

    clock: Callable[[], Instant]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]
    on_request: Callable[[], None] = lambda: None
    """Told of each request before it is made: there may be thousands."""
    _bucket: TokenBucket | None = field(init=False, default=None)

    async def ask(self, request: Callable[[], Awaitable[Any]]) -> Any:
        """
        Make a request, again as long as its answer says ``for_now``; the answer.

        Raises:
            StripeError: Stripe cannot tell for now, in the end.
        """
        answer = None
        for tries in range(1, TRIES + 1):
            await self.sleep(self._wait_seconds())
            self.on_request()
            answer = await request()
            if not getattr(answer, "for_now", False):
                return answer
            await self.sleep(backoff_seconds(tries, self.chance(), None))
        raise StripeError(
            getattr(answer, "warning", "") or "Stripe cannot tell for now",
            hint="what was known stays; try again later",
        )

    def _wait_seconds(self) -> float:
        now = self.monotonic()
        if self._bucket is None:
            self._bucket = TokenBucket(REQUESTS_PER_SECOND)
            self._bucket.start(now)
        return self._bucket.wait_seconds(now)
