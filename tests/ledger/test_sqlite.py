"""The ledger file: made private, refused when it is not ours, and guarded by itself."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.delivery import TRANSITIONS, State
from meterledger.domain.quantity import MAX_STORED, decimal_text
from meterledger.errors import ExitCode, LedgerError
from meterledger.ledger import create_ledger, open_ledger, sqlite
from meterledger.ledger.database import Database
from support.importing import Importing, empty_ledger, row
from support.properties import steady

HASH = "0" * 64


def refusal(path: Path) -> LedgerError:
    """Return the error that opening a ledger ends with."""
    with pytest.raises(LedgerError) as refused, open_ledger(path):
        pass
    assert refused.value.exit_code is ExitCode.LEDGER
    return refused.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a new ledger."""
    path = tmp_path / "meterledger.db"
    path.write_bytes(empty_ledger())
    path.chmod(0o600)
    return path


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


def test_a_new_ledger_is_private_to_its_owner(tmp_path: Path) -> None:
    """A ledger holds customers and amounts: nobody else may read it, and nothing else is left."""
    path = tmp_path / "deep" / "er" / "usage.db"
    create_ledger(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["usage.db"]


def test_files_beside_an_open_ledger_are_private(path: Path) -> None:
    """What SQLite puts beside the ledger while it is written is private as well."""
    with open_ledger(path) as ledger, ledger.database.transaction():
        ledger.database.run("add_source", name="x")
        modes = {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}

    assert modes == {0o600}


def test_a_new_ledger_is_marked_as_ours(path: Path) -> None:
    """The file says which program it belongs to and at which version, and it is sound."""
    with closing(sqlite3.connect(path)) as connection:
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version", "journal_mode", "integrity_check")
        ]

    assert found == [0x4D4C4447, len(sqlite.migration_files()), "wal", "ok"]


def test_every_table_is_strict(path: Path) -> None:
    """No column takes a value of another type than its own."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict "
            "AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlite%'"
        ).fetchall()

    assert tables == []


@pytest.mark.parametrize("content", [b"", b"precious"])
def test_what_exists_is_never_overwritten(tmp_path: Path, content: bytes) -> None:
    """Where anything stands already no ledger is made, and what stands there stays as it is, alone."""
    path = tmp_path / "usage.db"
    path.write_bytes(content)
    with pytest.raises(LedgerError) as refused:
        create_ledger(path)

    assert str(path) in refused.value.message
    assert path.read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == ["usage.db"]


def test_files_beside_a_new_ledger_are_left_alone(tmp_path: Path) -> None:
    """Making a ledger takes no other file's place, not even under a name that is close to its own."""
    for name in ("usage.db.new", "usage.db.bak", "usage.db.tmp"):
        (tmp_path / name).write_bytes(b"precious")
    create_ledger(tmp_path / "usage.db")
    others = {one.name: one.read_bytes() for one in tmp_path.iterdir() if one.name != "usage.db"}

    assert others == dict.fromkeys(("usage.db.new", "usage.db.bak", "usage.db.tmp"), b"precious")


def test_a_place_that_takes_no_ledger_is_refused(tmp_path: Path) -> None:
    """A path through a file, or with a name no file system takes, is an error in words."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "usage.db", tmp_path / ("x" * 300)):
        with pytest.raises(LedgerError, match="cannot be made"):
            create_ledger(path)


def test_a_missing_ledger_is_refused(tmp_path: Path) -> None:
    """Only init makes a ledger: opening a missing one says so and leaves nothing behind."""
    error = refusal(tmp_path / "none.db")

    assert error.message == f"the ledger {tmp_path / 'none.db'} does not exist"
    assert "meterledger init" in error.hint
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    """A folder in the ledger's place is named as one."""
    assert refusal(tmp_path).message == f"the ledger {tmp_path} is a folder"


def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    """A name that is too long is an error of the ledger's path, not of the program."""
    assert str(tmp_path) in refusal(tmp_path / ("x" * 300)).message


@pytest.mark.parametrize(
    "content", [b"just some text, and long enough to be read\n" * 100, b"{}", b"\x00" * 5000]
)
def test_what_is_no_sqlite_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file of another kind is named as what it is not, and is not changed."""
    path = tmp_path / "usage.db"
    path.write_bytes(content)

    assert str(path) in refusal(path).message
    assert "no SQLite database" in refusal(path).message
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """A SQLite file of another program is left as it is."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
    before = path.read_bytes()
    message = refusal(path).message

    assert "another program" in message
    assert path.read_bytes() == before


