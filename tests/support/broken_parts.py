"""Parts of push that are wrong on purpose, for tests of what finds them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from meterledger.domain.delivery import Outcome, Result
from meterledger.domain.instant import Instant
from meterledger.ledger import Ledger
from meterledger.ledger.unsealed import UnsealedStore
from meterledger.stripe_gateway.gateway import Read
from meterledger.usecases.door import PushGateway


@dataclass(slots=True)
class FaithfulGateway:
    """A gateway that does what the one behind it does; those below break one thing."""

    inner: PushGateway

    async def account_id(self) -> Read:
        """Return the account's id."""
        return await self.inner.account_id()

    async def account_meters(self) -> Read:
        """Return the meters."""
        return await self.inner.account_meters()

    async def meter_ids(self) -> Read:
        """Return the meters' ids."""
        return await self.inner.meter_ids()

    async def window_values(self, meter_id: str, customer: str, span: tuple[int, int], grouping: str) -> Read:
        """Return what a meter makes of a customer's windows."""
        return await self.inner.window_values(meter_id, customer, span, grouping)

    async def send(self, body: dict[str, Any], idempotency_key: str) -> Outcome:
        """Send one meter event."""
        return await self.inner.send(body, idempotency_key)

    async def send_v2(self, body: dict[str, Any], idempotency_key: str) -> Outcome:
        """Send one meter event by v2."""
        return await self.inner.send_v2(body, idempotency_key)

    async def send_batch(self, events: Sequence[dict[str, Any]], idempotency_key: str) -> Outcome:
        """Send a batch by the stream."""
        return await self.inner.send_batch(events, idempotency_key)


@dataclass(slots=True)
class RenamingGateway(FaithfulGateway):
    """Sends each attempt under an identifier of its own."""

    sent: Counter[str] = field(default_factory=Counter)

    async def send(self, body: dict[str, Any], idempotency_key: str) -> Outcome:
        """Send it, from the second attempt of a run on under another identifier."""
        identifier = str(body["identifier"])
        self.sent[identifier] += 1
        attempt = self.sent[identifier]
        name = identifier if attempt == 1 else f"{identifier}-{attempt}"
        return await self.inner.send({**body, "identifier": name}, f"{idempotency_key}-{attempt}")


class HastyGateway(FaithfulGateway):
    """Takes no answer for proof that nothing arrived."""

    async def send(self, body: dict[str, Any], idempotency_key: str) -> Outcome:
        """Send it, and call Unknown NotSent."""
        outcome = await self.inner.send(body, idempotency_key)
        return replace(outcome, result=Result.NOT_SENT) if outcome.result is Result.UNKNOWN else outcome


class HopefulGateway(FaithfulGateway):
    """Takes no answer for success."""

    async def send(self, body: dict[str, Any], idempotency_key: str) -> Outcome:
        """Send it, and call Unknown Accepted."""
        outcome = await self.inner.send(body, idempotency_key)
        return replace(outcome, result=Result.ACCEPTED) if outcome.result is Result.UNKNOWN else outcome


class _ForgetfulStore(UnsealedStore):
    def to_order(self, as_of: Instant | None = None) -> Iterator[tuple[Any, ...]]:
        return islice(super().to_order(as_of), 1, None)


def forgetful(ledger: Ledger) -> Ledger:
    """Return the ledger with a store that leaves out the first of what is to be sent."""
    return replace(ledger, unsealed=_ForgetfulStore(ledger.database))
