"""Batches of the stream out, and one answer for all of their events back."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from meterledger.domain.delivery import (
    MAX_ATTEMPTS_PER_RUN,
    Outcome,
    Result,
    State,
    Verdict,
    backoff_seconds,
)
from meterledger.domain.way import Way
from meterledger.ledger.outbox import Claimed, StoredMeterEvent
from meterledger.usecases.queueing import lane_of
from meterledger.usecases.sending import Parcel, Sender, may_retry

_OPEN = (State.PENDING, State.SENDING)


class WaySender(Sender):
    """A sender that knows the stream too: each claim goes the way it was claimed for."""

    async def _serve(self, parcel: Parcel) -> None:
        if parcel.claims[0].sealed.way is Way.STREAM:
            await self._deliver_batch(list(parcel.claims))
        else:
            await super()._serve(parcel)

    async def _deliver_batch(self, batch: list[Claimed], tries: int = 1) -> None:
        """Try one batch until it is settled, given up for this run, or the run stops."""
        while batch := self._without_held(batch):
            if self.is_stopping():
                self._record_all(batch, self._not_started())
                return
            outcome = await self._attempt_batch(batch)
            if outcome.result is Result.REJECTED and len(batch) > 1:
                await self._deliver_singly(batch, outcome, tries)
                return
            judged = self._record_all(batch, outcome)
            is_open = [one for one, verdict in zip(batch, judged, strict=True) if verdict.state in _OPEN]
            if not is_open:
                self._hold(batch, judged)
                return
            self.tally.last_failure = outcome.message or outcome.code or outcome.result
            if self._must_stop(outcome):
                return
            may_go_on = any(one.retry for one in judged) and may_retry(outcome)
            if not may_go_on or tries == MAX_ATTEMPTS_PER_RUN:
                self.tally.exhausted += len(is_open)
                self._hold(batch, judged)
                return
            self.flush()
            await self._pause(backoff_seconds(tries, self.around.chance(), outcome.retry_after_seconds))
            if self.is_stopping():
                return
            tries += 1
            batch = self._claim_batch_again(batch, judged)

    async def _deliver_singly(self, batch: Sequence[Claimed], outcome: Outcome, tries: int) -> None:
        """
        Send the events of a batch one by one: it was refused for its form, and one of them is the reason.

        The refusal is complete, so that the batch was not taken; it says nothing about any one event.
        """
        judged = self._record_all(batch, replace(outcome, result=Result.NOT_SENT))
        self.flush()
        for at, (one, verdict) in enumerate(zip(batch, judged, strict=True)):
            if self.is_stopping():
                return
            if tries == MAX_ATTEMPTS_PER_RUN:
                self.tally.exhausted += len(batch) - at
                self._hold(batch, judged)
                return
            await self._deliver_batch(self._claim_batch_again([one], [verdict]), tries + 1)

    async def _attempt_batch(self, batch: Sequence[Claimed]) -> Outcome:
        wait = self.around.pace.wait_seconds(self.around.monotonic())
        if wait:
            await self.around.sleep(wait)
        if not self._may_leave(batch):
            return self._not_started()
        outcome = await self.gateway.send_batch(
            [one.sealed.body() for one in batch], batch[0].idempotency_key
        )
        self._note_answer(outcome)
        return outcome

    def _without_held(self, batch: list[Claimed]) -> list[Claimed]:
        """
        Give back what has to wait for an earlier event of its lane, and claim the rest as a batch of its own.

        The key of a batch is that of all it held: no other batch may go under it.
        """
        free = [one for one in batch if lane_of(one.sealed) not in self.held_lanes]
        if len(free) == len(batch):
            return batch
        outcome = self._not_started()
        judged = dict(zip(map(_id, batch), self._record_all(batch, outcome), strict=True))
        self.flush()
        return self._claim_batch_again(free, [judged[one.id] for one in free])

    def _claim_batch_again(self, batch: Sequence[Claimed], judged: Sequence[Verdict]) -> list[Claimed]:
        stored = [
            StoredMeterEvent(id=one.id, state=verdict.state, attempts=one.attempt, sealed=one.sealed)
            for one, verdict in zip(batch, judged, strict=True)
        ]
        [again] = self.ledger.outbox.claim_batches(
            [(stored, [])], push=self.push, token=self.token, now=self.around.clock()
        )
        left = {one.id for one in again}
        # What is past the horizon is in doubt now, and what comes after it on an ordered meter waits.
        self._hold_lanes(one for one in batch if one.id not in left)
        return again

    def _hold(self, batch: Sequence[Claimed], judged: Sequence[Verdict]) -> None:
        settled = (State.ACCEPTED, State.REJECTED)
        self._hold_lanes(one for one, v in zip(batch, judged, strict=True) if v.state not in settled)

    def _hold_lanes(self, claims: Iterable[Claimed]) -> None:
        lanes = (lane_of(one.sealed) for one in claims)
        self.held_lanes.update(lane for lane in lanes if self.is_ordered(lane[0]))


def _id(claimed: Claimed) -> int:
    return claimed.id
