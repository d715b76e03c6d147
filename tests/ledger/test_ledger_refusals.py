"""The ledger guards itself: history, invariants and states that no program can write past."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from meterledger.domain.delivery import TRANSITIONS, State
from support.importing import Importing, row


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a ledger that holds two usage events, one of them sent with an unknown outcome."""
    folder = Importing(tmp_path_factory.mktemp("written"))
    folder.run(folder.write("a.csv", row("r1"), row("r2")))
    with closing(sqlite3.connect(folder.ledger_path, isolation_level=None)) as connection:
        connection.execute(_METER_EVENT, {"id": 1} | _STATES["pending"])
        connection.execute("INSERT INTO meter_event_usage VALUES (1, 1, 1, 100, NULL)")
        connection.execute("INSERT INTO pushes VALUES (1, 'v1', '1', 100, NULL)")
        connection.execute(
            "INSERT INTO delivery_attempts (id, meter_event, attempt, push, idempotency_key, started_at, "
            "finished_at, outcome) VALUES (1, 1, 1, 1, 'key', 100, 101, 'unknown')"
        )
    return folder.ledger_path


@pytest.fixture
def connection(written: Path) -> Iterator[sqlite3.Connection]:
    """Return a plain connection to a copy of that ledger, in memory."""
    with (
        closing(sqlite3.connect(written)) as original,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as connection,
    ):
        original.backup(connection)
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection


_METER_EVENT = """
INSERT INTO meter_events (
    id, identifier, revision, event_name, stripe_customer_id, timestamp, payload, quantity, scale,
    usage_events, event_time, sealed_at, state, state_at, attempts, in_doubt_reason, rejection_code,
    accepted_at, accepted_from, accepted_by, accepted_recorded_at
) VALUES (
    :id, 'id' || :id, 0, 'api', 'cus_1', 1, '{}', 1, 0, 1, 1, 1, :state, 1, 1, :doubt, :code,
    :at, :at, :at, :at
)
"""
_CHANGE = """
UPDATE meter_events SET state = :state, in_doubt_reason = :doubt, rejection_code = :code, accepted_at = :at,
    accepted_from = :at, accepted_by = :at, accepted_recorded_at = :at
WHERE id = 2
"""
_STATES: dict[str, dict[str, object]] = {
    state.value: {
        "state": state.value,
        "doubt": "outcome_unknown" if state is State.IN_DOUBT else None,
        "code": "no_meter" if state is State.REJECTED else None,
        "at": 1 if state in (State.ACCEPTED, State.CONFIRMED) else None,
    }
    for state in State
}


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("meter_events", "payload", "other"),
        ("delivery_attempts", "started_at", 1),
    ],
)
def test_the_ledger_itself_refuses_to_replace_history(
    connection: sqlite3.Connection, table: str, column: str, value: object
) -> None:
    """INSERT OR REPLACE, which fires no trigger of its deletion, is no way around what never changes."""
    columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
    selected = ", ".join("?" if name == column else name for name in columns)
    replacing = f"INSERT OR REPLACE INTO {table} SELECT {selected} FROM {table} WHERE id = 1"  # noqa: S608 # our own
    before = list(connection.iterdump())
    with pytest.raises(sqlite3.IntegrityError, match="never change"):
        connection.execute(replacing, (value,))

    assert list(connection.iterdump()) == before


def test_a_usage_event_is_not_replaced_either(connection: sqlite3.Connection) -> None:
    """On a connection that keeps foreign keys, as ours do, INSERT OR REPLACE cannot rewrite usage."""
    columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(usage_events)")]
    selected = ", ".join("999" if name == "quantity" else name for name in columns)
    connection.execute("PRAGMA foreign_keys = ON")
    before = list(connection.iterdump())
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        connection.execute(f"INSERT OR REPLACE INTO usage_events SELECT {selected} FROM usage_events")  # noqa: S608 # our own

    assert list(connection.iterdump()) == before


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE usage_events SET quantity = 2", "never change"),
        ("UPDATE usage_events SET line = line", "never change"),
        ("UPDATE OR REPLACE usage_events SET request_id = 'r1'", "never change"),
        ("DELETE FROM usage_events", "never deleted"),
        ("DELETE FROM usage_events WHERE id = 2", "never deleted"),
        ("UPDATE meter_events SET payload = 'x'", "never changes"),
        ("UPDATE meter_events SET identifier = 'x'", "never changes"),
        ("UPDATE meter_events SET timestamp = 2", "never changes"),
        ("DELETE FROM meter_events", "never deleted"),
        ("DELETE FROM meter_event_usage", "ended, never deleted"),
        ("UPDATE meter_event_usage SET usage_event = 2", "never changes"),
        ("DELETE FROM delivery_attempts", "never deleted"),
        ("UPDATE delivery_attempts SET outcome = 'accepted'", "never changes"),
        ("UPDATE delivery_attempts SET started_at = 50", "never changes"),
        ("UPDATE delivery_attempts SET idempotency_key = 'other'", "never changes"),
    ],
)
def test_the_ledger_itself_refuses_to_rewrite_history(
    connection: sqlite3.Connection, sql: str, words: str
) -> None:
    """Whatever program writes, what happened is neither changed nor deleted."""
    before = list(connection.iterdump())
    with pytest.raises(sqlite3.IntegrityError, match=words):
        connection.execute(sql)

    assert list(connection.iterdump()) == before


