"""An open ledger under a lease: claims, outcomes and states, made by legal ways."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from meterledger.domain.delivery import InDoubtReason, Outcome, Result, State, Verdict
from meterledger.domain.meter_event import MeterEvent, UsageToSeal, seal
from meterledger.ledger import Ledger
from meterledger.ledger.lease import Holder
from meterledger.ledger.outbox import Claimed, Finished, StoredMeterEvent
from support.pushing import START, Row, World, copy_of

HOLDER = Holder(host="here", pid=1, process_started="a")

ACCEPTED = Verdict(state=State.ACCEPTED, accepted_at=START, accepted_from=START, accepted_by=START)
PENDING = Verdict(state=State.PENDING)
SENDING = Verdict(state=State.SENDING)
REJECTED = Verdict(state=State.REJECTED, rejection_code="http_400", rejection_message="no")
DOUBT = Verdict(state=State.IN_DOUBT, in_doubt_reason=InDoubtReason.OUTCOME_UNKNOWN)


@dataclass
class Desk:
    """An open ledger with two usage events, under a lease, with a push begun."""

    world: World
    ledger: Ledger
    token: int
    push: int

    def unsealed(self) -> list[UsageToSeal]:
        """Return what is unsealed."""
        return list(self.ledger.unsealed.all())

    def sealed(self, usage: UsageToSeal) -> tuple[UsageToSeal, MeterEvent]:
        """Seal one usage event."""
        return usage, seal(usage, self.world.settings.catalogue.meters[0], usage.customer_id)

    def claim(self, now: int = START) -> Claimed:
        """Claim the first unsealed usage event."""
        sealed = [self.sealed(self.unsealed()[0])]
        return self.ledger.outbox.claim_new(sealed, push=self.push, token=self.token, now=now)[0]

    def again(self, claimed: Claimed, now: int) -> list[Claimed]:
        """Claim a meter event for another attempt."""
        [state] = self.sql("SELECT state FROM meter_events WHERE id = ?", claimed.id)
        stored = StoredMeterEvent(
            id=claimed.id, state=State(str(state[0])), attempts=claimed.attempt, sealed=claimed.sealed
        )
        return self.ledger.outbox.claim_again([stored], push=self.push, token=self.token, now=now)

    def finish(self, claimed: Claimed, result: Result, verdict: Verdict, now: int = START) -> None:
        """Record an outcome."""
        outcome = Outcome(result=result, at=now, answered=result is not Result.UNKNOWN, http_status=200)
        self.ledger.outbox.finish([Finished(claimed=claimed, outcome=outcome, verdict=verdict)], now)

    def dissolve(self, meter_event: int, now: int) -> None:
        """Take a claim back."""
        self.ledger.outbox.dissolve(meter_event, self.token, now)

    def recover(self, now: int) -> int:
        """Recover what a dead push left in flight."""
        return self.ledger.outbox.recover(self.token, now)

    def sql(self, sql: str, *arguments: object) -> list[tuple[object, ...]]:
        """Run SQL past the program, on a connection of its own; the triggers of the file hold there too."""
        connection = sqlite3.connect(self.world.path)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            rows = connection.execute(sql, arguments).fetchall()
            connection.commit()
        finally:
            connection.close()
        return rows


def world_with_usage(folder: Path) -> World:
    """Make a ledger with two usage events to copy."""
    world = World(folder)
    world.import_rows([Row(key="a", quantity="1.5"), Row(key="b", customer="cus_b")])
    return world


@contextmanager
def open_desk(template: World, folder: Path) -> Iterator[Desk]:
    """Open a copy of that ledger."""
    world = copy_of(template, folder)
    with world.ledger() as ledger:
        token = ledger.lease.take(HOLDER, None, START)
        yield Desk(world, ledger, token, ledger.outbox.begin_push("v1", "0", token, START))


def put_in(desk: Desk, state: State) -> int:
    """Bring a meter event into a state by legal ways, and return its number."""
    claimed = desk.claim()
    verdicts = {
        State.PENDING: (Result.NOT_SENT, PENDING),
        State.ACCEPTED: (Result.ACCEPTED, ACCEPTED),
        State.CONFIRMED: (Result.ACCEPTED, ACCEPTED),
        State.REJECTED: (Result.REJECTED, REJECTED),
        State.IN_DOUBT: (Result.DUPLICATE, DOUBT),
        State.CANCELED: (Result.NOT_SENT, PENDING),
    }
    if state in verdicts:
        desk.finish(claimed, *verdicts[state])
    if state in (State.CONFIRMED, State.CANCELED):
        desk.sql("UPDATE meter_events SET state = ?", state)
    assert desk.sql("SELECT state FROM meter_events") == [(state,)]
    return claimed.id
