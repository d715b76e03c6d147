"""The outbox: claims, outcomes and links, and what the database itself refuses."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from meterledger.domain.delivery import TRANSITIONS, InDoubtReason, Outcome, Result, State, Verdict
from meterledger.domain.meter_event import MeterEvent, UsageToSeal, seal
from meterledger.errors import LedgerError, MeterledgerError
from meterledger.ledger import Ledger
from meterledger.ledger.lease import Holder
from meterledger.ledger.outbox import Claimed, Finished, StoredMeterEvent
from support.pushing import HOUR, MINUTE, SECOND, START, Row, World, copy_of

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
        return list(self.ledger.outbox.unsealed())

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


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make a ledger with two usage events to copy."""
    world = World(tmp_path_factory.mktemp("template"))
    world.import_rows([Row(key="a", quantity="1.5"), Row(key="b", customer="cus_b")])
    return world


@pytest.fixture
def desk(template: World, tmp_path: Path) -> Iterator[Desk]:
    """Open a copy of that ledger."""
    world = copy_of(template, tmp_path / "w")
    with world.ledger() as ledger:
        token = ledger.lease.take(HOLDER, None, START)
        yield Desk(world, ledger, token, ledger.outbox.begin_push("v1", "0", token, START))


# Claims.


def test_a_claim_is_committed_when_it_returns(desk: Desk) -> None:
    """Another connection sees the meter event, its link and its attempt before anything is sent."""
    claimed = desk.claim()
    assert desk.sql("SELECT id, identifier, state, attempts FROM meter_events") == [
        (claimed.id, claimed.sealed.identifier, "sending", 1)
    ]
    assert desk.sql("SELECT meter_event, attempt, idempotency_key, outcome FROM delivery_attempts") == [
        (claimed.id, 1, claimed.sealed.identifier, None)
    ]
    assert desk.sql("SELECT meter_event, unlinked_at FROM meter_event_usage") == [(claimed.id, None)]
    assert len(desk.unsealed()) == 1


def test_a_claim_renews_the_lease(desk: Desk) -> None:
    """Whoever claims holds on for longer."""
    desk.claim(START + MINUTE)
    assert desk.ledger.lease.current_holder(START + 3 * MINUTE - 1) == HOLDER


def test_who_lost_the_lease_claims_nothing(desk: Desk) -> None:
    """Neither a first nor a further attempt is begun without the lease."""
    claimed = desk.claim()
    desk.finish(claimed, Result.UNKNOWN, SENDING)
    desk.ledger.lease.take(Holder(host="here", pid=2, process_started="b"), HOLDER, START)
    with pytest.raises(LedgerError):
        desk.claim()
    with pytest.raises(LedgerError):
        desk.again(claimed, START + SECOND)
    assert desk.sql("SELECT COUNT(*) FROM delivery_attempts") == [(1,)]
    assert len(desk.unsealed()) == 1


def test_one_usage_event_is_claimed_once(desk: Desk) -> None:
    """A second claim of the same usage is refused as a whole."""
    usage, other = desk.unsealed()
    sealed = [desk.sealed(usage)]
    desk.ledger.outbox.claim_new(sealed, push=desk.push, token=desk.token, now=START)
    with pytest.raises(LedgerError):
        desk.ledger.outbox.claim_new(
            [desk.sealed(other), *sealed], push=desk.push, token=desk.token, now=START
        )
    assert desk.sql("SELECT COUNT(*) FROM meter_events") == [(1,)]
    assert desk.unsealed() == [other]


def test_a_claim_of_yesterdays_news_is_refused(desk: Desk) -> None:
    """A further attempt is claimed only from the attempt that is known: else another push is at work."""
    claimed = desk.claim()
    desk.finish(claimed, Result.UNKNOWN, SENDING)
    desk.again(claimed, START + SECOND)
    with pytest.raises(LedgerError):
        desk.again(claimed, START + 2 * SECOND)
    assert desk.sql("SELECT COUNT(*) FROM delivery_attempts") == [(2,)]


def test_a_claim_past_the_horizon_is_in_doubt(desk: Desk) -> None:
    """23 h after an attempt that may have arrived no further one is begun."""
    claimed = desk.claim()
    desk.finish(claimed, Result.UNKNOWN, SENDING)
    assert desk.again(claimed, START + 23 * HOUR) == []
    assert desk.sql("SELECT state, in_doubt_reason, attempts FROM meter_events") == [
        ("in_doubt", "outcome_unknown", 1)
    ]
    assert desk.sql("SELECT COUNT(*) FROM delivery_attempts") == [(1,)]


# Outcomes.