_ANOTHER_OF_ITS_KEY = """
INSERT INTO usage_events
SELECT 3, source, request_id, customer, subscription_id, feature, quantity, scale, event_time, received_at,
    recorded_at, import, line, dimensions, generation
FROM usage_events WHERE id = 1
"""
_SECOND_TRY = """
INSERT INTO delivery_attempts (meter_event, attempt, push, idempotency_key, started_at)
VALUES (1, 1, 1, 'key', 200)
"""
_CONFLICT_WITHOUT_DIFFERENCES = """
INSERT INTO rejects (kind, import, source, line, reason, message, raw, raw_digest, recorded_at)
VALUES ('conflict', 1, 1, 1, 'conflict', 'x', 'x', 'x', 1)
"""


@pytest.mark.parametrize(
    "sql",
    [
        _ANOTHER_OF_ITS_KEY,
        _SECOND_TRY,
        _CONFLICT_WITHOUT_DIFFERENCES,
        "INSERT INTO meter_event_usage VALUES (2, 1, 1, 100, NULL)",
        "UPDATE imports SET accepted = accepted + 1",
        "UPDATE imports SET finished_at = started_at - 1",
        "UPDATE meter_events SET state = 'accepted'",
        "UPDATE meter_events SET state = 'nowhere'",
        "INSERT INTO unsealed (usage_event) VALUES (99)",
        "UPDATE rejects SET closed_at = 1",
        "INSERT INTO lease VALUES (2, 1, 'a', 'b', 1, 'c', 1, 1, 0)",
    ],
)
def test_the_ledger_itself_holds_the_invariants(connection: sqlite3.Connection, sql: str) -> None:
    """Two events of one key, two live links of one event, counts that do not add up: the database refuses."""
    connection.execute(
        "INSERT INTO rejects (id, kind, import, source, line, reason, message, raw, raw_digest, recorded_at) "
        "VALUES (9, 'rejection', 1, 1, 1, 'x', 'x', 'x', 'x', 1)"
    )
    before = list(connection.iterdump())
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(sql)

    assert list(connection.iterdump()) == before


@pytest.mark.parametrize(("later", "allowed"), [(23 * 3_600_000_000 - 1, True), (23 * 3_600_000_000, False)])
def test_the_ledger_itself_holds_the_horizon(
    connection: sqlite3.Connection, later: int, allowed: object
) -> None:
    """23 hours after an attempt whose outcome is unknown the database takes no further attempt."""
    sql = (
        "INSERT INTO delivery_attempts (meter_event, attempt, push, idempotency_key, started_at) "
        "VALUES (1, 2, 1, 'key', ?)"
    )
    if allowed is True:
        assert connection.execute(sql, (100 + later,)).rowcount == 1
    else:
        with pytest.raises(sqlite3.IntegrityError, match="23 hours"):
            connection.execute(sql, (100 + later,))


@pytest.mark.parametrize("before", list(State))
@pytest.mark.parametrize("after", list(State))
def test_the_ledger_and_the_rules_know_the_same_changes_of_state(
    connection: sqlite3.Connection, before: State, after: State
) -> None:
    """The trigger lets through exactly the changes of state that the domain calls legal."""
    connection.execute(_METER_EVENT, {"id": 2} | _STATES[before.value])
    arguments = _STATES[after.value]
    if before is after or after in TRANSITIONS[before]:
        assert connection.execute(_CHANGE, arguments).rowcount == 1
    else:
        with pytest.raises(sqlite3.IntegrityError, match="illegal transition"):
            connection.execute(_CHANGE, arguments)


def test_the_outbox_follows_the_links(connection: sqlite3.Connection) -> None:
    """Usage leaves the outbox when it is linked, and comes back only from a canceled meter event."""
    assert connection.execute("SELECT usage_event FROM unsealed").fetchall() == [(2,)]

    with pytest.raises(sqlite3.IntegrityError, match="only a canceled"):
        connection.execute("UPDATE meter_event_usage SET unlinked_at = 200")
    connection.execute("UPDATE meter_events SET state = 'canceled'")
    connection.execute("UPDATE meter_event_usage SET unlinked_at = 200")

    assert connection.execute("SELECT usage_event FROM unsealed ORDER BY 1").fetchall() == [(1,), (2,)]
