"""Draining the outbox: chunk by chunk, what comes next is sealed, claimed and given to the sender."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from meterledger.domain.dues import NEVER
from meterledger.domain.instant import Instant
from meterledger.domain.meter_event import UsageToSeal
from meterledger.domain.sending_order import Lane
from meterledger.domain.way import Way
from meterledger.ledger import Ledger
from meterledger.ledger.outbox import StoredMeterEvent
from meterledger.usecases.claiming import claim_chunk
from meterledger.usecases.parcels import sealed_of
from meterledger.usecases.planning import Planned, Planner
from meterledger.usecases.queueing import Queue, Single, always_a_place, lane_of, queue_pending, unknown_first
from meterledger.usecases.rolling_up import Group, Item, RollUp, Sealed
from meterledger.usecases.sending import Sender, Surroundings

CHUNK_METER_EVENTS = 128
"""Claimed in one transaction; at most one chunk more than is being sent."""

STREAM_CHUNK_METER_EVENTS = 5000
"""The same where 100 go in one request."""

STREAM_CHUNK_ROLLED_UP = 2000
"""The same where each may carry many usage events, which are linked in the same transaction."""

LANE_AHEAD = 8
"""Meter events of one customer and meter that may be on their way at once, one of them being sent."""

LANE_REFILLED_FROM = LANE_AHEAD // 2

LOOKED_AT_ONCE = 5000
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
    drawn: Counter[Lane] = field(default_factory=Counter)
    """What the chunk at hand has of each lane."""
    lapse_at: Mapping[int, Instant] = field(default_factory=dict)
    """When the clock blocks what is sealed and never reached Stripe, by the ids of meter events."""
    all_full: bool = False
    """Nothing is left but for lanes that have enough on their way."""

    @property
    def room(self) -> int:
        """How many meter events may still be claimed."""
        left = self.chunk if self.limit is None else self.limit - self.claimed
        return max(0, min(self.chunk, left))

    @property
    def chunk(self) -> int:
        """How many meter events are claimed in one transaction."""
        if self.planner.way is not Way.STREAM:
            return CHUNK_METER_EVENTS
        return STREAM_CHUNK_METER_EVENTS if self.rollup is None else STREAM_CHUNK_ROLLED_UP

    def take_place(self, lane: Lane) -> bool:
        """
        Take a place in a lane for what is drawn next; False if it may have no more.

        A lane is sent one by one: what it has too much of would take the place of others, who could go on
        while it waits. It is filled up again when half of it has gone.
        """
        if self.planner.way is Way.STREAM and not self.sender.is_ordered(lane[0]):
            return True
        waiting = self.sender.waiting_in(lane)
        if waiting > LANE_REFILLED_FROM or waiting + self.drawn[lane] >= LANE_AHEAD:
            return False
        self.drawn[lane] += 1
        return True


async def drain(run: Drain, on_start: Callable[[Sender, int], None]) -> None:
    """
    Send everything that may go, until the limit or a stop.

    ``on_start`` is called with the sender and the amount of work, before the first request.
    """
    sealed_before = run.planner.sealed_before()
    resend, run.lapse_at = sealed_before.resendable, sealed_before.lapse_at
    # Claiming what is past the horizon is what puts it in doubt.
    run.ledger.outbox.claim_again(
        sealed_before.past_horizon, push=run.push, token=run.token, now=run.around.clock()
    )
    waiting, work = _waiting(run, resend)
    schedule = chain(unknown_first(resend), waiting)
    on_start(run.sender, len(resend) + work)
    async with run.sender.running():
        while run.room and not run.sender.is_stopping():
            under_way = run.sender.outstanding
            chunk = _next_chunk(run, schedule)
            if chunk is None:
                break
            if chunk:
                # One transaction, and one wait for the disk, for what is known and for what comes next.
                with run.ledger.database.transaction():
                    run.sender.flush()
                    claimed = claim_chunk(run.sender, chunk, run.around.clock())
                run.sender.add(claimed)
                run.claimed += len(chunk)
            else:
                run.ledger.lease.prolong(run.token, run.around.clock())
            # However much is held back: answers, signals and the deadline are attended to in between.
            await asyncio.sleep(0)
            await run.sender.wait_until_below(max(under_way, 1) if run.all_full else run.chunk)


def _waiting(
    run: Drain, resend: Sequence[StoredMeterEvent]
) -> tuple[Iterator[StoredMeterEvent | Item | None], int]:
    """
    Return what waits in the order in which it is sent, and about how much of it is unsealed.

    None comes where nothing is left but for lanes that have enough on their way.
    """
    # What a limit lets through is what preview shows: no lane is passed over.
    is_free = run.planner.way is Way.STREAM and not run.planner.settings.catalogue.ordered
    take_place = always_a_place if is_free or run.limit is not None else run.take_place
    if run.rollup is not None:
        return run.rollup.items(resend, take_place), len(run.rollup)
    queue: Queue[StoredMeterEvent] = Queue(run.planner)
    queue.add_unsealed()
    work = len(queue)
    queue_pending(queue, resend)
    return queue.draw(take_place), work


def _next_chunk(
    run: Drain, schedule: "Iterator[StoredMeterEvent | Item | None]"
) -> list[StoredMeterEvent | Planned | Sealed] | None:
    """
    Take what comes next and nothing holds back; None if nothing comes any more.

    Looks at a bounded number of usage events: blocks are judged by the clock of this moment.
    """
    run.planner.refresh(run.around.clock())
    room = run.room
    chunk: list[StoredMeterEvent | Planned | Sealed] = []
    looked = 0
    run.drawn.clear()
    while (most := min(room - len(chunk), LOOKED_AT_ONCE - looked)) > 0:
        some = _draw(schedule, most)
        looked += len(some)
        usage = run.ledger.unsealed.by_number([one.usage_event for one in some if isinstance(one, Single)])
        for one in some:
            taken = _taken(run, one, usage)
            # The parts of a window go in one transaction; what a limit has no room for waits.
            if run.limit is None or len(chunk) + len(taken) <= room:
                chunk += taken
        if run.drawn:
            # What is held back gives its place in the lane back.
            run.drawn = Counter(lane_of(sealed_of(one)) for one in chunk)
        if some in ([], [None]):
            break
    run.all_full = looked == 1 and not chunk and some == [None]
    return chunk if looked else None


def _draw(
    schedule: "Iterator[StoredMeterEvent | Item | None]", most: int
) -> list[StoredMeterEvent | Item | None]:
    """Draw some of what waits, up to where only full lanes are left."""
    some: list[StoredMeterEvent | Item | None] = []
    for one in islice(schedule, most):
        some.append(one)
        if one is None:
            break
    return some


def _taken(
    run: Drain, one: StoredMeterEvent | Item | None, usage: Mapping[int, UsageToSeal]
) -> Sequence[StoredMeterEvent | Planned | Sealed]:
    """Seal what waits, unless something holds it back or it is no longer unsealed."""
    if isinstance(one, StoredMeterEvent):
        if run.planner.now < run.lapse_at.get(one.id, NEVER):
            return [one]
        # Blocked since the push began, and Stripe never had it: its usage is unsealed again.
        run.ledger.outbox.dissolve(one.id, run.token, run.planner.now)
        return []
    if isinstance(one, Group):
        return run.rollup.seal(one) if run.rollup is not None else []
    found = usage.get(one.usage_event) if isinstance(one, Single) else None
    planned = run.planner.decide(found) if found else None
    if planned is None or planned.sealed is None:
        return []
    held = run.sender.held_lanes
    return [] if held and lane_of(planned.sealed) in held else [planned]
