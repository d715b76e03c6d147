"""The ledger's database: marked, strict, migrated whole, and its transactions, snapshots and views."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.quantity import MAX_STORED, decimal_text
from meterledger.errors import LedgerError, UsageError
from meterledger.ledger import open_ledger, sqlite
from meterledger.ledger.database import Database
from support.importing import ledger_file
from support.properties import steady


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a new ledger."""
    return ledger_file(tmp_path)


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


@pytest.mark.parametrize("value", ["\udcff", 2**63, -(2**63) - 1], ids=["no-utf8", "too-large", "too-small"])
def test_what_no_ledger_can_hold_is_an_error_of_use(path: Path, value: object) -> None:
    """Text that is no UTF-8 and numbers beyond 64 bits come from options, and are not looked up."""
    with open_ledger(path) as ledger, pytest.raises(UsageError, match=r"UTF-8|larger"):
        ledger.database.rows("source_by_name", name=value)


@pytest.mark.parametrize("read", ["stream", "tuples"])
def test_who_stops_reading_after_the_end_of_a_ledger_hears_nothing(path: Path, read: str) -> None:
    """An error on the way leaves a half read result behind, which is let go of when the ledger is closed."""
    with open_ledger(path) as ledger:
        rows = getattr(ledger.database, read)("latest_own_instant")
        next(rows)
    rows.close()
