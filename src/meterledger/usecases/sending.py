"""
The request loop: claimed meter events out, outcomes back. The only asynchronous code.

One call at a time for each customer and meter (a lane), many lanes at once, each lane in its turn.
An attempt is committed before it is sent; outcomes are committed together, soon after they are known.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from meterledger.domain.delivery import (
    MAX_ATTEMPTS_PER_RUN,
    Outcome,
    Result,
    State,
    Verdict,
    backoff_seconds,
    is_past_horizon,
    verdict,
)
from meterledger.domain.instant import MINUTE, Instant
from meterledger.domain.pace import Pace
from meterledger.domain.sending_order import Lane
from meterledger.domain.way import Way
from meterledger.ledger import Ledger
from meterledger.ledger.outbox import Claimed, Finished, StoredMeterEvent

FLUSH_OUTCOMES = 200
FLUSH_SECONDS = 0.05
SILENCE_SECONDS = 60.0
"""Without any answer from Stripe for so long, the run ends."""

STALE_CLAIM = 5 * MINUTE
"""A claim that waited longer (a suspended machine) is given back, not sent: its time is no longer true."""

KINDS_OF_REFUSAL = 100
"""Different refusals that a tally tells apart; a message may name what is refused."""

_OTHER_REFUSALS = "other refusals"
_TOO_MANY_REQUESTS = 429


class Gateway(Protocol):
    """What sends one meter event once."""

    async def send(self, body: dict[str, object], idempotency_key: str) -> Outcome:
        """Return what came of it by v1; never raises."""

    async def send_v2(self, body: dict[str, object], idempotency_key: str) -> Outcome:
        """Return what came of it by v2; never raises."""

    async def send_batch(self, events: Sequence[dict[str, object]], idempotency_key: str) -> Outcome:
        """Return what came of a batch by the stream, for each of its events; never raises."""


@dataclass(slots=True, kw_only=True, eq=False)
class Parcel:
    """The claims of one request. It is sent when it is the first in each of its lanes."""

    claims: Sequence[Claimed]
    lanes: Sequence[Lane]
    ahead: int = 0
    """In how many of its lanes others come before it."""


class Stop(StrEnum):
    """Why a run ended before its work did."""

    INTERRUPTED = "interrupted"
    MAX_DURATION = "max_duration"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(slots=True, kw_only=True)
class Tally:
    """What this run did, in meter events."""

    sealed: int = 0
    accepted: int = 0
    rejected: int = 0
    exhausted: int = 0
    """Tried as often as a run tries, without an outcome that settles them."""
    refusals: dict[str, int] = field(default_factory=dict)
    """How often Stripe rejected, by code and message."""
    last_failure: str = ""

    def count(self, judged: Verdict) -> None:
        """Count what became of a meter event."""
        if judged.state is State.ACCEPTED:
            self.accepted += 1
        elif judged.state is State.REJECTED:
            self.rejected += 1
            key = f"{judged.rejection_code}: {judged.rejection_message}"
            if key not in self.refusals and len(self.refusals) >= KINDS_OF_REFUSAL:
                key = _OTHER_REFUSALS
            self.refusals[key] = self.refusals.get(key, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Clock, sleep, chance and pace, passed in."""

    clock: Callable[[], Instant]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]
    pace: Pace = field(default_factory=lambda: Pace(ceiling=None))