def test_an_outcome_is_recorded_once(desk: Desk) -> None:
    """Finishing is compare-and-set: a second finish fails and changes nothing."""
    claimed = desk.claim()
    desk.finish(claimed, Result.ACCEPTED, ACCEPTED)
    before = desk.sql("SELECT * FROM meter_events"), desk.sql("SELECT * FROM delivery_attempts")
    for result, verdict in ((Result.ACCEPTED, ACCEPTED), (Result.REJECTED, REJECTED)):
        with pytest.raises(LedgerError):
            desk.finish(claimed, result, verdict)
    assert before == (desk.sql("SELECT * FROM meter_events"), desk.sql("SELECT * FROM delivery_attempts"))


def test_outcomes_are_recorded_together_or_not_at_all(desk: Desk) -> None:
    """One stale outcome among several rolls all of them back."""
    first, second = desk.claim(), desk.claim()
    desk.finish(first, Result.ACCEPTED, ACCEPTED)
    outcome = Outcome(result=Result.ACCEPTED, at=START)
    finished = [Finished(claimed=one, outcome=outcome, verdict=ACCEPTED) for one in (second, first)]
    with pytest.raises(LedgerError):
        desk.ledger.outbox.finish(finished, START)
    assert desk.sql("SELECT state FROM meter_events ORDER BY id") == [("accepted",), ("sending",)]


def test_an_interrupted_attempt_takes_no_late_outcome(desk: Desk) -> None:
    """What was recovered as unknown stays so, even if its answer turns up in the old process."""
    claimed = desk.claim()
    desk.world.time.advance(HOUR)
    desk.sql(
        "UPDATE delivery_attempts SET outcome = 'unknown', finished_at = ?, code = 'interrupted'", START + 1
    )
    with pytest.raises(LedgerError):
        desk.finish(claimed, Result.NOT_SENT, PENDING)
    assert desk.sql("SELECT outcome FROM delivery_attempts") == [("unknown",)]


# What the database refuses.


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


@pytest.mark.parametrize(("old", "new"), list(product(State, State)))
def test_the_database_knows_the_legal_transitions(desk: Desk, old: State, new: State) -> None:
    """Every pair of states is allowed or refused as the domain's table says."""
    number = put_in(desk, old)
    names = [str(row[1]) for row in desk.sql("PRAGMA table_info(meter_events)")]
    acceptance = [name for name in names if name.startswith("accepted_")]
    columns = {
        "state": new.value,
        "in_doubt_reason": "unknown_report" if new is State.IN_DOUBT else None,
        "rejection_code": "x" if new is State.REJECTED else None,
        **dict.fromkeys(acceptance, START if new in (State.ACCEPTED, State.CONFIRMED) else None),
    }
    sql = f"UPDATE meter_events SET {', '.join(f'{name} = ?' for name in columns)} WHERE id = ?"  # noqa: S608
    if new is old or new in TRANSITIONS[old]:
        desk.sql(sql, *columns.values(), number)
        assert desk.sql("SELECT state FROM meter_events") == [(new,)]
    else:
        with pytest.raises(sqlite3.IntegrityError, match="illegal transition"):
            desk.sql(sql, *columns.values(), number)
        assert desk.sql("SELECT state FROM meter_events") == [(old,)]


@pytest.mark.parametrize(
    "column",
    [
        "identifier",
        "revision",
        "event_name",
        "stripe_customer_id",
        "timestamp",
        "payload",
        "quantity",
        "scale",
        "usage_events",
        "event_time",
        "sealed_at",
    ],
)
def test_a_sealed_body_never_changes(desk: Desk, column: str) -> None:
    """Not even past the program."""
    desk.claim()
    with pytest.raises(sqlite3.IntegrityError, match="never changes"):
        desk.sql(f"UPDATE meter_events SET {column} = 3")  # noqa: S608


@pytest.mark.parametrize("table", ["usage_events", "meter_events", "meter_event_usage", "delivery_attempts"])
def test_nothing_is_deleted(desk: Desk, table: str) -> None:
    """Usage, meter events, links and attempts stay for ever."""
    desk.claim()
    with pytest.raises(sqlite3.IntegrityError):
        desk.sql(f"DELETE FROM {table}")  # noqa: S608
    assert desk.sql(f"SELECT COUNT(*) > 0 FROM {table}") == [(1,)]  # noqa: S608


def test_a_second_live_link_is_refused(desk: Desk) -> None:
    """One usage event is carried by one meter event at a time."""
    claimed = desk.claim()
    other = desk.claim()
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        desk.sql(
            "INSERT INTO meter_event_usage (meter_event, usage_event, linked_at) "
            "SELECT ?, usage_event, ? FROM meter_event_usage WHERE meter_event = ?",
            other.id,
            START,
            claimed.id,
        )


