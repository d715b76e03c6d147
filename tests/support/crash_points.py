"""Crash points of tests: death of the process at any commit or request, in front of a strict Stripe."""

from collections.abc import Sequence

from meterledger.domain.delivery import Outcome
from meterledger.proving.crashes import Crash, CrashPoints, MortalDatabase
from meterledger.stripe_gateway.gateway import Read
from support.strict_stripe import Body, StrictStripe

__all__ = ["Crash", "CrashPoints", "CrashingGateway", "MortalDatabase"]


class CrashingGateway:
    """A gateway whose process may die before a request leaves, and before its answer arrives."""

    def __init__(self, inner: StrictStripe, points: CrashPoints) -> None:
        self._inner = inner
        self._points = points

    async def account_id(self) -> Read:
        """Return the account's id."""
        return await self._inner.account_id()

    async def account_meters(self) -> Read:
        """Return the meters."""
        return await self._inner.account_meters()

    async def meter_ids(self) -> Read:
        """Return the ids of the meters."""
        return await self._inner.meter_ids()

    async def window_values(self, meter_id: str, customer: str, span: tuple[int, int], grouping: str) -> Read:
        """Return what was counted."""
        return await self._inner.window_values(meter_id, customer, span, grouping)

    async def send(self, body: Body, idempotency_key: str) -> Outcome:
        """Send one meter event."""
        self._points.point("before a request")
        outcome = await self._inner.send(body, idempotency_key)
        self._points.point("before an answer")
        return outcome

    async def send_v2(self, body: Body, idempotency_key: str) -> Outcome:
        """Send one meter event by v2."""
        self._points.point("before a request")
        outcome = await self._inner.send_v2(body, idempotency_key)
        self._points.point("before an answer")
        return outcome

    async def send_batch(self, events: Sequence[Body], idempotency_key: str) -> Outcome:
        """Send a batch by the stream."""
        self._points.point("before a request")
        outcome = await self._inner.send_batch(events, idempotency_key)
        self._points.point("before an answer")
        return outcome