@dataclass(slots=True, kw_only=True)
class Sender:
    """Sends what it is given until it is told to stop."""

    gateway: Gateway
    ledger: Ledger
    push: int
    token: int
    around: Surroundings
    concurrency: int
    on_progress: Callable[[int], None] = lambda _finished: None
    tally: Tally = field(default_factory=Tally)
    stop: Stop | None = None
    stop_message: str = ""
    stop_status: int | None = None
    """The HTTP status that stopped the run, if one did."""
    held_lanes: set[Lane] = field(default_factory=set)
    """Ordered lanes in which an event got no final outcome: what comes later waits for it."""
    is_ordered: Callable[[str], bool] = lambda _event_name: False
    flush_outcomes: int = FLUSH_OUTCOMES
    _lanes: dict[Lane, deque[Parcel]] = field(default_factory=dict)
    _ready: asyncio.Queue[Parcel] = field(default_factory=asyncio.Queue)
    _outcomes: list[Finished] = field(default_factory=list)
    deadline: float | None = None
    """When to stop, in monotonic seconds."""
    _outstanding: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _last_answer: float = 0.0
    _flushed_at: float = float("-inf")
    _failure: BaseException | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the workers; at the end every claim has an outcome, given back unsent where need be."""
        self._last_answer = self.around.monotonic()
        tasks = [asyncio.create_task(self._work()) for _ in range(self.concurrency)]
        tasks.append(asyncio.create_task(self._flush_regularly()))
        try:
            yield
            await self.wait_until_below(1)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._raise_failure()
        self.flush()

    def add(self, parcels: Iterable[Parcel]) -> None:
        """Take over claims; they are sent in this order within their lanes."""
        for parcel in parcels:
            self._outstanding += len(parcel.claims)
            for lane in parcel.lanes:
                waiting = self._lanes.setdefault(lane, deque())
                parcel.ahead += bool(waiting)
                waiting.append(parcel)
            if not parcel.ahead:
                self._ready.put_nowait(parcel)

    @property
    def outstanding(self) -> int:
        """How many meter events are still being delivered."""
        return self._outstanding

    def waiting_in(self, lane: Lane) -> int:
        """Return how many requests of a lane are still to be made or answered."""
        return len(self._lanes.get(lane, ()))

    async def wait_until_below(self, count: int) -> None:
        """Wait until fewer meter events than ``count`` are still being delivered."""
        while self._outstanding >= count and self._failure is None:
            self._changed.clear()
            await self._changed.wait()
        self._raise_failure()

    def request_stop(self, reason: Stop, message: str = "") -> None:
        """Let what is in flight end, and give everything else back."""
        if self.stop is None:
            self.stop, self.stop_message = reason, message
            self._changed.set()

    async def _work(self) -> None:
        try:
            while True:
                parcel = await self._ready.get()
                await self._serve(parcel)
                self._outstanding -= len(parcel.claims)
                self._changed.set()
                for lane in parcel.lanes:
                    self._advance(lane)
        except Exception as error:  # noqa: BLE001 # handed to the run, which raises it
            self._failure = self._failure or error
            self._changed.set()

    async def _serve(self, parcel: Parcel) -> None:
        await self._deliver(parcel.claims[0], parcel.lanes[0])

    def _advance(self, lane: Lane) -> None:
        """Let the next in a lane move up."""
        waiting = self._lanes[lane]
        waiting.popleft()
        if not waiting:
            del self._lanes[lane]
            return
        waiting[0].ahead -= 1
        if not waiting[0].ahead:
            self._ready.put_nowait(waiting[0])

    async def _deliver(self, claimed: Claimed, lane: Lane) -> None:
        """Try one meter event until it is settled, given up for this run, or the run stops."""
        for tries in range(1, MAX_ATTEMPTS_PER_RUN + 1):
            if self.is_stopping() or lane in self.held_lanes:
                self._record(claimed, self._not_started())
                return
            outcome = await self._attempt(claimed)
            judged = self._record(claimed, outcome)
            if judged.state not in (State.PENDING, State.SENDING):
                break
            self.tally.last_failure = outcome.message or outcome.code or outcome.result
            if self._must_stop(outcome):
                break
            if not judged.retry or not may_retry(outcome) or tries == MAX_ATTEMPTS_PER_RUN:
                self.tally.exhausted += 1
                break
            self.flush()
            await self._pause(backoff_seconds(tries, self.around.chance(), outcome.retry_after_seconds))
            if self.is_stopping():
                return
            again = self._claim_again(claimed, judged.state)
            if again is None:
                break
            claimed = again
        if judged.state not in (State.ACCEPTED, State.REJECTED) and self.is_ordered(lane[0]):
            self.held_lanes.add(lane)

    async def _attempt(self, claimed: Claimed) -> Outcome:
        wait = self.around.pace.wait_seconds(self.around.monotonic())
        if wait:
            await self.around.sleep(wait)
        if not self._may_leave((claimed,)):
            return self._not_started()
        send = self.gateway.send_v2 if claimed.sealed.way is Way.V2 else self.gateway.send
        outcome = await send(claimed.sealed.body(), claimed.idempotency_key)
        self._note_answer(outcome)
        return outcome

    def _may_leave(self, claims: Sequence[Claimed]) -> bool:
        """
        Look once more right before claims are sent: this process may have been held for long.

        Raises:
            LedgerError: Another push has taken over: what was claimed is no longer ours to send.
        """
        self.ledger.lease.refuse_if_lost(self.token)
        now = self.around.clock()
        return not any(
            now - one.started_at > STALE_CLAIM or (one.earlier and is_past_horizon(one.earlier, now))
            for one in claims
        )

    def _note_answer(self, outcome: Outcome) -> None:
        """Let the pace follow what Stripe said, and remember when it last said anything."""
        if outcome.rate_limited:
            self.around.pace.refused(self.around.monotonic())
        elif outcome.answered:
            self.around.pace.answered()
        if outcome.answered:
            self._last_answer = self.around.monotonic()

    def _not_started(self) -> Outcome:
        return Outcome(result=Result.NOT_SENT, at=self.around.clock(), code="not_started")

    def _claim_again(self, claimed: Claimed, state: State) -> Claimed | None:
        stored = StoredMeterEvent(id=claimed.id, state=state, attempts=claimed.attempt, sealed=claimed.sealed)
        again = self.ledger.outbox.claim_again(
            [stored], push=self.push, token=self.token, now=self.around.clock()
        )
        return again[0] if again else None

    def _record(self, claimed: Claimed, outcome: Outcome) -> Verdict:
        return self._record_all((claimed,), outcome)[0]

    def _record_all(self, batch: Sequence[Claimed], outcome: Outcome) -> list[Verdict]:
        """Judge what one answer means for each of those that it is about."""
        # Most have no attempt before: without one, nothing but the answer counts.
        first = verdict((), outcome.at, outcome)
        judged = [verdict(one.earlier, one.started_at, outcome) if one.earlier else first for one in batch]
        for claimed, one in zip(batch, judged, strict=True):
            self._outcomes.append(Finished(claimed=claimed, outcome=outcome, verdict=one))
            self.tally.count(one)
        if len(self._outcomes) >= self.flush_outcomes:
            self.flush()
        return judged

    def _must_stop(self, outcome: Outcome) -> bool:
        if outcome.stops_run:
            self.stop_status = outcome.http_status
            told = (str(outcome.http_status or ""), outcome.message or "")
            self.request_stop(Stop.REFUSED, ": ".join(filter(None, told)))
        elif self.around.monotonic() - self._last_answer > SILENCE_SECONDS:
            self.request_stop(Stop.UNREACHABLE, f"no answer for {SILENCE_SECONDS:.0f} s: {outcome.message}")
        return self.stop is not None

    def is_stopping(self) -> bool:
        """Tell whether the run is to end; a deadline that has passed ends it."""
        if self.deadline is not None and self.around.monotonic() >= self.deadline:
            self.request_stop(Stop.MAX_DURATION)
        return self.stop is not None

    async def _pause(self, seconds: float) -> None:
        """Wait in short steps, so that a stop is not kept waiting."""
        until = self.around.monotonic() + seconds
        while not self.is_stopping() and (left := until - self.around.monotonic()) > 0:
            await self.around.sleep(min(left, 0.5))

    async def _flush_regularly(self) -> None:
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                if self.around.monotonic() - self._flushed_at >= FLUSH_SECONDS:
                    self.flush()
        except Exception as error:  # noqa: BLE001 # handed to the run, which raises it
            self._failure = self._failure or error
            self._changed.set()

    def flush(self) -> None:
        """Commit the outcomes that are known by now."""
        self._flushed_at = self.around.monotonic()
        if not self._outcomes:
            return
        finished, self._outcomes = self._outcomes, []
        now = self.around.clock()
        with self.ledger.database.transaction():
            self.ledger.lease.renew(self.token, now)
            self.ledger.outbox.finish(finished, now)
        self.on_progress(len(finished))

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def may_retry(outcome: Outcome) -> bool:
    """Heed Stripe-Should-Retry; a rate limit says false to clients that would not wait, and we wait."""
    return outcome.should_retry is not False or outcome.http_status == _TOO_MANY_REQUESTS