def test_a_newer_ledger_is_refused(path: Path) -> None:
    """A ledger that a newer version wrote is not touched by an older one."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(sqlite.migration_files()) + 1}")
    error = refusal(path)

    assert "newer" in error.message
    assert "upgrade" in error.hint


def test_a_ledger_in_use_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process writes, a command gives up in words after its wait."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 0)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with open_ledger(path) as ledger, pytest.raises(LedgerError, match="in use by another process"):
            ledger.database.run("add_source", name="x")


INSERT_MORE = "INSERT INTO more VALUES (1);\n"
INSERT_NOWHERE = "INSERT INTO nowhere VALUES (1);\n"
SECOND_MIGRATION = "CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT;\n" + INSERT_MORE


def test_a_ledger_is_brought_to_this_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older ledger gets the migrations it lacks when it is opened, once."""
    files = [*sqlite.migration_files(), ("9999_more", SECOND_MIGRATION)]
    monkeypatch.setattr(sqlite, "migration_files", lambda: files)
    for _ in range(2):
        with open_ledger(path):
            pass

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM more").fetchall() == [(1,)]
        assert connection.execute("PRAGMA user_version").fetchone() == (len(files),)


@pytest.mark.parametrize(
    "broken",
    [
        SECOND_MIGRATION + INSERT_MORE,
        SECOND_MIGRATION + INSERT_NOWHERE,
        SECOND_MIGRATION + "THIS IS NO SQL;\n",
        "DROP VIEW usage_events_readable;\n" + SECOND_MIGRATION + "SELECT RAISE(ABORT, 'x');\n",
    ],
)
def test_a_failing_migration_is_taken_back_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """A migration that fails on its way leaves the ledger exactly as it was, to be opened as before."""
    files = sqlite.migration_files()
    with closing(sqlite3.connect(path)) as connection:
        before = list(connection.iterdump())
    monkeypatch.setattr(sqlite, "migration_files", lambda: [*files, ("9999_broken", broken)])
    with pytest.raises((LedgerError, sqlite3.Error)), open_ledger(path):
        pass
    monkeypatch.setattr(sqlite, "migration_files", lambda: files)

    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before
        assert connection.execute("PRAGMA user_version").fetchone() == (len(files),)
    with open_ledger(path) as ledger:
        assert ledger.database.check_integrity() == []


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
    recorded_at, import, line, dimensions
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
        "INSERT INTO unsealed VALUES (99)",
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


class Broken(Exception):  # noqa: N818 # no error of the program
    """Something fails in the middle of a transaction."""


def _write_and_break(database: Database) -> None:
    database.run("add_source", name="a")
    with database.transaction():
        database.run("add_source", name="b")
    raise Broken


def test_a_transaction_is_whole_or_not_at_all(path: Path) -> None:
    """An error, or an inner transaction that fails, takes back everything since the outer one began."""
    with open_ledger(path) as ledger:
        database = ledger.database
        with pytest.raises(Broken), database.transaction():
            _write_and_break(database)

        assert database.row("source_by_name", name="a") is None
        assert database.row("source_by_name", name="b") is None

        with database.transaction():
            database.run("add_source", name="c")

        assert database.row("source_by_name", name="c") is not None


def test_a_snapshot_does_not_see_what_comes_after_it(path: Path) -> None:
    """Within a snapshot every statement sees the same ledger, whatever another process commits."""
    with open_ledger(path) as reading, open_ledger(path) as writing:
        with reading.database.snapshot():
            before = reading.database.row("source_by_name", name="x")
            writing.database.run("add_source", name="x")
            within = reading.database.row("source_by_name", name="x")

        assert (before, within) == (None, None)
        assert reading.database.row("source_by_name", name="x") is not None


@steady
@given(units=st.integers(0, MAX_STORED), scale=st.integers(0, 12))
def test_the_readable_view_writes_quantities_as_the_program_does(units: int, scale: int) -> None:
    """People who open a ledger with another tool see the same decimal text that the program prints."""
    (_, sql), *_ = sqlite.migration_files()
    view = sql.split("CREATE VIEW usage_events_readable AS")[1]
    expression = view[view.index("CASE") : view.index("END") + len("END")]
    with closing(sqlite3.connect(":memory:")) as memory:
        (found,) = memory.execute(
            f"SELECT {expression} FROM (SELECT ? AS quantity, ? AS scale) AS u",  # noqa: S608 # our own text
            (units, scale),
        ).fetchone()

    assert found == decimal_text(units, scale)