def test_an_identifier_is_used_once(desk: Desk) -> None:
    """Two live meter events cannot have the same identifier."""
    claimed = desk.claim()
    names = [str(row[1]) for row in desk.sql("PRAGMA table_info(meter_events)") if row[1] != "id"]
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        desk.sql(
            f"INSERT INTO meter_events ({', '.join(names)}) SELECT {', '.join(names)} "  # noqa: S608
            "FROM meter_events WHERE id = ?",
            claimed.id,
        )


@pytest.mark.parametrize(("age", "refused"), [(23 * HOUR - 1, False), (23 * HOUR, True), (30 * HOUR, True)])
@pytest.mark.parametrize("outcome", [None, "unknown"])
def test_no_attempt_follows_an_unknown_one_of_23_hours(
    desk: Desk, age: int, outcome: str | None, *, refused: bool
) -> None:
    """The database itself refuses a further attempt when one that may have arrived is 23 h old."""
    claimed = desk.claim()
    if outcome:
        desk.finish(claimed, Result.UNKNOWN, SENDING)
    insert = (
        "INSERT INTO delivery_attempts (meter_event, attempt, push, idempotency_key, started_at) "
        "VALUES (?, 2, ?, 'k', ?)"
    )
    if refused:
        with pytest.raises(sqlite3.IntegrityError, match="23 hours"):
            desk.sql(insert, claimed.id, desk.push, START + age)
    else:
        desk.sql(insert, claimed.id, desk.push, START + age)
    assert desk.sql("SELECT COUNT(*) FROM delivery_attempts") == [(1 if refused else 2,)]


@pytest.mark.parametrize(
    "change",
    [
        "outcome = 'not_sent'",
        "outcome = NULL, finished_at = NULL",
        "finished_at = 1",
        f"started_at = {START + HOUR}",
        "idempotency_key = 'other'",
        "attempt = 7",
        "http_status = 599",
        "push = push, code = 'other'",
    ],
)
def test_a_finished_attempt_never_changes(desk: Desk, change: str) -> None:
    """When it began, what it came to and under which key: the 23 hours hang on it."""
    desk.finish(desk.claim(), Result.UNKNOWN, SENDING)
    before = desk.sql("SELECT * FROM delivery_attempts")
    with pytest.raises(sqlite3.IntegrityError, match="never changes"):
        desk.sql(f"UPDATE delivery_attempts SET {change}")  # noqa: S608
    assert desk.sql("SELECT * FROM delivery_attempts") == before


@pytest.mark.parametrize("change", [f"started_at = {START + HOUR}", "idempotency_key = 'x'", "attempt = 7"])
def test_an_attempt_in_flight_keeps_its_beginning(desk: Desk, change: str) -> None:
    """Only its outcome is still open."""
    desk.claim()
    with pytest.raises(sqlite3.IntegrityError):
        desk.sql(f"UPDATE delivery_attempts SET {change}")  # noqa: S608


def test_a_link_has_its_history(desk: Desk) -> None:
    """An ended link is never revived, moved or rewritten."""
    claimed = desk.claim()
    desk.finish(claimed, Result.NOT_SENT, PENDING)
    desk.dissolve(claimed.id, START)
    for change in ("unlinked_at = NULL", "linked_at = 1", "usage_event = 2", "unlinked_at = unlinked_at + 1"):
        with pytest.raises(sqlite3.IntegrityError, match="never changes"):
            desk.sql(f"UPDATE meter_event_usage SET {change}")  # noqa: S608


# Dissolving.


def test_dissolving_frees_identifier_and_usage(desk: Desk) -> None:
    """A claim that never arrived leaves its history; its usage is sealed anew under the same identifier."""
    usage = desk.unsealed()[0]
    claimed = desk.claim()
    desk.finish(claimed, Result.NOT_SENT, PENDING)
    assert desk.ledger.outbox.never_reached() == [claimed.id]
    desk.dissolve(claimed.id, START + SECOND)
    assert desk.unsealed()[0] == usage
    assert desk.ledger.outbox.counts()["canceled"] == 0
    anew = desk.claim(START + 2 * SECOND)
    assert anew.sealed.identifier == claimed.sealed.identifier
    assert anew.id != claimed.id
    assert desk.sql("SELECT COUNT(*), COUNT(unlinked_at) FROM meter_event_usage") == [(2, 1)]


