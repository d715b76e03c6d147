"""Draining the outbox: chunk by chunk, what comes next is sealed, claimed and given to the sender."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter

from meterledger.domain.way import Way
from meterledger.ledger import Ledger
from meterledger.ledger.outbox import StoredMeterEvent
from meterledger.usecases.claiming import claim_chunk
from meterledger.usecases.planning import Planned, Planner
from meterledger.usecases.rolling_up import Group, Item, RollUp, Sealed, Single
from meterledger.usecases.sending import Sender, Surroundings

CHUNK_METER_EVENTS = 128
"""Claimed in one transaction; at most one chunk more than is being sent."""

STREAM_CHUNK_METER_EVENTS = 2000
"""The same where 100 go in one request."""

LOOKED_AT_ONCE = 2048
"""Usage events looked at without a break where most are held back: a fraction of a second."""


@dataclass(slots=True, kw_only=True)
class Drain:
    """One push while it runs."""

    ledger: Ledger
    limit: int | None
    """How many meter events at most; None for all."""
    around: Surroundings
    planner: Planner
    sender: Sender
    push: int
    token: int
    rollup: RollUp | None = None
    """None where no meter rolls usage up."""
    claimed: int = 0

    @property
    def room(self) -> int:
        """How many meter events may still be claimed."""
        left = self.chunk if self.limit is None else self.limit - self.claimed
        return max(0, min(self.chunk, left))

    @property
    def chunk(self) -> int:
        """How many meter events are claimed in one transaction."""
        return STREAM_CHUNK_METER_EVENTS if self.planner.way is Way.STREAM else CHUNK_METER_EVENTS


async def drain(run: Drain, on_start: Callable[[Sender, int], None]) -> None:
    """
    Send everything that may go, until the limit or a stop.

    ``on_start`` is called with the sender and the amount of work, before the first request.
    """
    sealed_before = run.planner.sealed_before()
    resend = sealed_before.resendable
    # Claiming what is past the horizon is what puts it in doubt.
    run.ledger.outbox.claim_again(
        sealed_before.past_horizon, push=run.push, token=run.token, now=run.around.clock()
    )
    unsealed, work = _unsealed(run)
    schedule = run.planner.schedule(resend, unsealed, attrgetter("event_time"))
    on_start(run.sender, len(resend) + work)
    async with run.sender.running():
        while run.room and not run.sender.is_stopping():
            chunk = _next_chunk(run, schedule)
            if chunk is None:
                break
            if chunk:
                run.sender.add(claim_chunk(run.sender, chunk, run.around.clock()))
                run.claimed += len(chunk)
            else:
                run.ledger.lease.prolong(run.token, run.around.clock())
            # However much is held back: answers, signals and the deadline are attended to in between.
            await asyncio.sleep(0)
            await run.sender.wait_until_below(run.chunk)


def _unsealed(run: Drain) -> tuple[Iterator[Item], int]:
    """Return what is unsealed in the order in which it is sent, and about how much it is."""
    if run.rollup is not None:
        return run.rollup.items(), len(run.rollup)
    times, numbers = run.ledger.outbox.unsealed_in_order()
    return map(Single, times, numbers), len(numbers)


def _next_chunk(
    run: Drain, schedule: "Iterator[StoredMeterEvent | Item]"
) -> list[StoredMeterEvent | Planned | Sealed] | None:
    """
    Take what comes next and nothing holds back; None if nothing comes any more.

    Looks at a bounded number of usage events: blocks are judged by the clock of this moment.
    """
    run.planner.refresh(run.around.clock())
    room = run.room
    chunk: list[StoredMeterEvent | Planned | Sealed] = []
    looked = 0
    for looked, one in enumerate(islice(schedule, LOOKED_AT_ONCE), 1):  # noqa: B007 # counted to its end
        if isinstance(one, StoredMeterEvent):
            chunk.append(one)
        elif isinstance(one, Group):
            sealed = run.rollup.seal(one) if run.rollup is not None else []
            # The parts of a window go in one transaction; what a limit has no room for waits.
            if run.limit is None or len(chunk) + len(sealed) <= room:
                chunk += sealed
        elif isinstance(one, Single) and (planned := _planned(run, one.usage_event)):
            chunk.append(planned)
        if len(chunk) >= room:
            break
    return chunk if looked else None


def _planned(run: Drain, usage_event: int) -> Planned | None:
    """Seal one usage event, unless something holds it back."""
    usage = run.ledger.outbox.unsealed_event(usage_event)
    planned = run.planner.decide(usage) if usage else None
    if planned is None or planned.sealed is None:
        return None
    lane = (planned.sealed.event_name, planned.sealed.stripe_customer_id)
    return None if lane in run.sender.held_lanes else planned
