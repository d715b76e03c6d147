"""The outbox's tables: what the database itself refuses."""

import sqlite3
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from meterledger.domain.delivery import TRANSITIONS, Result, State
from support.outbox_desk import PENDING, SENDING, Desk, open_desk, put_in, world_with_usage
from support.pushing import HOUR, START, World


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make a ledger with two usage events to copy."""
    return world_with_usage(tmp_path_factory.mktemp("template"))


@pytest.fixture
def desk(template: World, tmp_path: Path) -> Iterator[Desk]:
    """Open a copy of that ledger."""
    with open_desk(template, tmp_path / "w") as opened:
        yield opened


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