@pytest.mark.parametrize("state", [state for state in State if state is not State.PENDING])
def test_only_what_is_pending_is_dissolved(desk: Desk, state: State) -> None:
    """In any other state Stripe may have it."""
    number = put_in(desk, state)
    with pytest.raises(LedgerError):
        desk.dissolve(number, START)
    assert desk.sql("SELECT unlinked_at FROM meter_event_usage") == [(None,)]


def test_what_may_have_arrived_is_never_dissolved(desk: Desk) -> None:
    """From the first attempt that may have arrived a meter event is fixed, whatever a person said since."""
    claimed = desk.claim()
    desk.finish(claimed, Result.UNKNOWN, SENDING)
    desk.again(claimed, START + 23 * HOUR)
    desk.ledger.outbox.resolve(
        claimed.sealed.identifier, sent=False, note="looked it up", now=START + 24 * HOUR
    )
    assert desk.ledger.outbox.never_reached() == []
    with pytest.raises(LedgerError):
        desk.dissolve(claimed.id, START + 25 * HOUR)
    assert desk.sql("SELECT state FROM meter_events") == [("pending",)]


# Recovery.


def test_recovery_makes_open_attempts_unknown(desk: Desk) -> None:
    """Only what has no outcome is touched, once."""
    done, open_ = desk.claim(), desk.claim()
    desk.finish(done, Result.ACCEPTED, ACCEPTED)
    assert desk.recover(START + HOUR) == 1
    assert desk.recover(START + HOUR) == 0
    attempts = desk.ledger.outbox.attempts_of(open_.id)
    assert [(one.result, one.finished_at, one.answered) for one in attempts] == [
        (Result.UNKNOWN, START + HOUR, False)
    ]
    assert desk.sql("SELECT state FROM meter_events ORDER BY id") == [("accepted",), ("sending",)]


# Resolving.


def in_doubt(desk: Desk) -> Claimed:
    """Bring a meter event in doubt."""
    claimed = desk.claim()
    desk.finish(claimed, Result.UNKNOWN, SENDING, START + SECOND)
    desk.again(claimed, START + 23 * HOUR)
    return claimed


def test_resolved_as_sent(desk: Desk) -> None:
    """A person's word makes it accepted, within the bounds of its attempts, and is kept with its note."""
    claimed = in_doubt(desk)
    now = START + 30 * HOUR
    state = desk.ledger.outbox.resolve(claimed.sealed.identifier, sent=True, note="on the invoice", now=now)
    assert state is State.ACCEPTED
    assert desk.sql("SELECT state, in_doubt_reason, accepted_from, accepted_by FROM meter_events") == [
        ("accepted", None, START, START + SECOND)
    ]
    assert desk.sql("SELECT settled_as, note, resolved_at FROM resolutions") == [
        ("sent", "on the invoice", now)
    ]


def test_resolved_as_not_sent(desk: Desk) -> None:
    """It goes back to pending under the same identifier, and may be sent long after the 23 hours."""
    claimed = in_doubt(desk)
    now = START + 30 * HOUR
    identifier = claimed.sealed.identifier
    state = desk.ledger.outbox.resolve(identifier, sent=False, note="not at Stripe", now=now)
    assert state is State.PENDING
    [again] = desk.again(claimed, now + SECOND)
    assert (again.sealed, again.attempt) == (claimed.sealed, 2)
    assert again.idempotency_key == identifier


@pytest.mark.parametrize("state", [state for state in State if state is not State.IN_DOUBT])
def test_only_what_is_in_doubt_is_resolved(desk: Desk, state: State) -> None:
    """Nobody can talk a meter event out of another state."""
    put_in(desk, state)
    [(identifier,)] = desk.sql("SELECT identifier FROM meter_events")
    with pytest.raises(MeterledgerError, match="not in doubt"):
        desk.ledger.outbox.resolve(str(identifier), sent=True, note="n", now=START)
    assert desk.sql("SELECT COUNT(*) FROM resolutions") == [(0,)]


def test_an_identifier_of_nobody_is_not_resolved(desk: Desk) -> None:
    """A misspelt identifier is an error, not a success."""
    with pytest.raises(MeterledgerError, match="ml1-none"):
        desk.ledger.outbox.resolve("ml1-none", sent=True, note="n", now=START)


def test_a_resolution_without_a_note_is_refused(desk: Desk) -> None:
    """A person's word needs its reason; without one nothing changes."""
    claimed = in_doubt(desk)
    with pytest.raises(MeterledgerError):
        desk.ledger.outbox.resolve(claimed.sealed.identifier, sent=True, note="", now=START)
    assert desk.sql("SELECT state FROM meter_events") == [("in_doubt",)]
