"""Push: recover, claim, send, finish; each meter event counted at Stripe once and never lost."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter

from meterledger import __version__
from meterledger.config import Settings
from meterledger.domain.blocking import BlockReason
from meterledger.domain.delivery import State
from meterledger.domain.instant import SECOND, Instant
from meterledger.domain.meter_event import MeterEvent, UsageToSeal
from meterledger.domain.way import Way
from meterledger.ledger import Ledger
from meterledger.ledger.outbox import Claimed, StoredMeterEvent
from meterledger.usecases.door import (
    Counterpart,
    knock,
    lease_held,
    refuse_other_binding,
    refuse_without_live,
)
from meterledger.usecases.parcels import pack, sealed_of
from meterledger.usecases.planning import Planned, Planner, refuse_clock_set_back, refuse_coarser_scale, stand
from meterledger.usecases.sending import (
    FLUSH_OUTCOMES,
    Lane,
    Parcel,
    Sender,
    Stop,
    Surroundings,
    Tally,
)
from meterledger.usecases.streaming import WaySender

CHUNK_METER_EVENTS = 128
"""Claimed in one transaction; at most one chunk more than is being sent."""

STREAM_CHUNK_METER_EVENTS = 2000
"""The same where 100 go in one request."""

LOOKED_AT_ONCE = 2048
"""Usage events looked at without a break where most are held back: a fraction of a second."""

CONCURRENCY = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOptions:
    """What the user asked for; a duration in microseconds."""

    live: bool = False
    limit: int | None = None
    max_duration: int | None = None
    include_closed: bool = False
    concurrency: int = CONCURRENCY


@dataclass(slots=True, kw_only=True)
class PushReport:
    """What this run did, and what is open in the ledger at its end."""

    tally: Tally = field(default_factory=Tally)
    pending: int = 0
    in_doubt: int = 0
    rejected_in_ledger: int = 0
    blocked: dict[BlockReason, int] = field(default_factory=dict)
    recovered: int = 0
    warnings: list[str] = field(default_factory=list)
    stop: Stop | None = None
    stop_message: str = ""

    @property
    def needs_a_person(self) -> bool:
        """Tell whether anything is open that no further push mends by itself."""
        return bool(self.in_doubt or self.rejected_in_ledger or self.blocked)


@dataclass(slots=True, kw_only=True)
class _Run:
    """One push while it runs."""

    ledger: Ledger
    settings: Settings
    options: PushOptions
    around: Surroundings
    planner: Planner
    sender: Sender
    push: int
    token: int
    claimed: int = 0

    @property
    def room(self) -> int:
        """How many meter events may still be claimed."""
        limit = self.options.limit
        left = self.chunk if limit is None else limit - self.claimed
        return max(0, min(self.chunk, left))

    @property
    def chunk(self) -> int:
        """How many meter events are claimed in one transaction."""
        return STREAM_CHUNK_METER_EVENTS if self.planner.way is Way.STREAM else CHUNK_METER_EVENTS


async def push(
    ledger: Ledger,
    settings: Settings,
    options: PushOptions,
    stripe: Counterpart,
    around: Surroundings,
    on_start: Callable[[Sender, int], None] = lambda _sender, _unsealed: None,
) -> PushReport:
    """
    Send what is unsealed or unsettled.

    Args:
        ledger: The ledger; its lease is held from here to the end.
        settings: The config.
        options: What the user asked for.
        stripe: Key mode, host, and who speaks to it.
        around: Clock, sleep, chance, pace.
        on_start: Called with the sender and the amount of work, before the first request.

    Raises:
        UsageError: The key is of another mode or account than the ledger, or ``live`` is missing.
        LedgerError: Another push is at work, or the ledger is ahead of the clock.
        StripeError: Stripe refused the key, could not be reached, or its clock is too far from ours.
    """
    refuse_without_live(stripe.access, live=options.live)
    refuse_clock_set_back(ledger, around.clock())
    refuse_other_binding(ledger.lease.binding(), stripe.access)
    refuse_coarser_scale(ledger, settings)
    report = PushReport()
    with lease_held(ledger, around.clock) as token:
        report.warnings = await knock(ledger, stripe, around.clock)
        now = around.clock()
        report.recovered = ledger.outbox.recover(token, now)
        planner = Planner(ledger, settings, now, include_closed=options.include_closed)
        for event in planner.stale():
            ledger.outbox.dissolve(event.id, token, now)
        if planner.way is Way.STREAM:
            ledger.lease.bind_meter_events_host(stripe.access.meter_events_base)
        number = ledger.outbox.begin_push(planner.way, __version__, token, now)
        sender = WaySender(
            gateway=stripe.gateway,
            ledger=ledger,
            push=number,
            token=token,
            around=around,
            concurrency=options.concurrency,
            deadline=None
            if options.max_duration is None
            else around.monotonic() + options.max_duration / SECOND,
            tally=report.tally,
            flush_outcomes=STREAM_CHUNK_METER_EVENTS if planner.way is Way.STREAM else FLUSH_OUTCOMES,
            is_ordered=lambda name: any(
                meter.event_name == name and meter.is_ordered for meter in settings.catalogue.meters
            ),
        )
        run = _Run(
            ledger=ledger,
            settings=settings,
            options=options,
            around=around,
            planner=planner,
            sender=sender,
            push=number,
            token=token,
        )
        await _send_everything(run, on_start)
        ledger.outbox.finish_push(number, around.clock())
        report.stop, report.stop_message = sender.stop, sender.stop_message
    _sum_up(ledger, planner, around.clock(), report)
    return report


async def _send_everything(run: _Run, on_start: Callable[[Sender, int], None]) -> None:
    resend = run.planner.resendable()
    # Claiming what is past the horizon is what puts it in doubt.
    run.ledger.outbox.claim_again(
        run.planner.past_horizon(), push=run.push, token=run.token, now=run.around.clock()
    )
    times, numbers = run.ledger.outbox.unsealed_in_order()
    schedule = run.planner.schedule(resend, zip(times, numbers, strict=True), itemgetter(0))
    on_start(run.sender, len(resend) + len(numbers))
    async with run.sender.running():
        while run.room and not run.sender.is_stopping():
            chunk = _next_chunk(run, schedule)
            if chunk is None:
                break
            if chunk:
                run.sender.add(_claimed(run, chunk))
                run.claimed += len(chunk)
            else:
                run.ledger.lease.prolong(run.token, run.around.clock())
            # However much is held back: answers, signals and the deadline are attended to in between.
            await asyncio.sleep(0)
            await run.sender.wait_until_below(run.chunk)


def _next_chunk(
    run: _Run, schedule: "Iterator[StoredMeterEvent | tuple[int, int]]"
) -> list[StoredMeterEvent | Planned] | None:
    """
    Take what comes next and nothing holds back; None if nothing comes any more.

    Looks at a bounded number of usage events: blocks are judged by the clock of this moment.
    """
    run.planner.refresh(run.around.clock())
    room = run.room
    chunk: list[StoredMeterEvent | Planned] = []
    looked = 0
    for looked, one in enumerate(islice(schedule, LOOKED_AT_ONCE), 1):  # noqa: B007 # counted to its end
        if isinstance(one, StoredMeterEvent):
            chunk.append(one)
        elif planned := _planned(run, one[1]):
            chunk.append(planned)
        if len(chunk) == room:
            break
    return chunk if looked else None


def _planned(run: _Run, usage_event: int) -> Planned | None:
    """Seal one usage event, unless something holds it back."""
    usage = run.ledger.outbox.unsealed_event(usage_event)
    planned = run.planner.decide(usage) if usage else None
    if planned is None or planned.sealed is None:
        return None
    lane = (planned.sealed.event_name, planned.sealed.stripe_customer_id)
    return None if lane in run.sender.held_lanes else planned


def _claimed(run: _Run, chunk: list[StoredMeterEvent | Planned]) -> list[Parcel]:
    """Claim a chunk in one transaction, and return the claims in its order, by request."""
    outbox, now = run.ledger.outbox, run.around.clock()
    packed = pack(chunk, run.sender.is_ordered)
    alone = [one for parcel in packed for one in parcel if sealed_of(one).way is not Way.STREAM]
    parcels: list[Parcel] = []
    with run.ledger.database.transaction():
        stored, new = _apart(alone)
        again = {one.id: one for one in outbox.claim_again(stored, push=run.push, token=run.token, now=now)}
        sealed = iter(outbox.claim_new(new, push=run.push, token=run.token, now=now))
        for parcel in packed:
            [first, *_] = parcel
            if sealed_of(first).way is Way.STREAM:
                batch = outbox.claim_batch(*_apart(parcel), push=run.push, token=run.token, now=now)
                parcels += [_batch(run, batch)] if batch else []
                continue
            claimed = again.get(first.id) if isinstance(first, StoredMeterEvent) else next(sealed)
            parcels += [_single(claimed)] if claimed else []
    run.sender.tally.sealed += sum(1 for one in chunk if isinstance(one, Planned))
    return parcels


def _apart(
    parcel: list[StoredMeterEvent | Planned],
) -> tuple[list[StoredMeterEvent], list[tuple[UsageToSeal, MeterEvent]]]:
    """Return what was sealed before, and what is sealed now."""
    stored = [one for one in parcel if isinstance(one, StoredMeterEvent)]
    return stored, [(one.usage, one.sealed) for one in parcel if isinstance(one, Planned) and one.sealed]


def _single(claimed: Claimed) -> Parcel:
    return Parcel(claims=(claimed,), lanes=(_lane(claimed),))


def _batch(run: _Run, batch: list[Claimed]) -> Parcel:
    """Batches know no lanes, but those whose order matters."""
    lanes = [_lane(one) for one in batch if run.sender.is_ordered(one.sealed.event_name)]
    return Parcel(claims=batch, lanes=lanes)


def _lane(claimed: Claimed) -> Lane:
    return claimed.sealed.event_name, claimed.sealed.stripe_customer_id


def _sum_up(ledger: Ledger, planner: Planner, now: Instant, report: PushReport) -> None:
    planner.refresh(now)
    standing = stand(planner)
    counts = ledger.outbox.counts()
    report.blocked = standing.blocked
    report.pending = counts[State.PENDING] + counts[State.SENDING] + standing.unsealed
    report.in_doubt = counts[State.IN_DOUBT]
    report.rejected_in_ledger = counts[State.REJECTED]
