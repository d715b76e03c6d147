"""The outbox: from unsealed usage to meter events, their attempts and their outcomes."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter

from meterledger.domain.delivery import (
    Attempt,
    InDoubtReason,
    State,
    Verdict,
    is_past_horizon,
    resolution,
)
from meterledger.domain.instant import Instant
from meterledger.domain.meter_event import MeterEvent, UsageToSeal
from meterledger.domain.stream_batch import batch_key
from meterledger.domain.way import Way
from meterledger.errors import LedgerError, UsageError
from meterledger.ledger.database import Database
from meterledger.ledger.idempotency_keys import attempts_of_batch, before_dissolving, next_key
from meterledger.ledger.lease import LeaseStore
from meterledger.ledger.meter_event_rows import (
    Claimed,
    Finished,
    New,
    StoredMeterEvent,
    new_row,
    outcome_columns,
    rollup_row,
    state_columns,
    to_attempt,
    to_stored,
    to_usage,
)

__all__ = ["Claimed", "Finished", "New", "Outbox", "StoredMeterEvent"]


class Outbox:
    """Owns meter events, links, delivery attempts and pushes."""

    def __init__(self, database: Database, lease: LeaseStore) -> None:
        self._database = database
        self._lease = lease

    def usage_of(self, meter_event: int) -> list[UsageToSeal]:
        """Return the usage events that a meter event carries."""
        return [to_usage(row) for row in self._database.rows("usage_of_meter_event", meter_event=meter_event)]

    def unsent(self, way: Way = Way.V1) -> list[StoredMeterEvent]:
        """
        Return the meter events that were sealed before and are still to be sent.

        What may have reached Stripe keeps the way that it went; the rest is to go by ``way``.
        """
        return [to_stored(row, way) for row in self._database.rows("unsent_meter_events")]

    def attempts_of_unsent(self) -> dict[int, list[Attempt]]:
        """Return the attempts of each of those in order, read at once."""
        found: dict[int, list[Attempt]] = {}
        for row in self._database.stream("attempts_of_unsent"):
            found.setdefault(row["meter_event"], []).append(to_attempt(row))
        return found

    def never_reached(self) -> list[int]:
        """Return the pending meter events of which no attempt can have reached Stripe."""
        return [row["id"] for row in self._database.rows("pending_never_reached")]

    def last_of_lane(
        self, stripe_customer_id: str, event_name: str, within: tuple[Instant, Instant], as_of: Instant
    ) -> Instant | None:
        """Return the latest event_time that Stripe has, or may have, of a customer and meter in a window."""
        row = self._database.row(
            "last_of_lane",
            stripe_customer_id=stripe_customer_id,
            event_name=event_name,
            since=within[0],
            until=within[1],
            as_of=as_of,
        )
        return row["event_time"] if row else None

    def lanes_in_doubt(self) -> set[tuple[str, str]]:
        """Return each (event_name, Stripe customer) with a meter event in doubt."""
        return {(row[0], row[1]) for row in self._database.rows("lanes_in_doubt")}

    def begin_push(self, api: str, program_version: str, token: int, now: Instant) -> int:
        """Record that a push runs, and return its number."""
        with self._database.transaction():
            self._lease.renew(token, now)
            row = self._database.row("begin_push", api=api, program_version=program_version, started_at=now)
        if row is None:
            raise AssertionError("unreachable: the statement returns the row it wrote")
        number: int = row["id"]
        return number

    def finish_push(self, push: int, now: Instant) -> None:
        """Record that a push ended by itself."""
        with self._database.transaction():
            self._database.run("finish_push", push=push, finished_at=now)

    def recover(self, token: int, now: Instant) -> int:
        """Turn attempts that a dead push left in flight into unknown outcomes; return how many."""
        with self._database.transaction():
            self._lease.renew(token, now)
            return self._database.run("interrupt_attempts_in_flight", finished_at=now)

    def dissolve(self, meter_event: int, token: int, now: Instant) -> None:
        """Take a claim back that never reached Stripe: its usage is unsealed again."""
        with self._database.transaction():
            self._lease.renew(token, now)
            if self._database.run("dissolve_if_pending", meter_event=meter_event, now=now) != 1:
                raise LedgerError("a meter event changed while it was dissolved")
            self._database.run("unlink_meter_event", meter_event=meter_event, now=now)

    def claim_new(
        self,
        sealed: Iterable[New],
        *,
        push: int,
        token: int,
        now: Instant,
    ) -> list[Claimed]:
        """
        Seal and claim in one transaction: after it, and not before, each may be sent.

        Args:
            sealed: Each meter event with the usage event that it carries, or the numbers of those.
            push: The push that sends them.
            token: The lease's.
            now: When they are sealed, and their first attempt begins.
        """
        with self._database.transaction():
            self._lease.renew(token, now)
            new = list(sealed)
            before = before_dissolving(self._database, (event for _, event in new))
            keyed = [(*one, next_key(one[1], (), before.get(one[1].identifier, ()))) for one in new]
            return self._claim_new(keyed, push=push, now=now)

    def claim_batches(
        self,
        batches: Sequence[tuple[Sequence[StoredMeterEvent], Sequence[New]]],
        *,
        push: int,
        token: int,
        now: Instant,
    ) -> list[list[Claimed]]:
        """
        Claim batches of the stream, sealed before or now: one attempt for each event, one key for a batch.

        Those past the horizon become ``in_doubt`` and are left out. A batch is sent in the order returned.
        """
        with self._database.transaction():
            self._lease.renew(token, now)
            claimed: list[list[Claimed]] = []
            sealed: list[tuple[UsageToSeal | Sequence[int], MeterEvent, str]] = []
            before = before_dissolving(self._database, _in_batches(batches))
            for stored, new in batches:
                resent = self._within_horizon(stored, now)
                # By identifier: the same events make the same batch, and so the same key.
                events = sorted(
                    (*(event.sealed for event, _ in resent), *(event for _, event in new)), key=_identifier
                )
                key = batch_key(events, attempts_of_batch(resent, new, before)) if events else ""
                claimed.append([self._claim_once_more(*one, key, push=push, now=now) for one in resent])
                sealed += ((*one, key) for one in new)
            sealed_now = iter(self._claim_new(sealed, push=push, now=now))
            return [
                sorted((*again, *islice(sealed_now, len(new))), key=lambda one: one.sealed.identifier)
                for again, (_, new) in zip(claimed, batches, strict=True)
            ]

    def _claim_new(
        self,
        sealed: Iterable[tuple[UsageToSeal | Sequence[int], MeterEvent, str]],
        *,
        push: int,
        now: Instant,
    ) -> list[Claimed]:
        claimed = []
        first = self._database.row("next_meter_event")
        number: int = first["id"] if first else 1
        events, windows, attempts = [], [], []
        links: list[tuple[object, ...]] = []
        for usage, event, key in sealed:
            carried = (usage.usage_event,) if isinstance(usage, UsageToSeal) else usage
            events.append(new_row(number, event, len(carried)))
            links += [(number, one) for one in carried]
            if event.window:
                windows.append(rollup_row(number, event.window))
            attempts.append((number, 1, key, event.way.value))
            claimed.append(Claimed(id=number, sealed=event, attempt=1, started_at=now, idempotency_key=key))
            number += 1
        self._database.run_rows("add_meter_event", events, now=now)
        self._database.run_rows("add_rollup", windows)
        # In the order of the usage: neighbors in the file stand in one page.
        self._database.run_rows("link_usage_event", sorted(links, key=itemgetter(1)), linked_at=now)
        self._database.run_rows("begin_attempt", attempts, push=push, started_at=now)
        return claimed

    def claim_again(
        self, stored: Sequence[StoredMeterEvent], *, push: int, token: int, now: Instant
    ) -> list[Claimed]:
        """Claim sealed meter events for another attempt; those past the horizon become ``in_doubt``."""
        claimed: list[Claimed] = []
        if not stored:
            return claimed
        with self._database.transaction():
            self._lease.renew(token, now)
            before = before_dissolving(self._database, (event.sealed for event in stored))
            for event, attempts in self._within_horizon(stored, now):
                key = next_key(event.sealed, attempts, before.get(event.sealed.identifier, ()))
                claimed.append(self._claim_once_more(event, attempts, key, push=push, now=now))
        return claimed

    def _within_horizon(
        self, stored: Iterable[StoredMeterEvent], now: Instant
    ) -> list[tuple[StoredMeterEvent, list[Attempt]]]:
        """Return those that may be sent again, with their attempts; the others are in doubt from now on."""
        within = []
        for event in stored:
            attempts = self.attempts_of(event.id)
            if is_past_horizon(attempts, now):
                doubt = Verdict(state=State.IN_DOUBT, in_doubt_reason=InDoubtReason.OUTCOME_UNKNOWN)
                self._set_state(event.id, event.attempts, doubt, now)
            else:
                within.append((event, attempts))
        return within

    def _claim_once_more(
        self, event: StoredMeterEvent, attempts: Sequence[Attempt], key: str, *, push: int, now: Instant
    ) -> Claimed:
        changed = self._database.run(
            "claim_again_if_unclaimed", meter_event=event.id, attempts=event.attempts, now=now
        )
        if changed != 1:
            raise LedgerError("a meter event changed while it was claimed")
        number = event.attempts + 1
        self._database.run(
            "begin_attempt",
            meter_event=event.id,
            attempt=number,
            push=push,
            idempotency_key=key,
            started_at=now,
            api=event.sealed.way,
        )
        return Claimed(
            id=event.id,
            sealed=event.sealed,
            attempt=number,
            started_at=now,
            idempotency_key=key,
            earlier=attempts,
        )

    def finish(self, finished: Sequence[Finished], now: Instant) -> None:
        """Record outcomes in one transaction, by compare-and-set on state and attempt."""
        with self._database.transaction():
            self._finish(finished, now)

    def attempts_of(self, meter_event: int) -> list[Attempt]:
        """Return the attempts of a meter event in order."""
        return [to_attempt(row) for row in self._database.rows("attempts_of", meter_event=meter_event)]

    def resolve(self, identifier: str, *, sent: bool, note: str, now: Instant) -> State:
        """
        Record what a person says of a meter event in doubt, and return its new state.

        Raises:
            UsageError: There is no such meter event, or it is not in doubt.
        """
        with self._database.transaction():
            row = self._database.row("meter_event_by_identifier", identifier=identifier)
            if row is None or row["state"] != State.IN_DOUBT:
                what = f"is {row['state']}, not in doubt" if row else "is in no meter event of this ledger"
                raise UsageError(
                    f"identifier {identifier} {what}",
                    hint="see what is in doubt with `meterledger status`" if row else "check the identifier",
                )
            attempts = self.attempts_of(row["id"])
            verdict = resolution(attempts, sent=sent, now=now)
            self._database.run(
                "set_state_if_in_doubt",
                meter_event=row["id"],
                state=verdict.state,
                state_at=now,
                accepted_at=verdict.accepted_at,
                accepted_from=verdict.accepted_from,
                accepted_by=verdict.accepted_by,
            )
            self._database.run("settle_attempts", meter_event=row["id"], settled_at=now)
            self._database.run(
                "add_resolution",
                meter_event=row["id"],
                settled_as="sent" if sent else "not-sent",
                note=note,
                resolved_at=now,
            )
        return verdict.state

    def counts(self) -> dict[str, int]:
        """Return how many meter events are in each state, every state named."""
        found = {row["state"]: row["count"] for row in self._database.rows("count_meter_events")}
        return {state.value: found.get(state.value, 0) for state in State}

    def open_counts(self) -> tuple[dict[str, int], Instant | None]:
        """Return how many meter events are in each state that is not settled, and the oldest to be sent."""
        rows = self._database.rows("count_open_meter_events")
        counts = {state.value: 0 for state in (State.PENDING, State.SENDING, State.REJECTED, State.IN_DOUBT)}
        to_be_sent = [
            row["oldest_event_time"] for row in rows if row["state"] in (State.PENDING, State.SENDING)
        ]
        return counts | {row["state"]: row["count"] for row in rows}, min(to_be_sent, default=None)

    def latest_own_instant(self) -> Instant | None:
        """Return the latest instant that this ledger's own clock wrote."""
        row = self._database.row("latest_own_instant")
        return row["instant"] if row else None

    def _finish(self, finished: Sequence[Finished], now: Instant) -> None:
        together: dict[tuple[int, int, int, Instant], list[Finished]] = {}
        for one in finished:
            # What one answer is about has the outcome in common, and mostly the verdict.
            alike = id(one.outcome), id(one.verdict), one.claimed.attempt, one.claimed.started_at
            together.setdefault(alike, []).append(one)
        changed = sum(self._finish_alike(alike, now) for alike in together.values())
        if changed != 2 * len(finished):
            raise LedgerError(
                "a meter event changed under this push; another one is at work",
                hint="look at `meterledger status`",
            )
        for one in finished:
            # A final outcome tells the truth about earlier attempts too.
            if one.claimed.earlier and one.verdict.state in (State.ACCEPTED, State.REJECTED):
                self._database.run("settle_attempts", meter_event=one.claimed.id, settled_at=now)

    def _finish_alike(self, finished: Sequence[Finished], now: Instant) -> int:
        """Write one outcome of the attempts of one number, and one verdict; return how many rows changed."""
        first, run = finished[0], self._database.run_rows
        rows = [(one.claimed.id,) for one in finished]
        attempt, outcome = first.claimed.attempt, outcome_columns(first.outcome, first.claimed.started_at)
        return run("finish_attempts_if_in_flight", rows, attempt=attempt, **outcome) + run(
            "set_state_if_sending", rows, attempts=attempt, state_at=now, **state_columns(first.verdict)
        )

    def _set_state(self, meter_event: int, attempts: int, verdict: Verdict, now: Instant) -> None:
        state = state_columns(verdict)
        if (
            self._database.run(
                "set_state_if_sending", meter_event=meter_event, attempts=attempts, state_at=now, **state
            )
            != 1
        ):
            raise LedgerError("a meter event changed while it was claimed")


def _identifier(event: MeterEvent) -> str:
    return event.identifier


def _in_batches(batches: Sequence[tuple[Sequence[StoredMeterEvent], Sequence[New]]]) -> Iterator[MeterEvent]:
    for stored, new in batches:
        yield from (event.sealed for event in stored)
        yield from (event for _, event in new)
