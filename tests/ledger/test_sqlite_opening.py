"""The ledger file: made private, and refused when it is not ours."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from meterledger.errors import ExitCode, LedgerError
from meterledger.ledger import create_ledger, open_ledger, sqlite
from support.importing import ledger_file


def refusal(path: Path) -> LedgerError:
    """Return the error that opening a ledger ends with."""
    with pytest.raises(LedgerError) as refused, open_ledger(path):
        pass
    assert refused.value.exit_code is ExitCode.LEDGER
    return refused.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a new ledger."""
    return ledger_file(tmp_path)


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


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse every writing: root, whom permissions do not bind, may be running this."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))


@pytest.mark.usefixtures("read_only")
def test_a_ledger_that_cannot_be_written_is_read(path: Path) -> None:
    """It is read without a file beside it, and whatever writes is refused in words."""
    with open_ledger(path) as ledger:
        with ledger.database.snapshot():
            assert ledger.outbox.counts()["pending"] == 0
        with pytest.raises(LedgerError, match="cannot be written"), ledger.database.transaction():
            ledger.database.run("add_source", name="x")
        assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_ledger_that_somebody_writes_is_read_through_its_log(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a log is beside the ledger its rows count, and what is written meanwhile is seen."""
    with open_ledger(path) as writing, writing.database.transaction():
        writing.database.run("add_source", name="first")
    with open_ledger(path) as writing:
        writing.database.run("add_source", name="second")
        monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
        with open_ledger(path) as reading:
            assert reading.database.row("source_by_name", name="second") is not None
            writing.database.run("add_source", name="third")
            assert reading.database.row("source_by_name", name="third") is not None


@pytest.mark.usefixtures("read_only")
def test_an_older_ledger_that_cannot_be_written_is_refused(path: Path) -> None:
    """It would have to be upgraded first."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert "older" in refusal(path).message


@pytest.mark.usefixtures("read_only")
def test_an_odd_name_is_no_hindrance_to_reading(tmp_path: Path) -> None:
    """What an address would take for its parts belongs to the name."""
    path = tmp_path / "a?b#c %41\u00e9.db"
    ledger_file(tmp_path).rename(path)
    with open_ledger(path) as ledger:
        assert ledger.outbox.counts()["pending"] == 0
