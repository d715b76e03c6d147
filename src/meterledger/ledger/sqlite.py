"""SQLite: the file, its pragmas, its migrations, its transactions. The only user of sqlite3."""

import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from meterledger.domain.usage import shown
from meterledger.errors import InUseError, LedgerError, UsageError
from meterledger.ledger.statements import Statement, all_statements

if TYPE_CHECKING:
    import sqlite_utils

    from meterledger.ledger.database import Row

APPLICATION_ID = 0x4D4C4447
"""Marks a SQLite file as a ledger of this program ("MLDG")."""

BUSY_TIMEOUT_SECONDS = 30
_MAX_PARAMETERS = 999
"""Of one statement: what every SQLite takes. A statement for many rows costs half of one for each row."""

_PAGE_BYTES = 8192
_CACHE_KIB = 32 * 1024
_PAGES_BETWEEN_CHECKPOINTS = 16_384
"""A rare checkpoint: the write-ahead log grows to 128 MiB at most before it is folded in."""


def migration_files() -> list[tuple[str, str]]:
    """Return (name, SQL) of every migration, in order."""
    folder = resources.files("meterledger.ledger") / "migrations" / "sqlite"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(file.name.removesuffix(".sql"), file.read_text()) for file in files]


class SqliteDatabase:
    """One connection to a ledger file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._statements = all_statements()
        self._depth = 0

    def rows(self, statement: str, /, **arguments: object) -> "list[Row]":
        """Return every row."""
        with _errors_translated():
            return cast("list[Row]", self._execute(self._statements[statement], arguments).fetchall())

    def row(self, statement: str, /, **arguments: object) -> "Row | None":
        """Return the first row, if there is one."""
        with _errors_translated():
            return cast("Row | None", self._execute(self._statements[statement], arguments).fetchone())

    def stream(self, statement: str, /, **arguments: object) -> "Iterator[Row]":
        """Yield rows as they are read."""
        with _errors_translated():
            # Not the cursor itself: whoever stops reading would close it, maybe after its connection.
            yield from chain(self._execute(self._statements[statement], arguments))

    def tuples(self, statement: str, /, **arguments: object) -> "Iterator[tuple[Any, ...]]":
        """Yield rows as plain tuples: several times as quick, for millions of them."""
        found = self._statements[statement]
        cursor = self._connection.cursor()
        cursor.row_factory = None
        with _errors_translated():
            yield from chain(cursor.execute(found.numbered, found.arguments(arguments)))

    def run(self, statement: str, /, **arguments: object) -> int:
        """Run a statement that changes rows, and return how many."""
        with _errors_translated():
            return self._execute(self._statements[statement], arguments).rowcount

    def run_many(self, statement: str, rows: Iterable[tuple[object, ...]], /) -> int:
        """Run it for each row (parameters in order of appearance); return how many rows changed."""
        with _errors_translated():
            return self._connection.executemany(self._statements[statement].numbered, rows).rowcount

    def run_rows(self, statement: str, rows: Sequence[tuple[object, ...]], /, **shared: object) -> int:
        """Run a statement that has one VALUES row for many rows at once; return how many rows changed."""
        found, changed = self._statements[statement], 0
        with _errors_translated():
            for sql, arguments in _row_batches(found, rows, shared):
                changed += self._connection.executemany(sql, arguments).rowcount
        return changed

    def rows_for(
        self, statement: str, rows: Sequence[tuple[object, ...]], /, **shared: object
    ) -> "list[Row]":
        """Return every row of a query that has one VALUES row, run for many rows at once."""
        answer: list[Row] = []
        with _errors_translated():
            for sql, batches in _row_batches(self._statements[statement], rows, shared):
                for arguments in batches:
                    answer += cast("list[Row]", self._connection.execute(sql, arguments).fetchall())
        return answer

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One write transaction; inside another one it joins that one."""
        if self._depth:
            yield
            return
        with _errors_translated():
            # IMMEDIATE: a transaction that reads first and then writes would fail under contention.
            self._connection.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._rollback()
            raise
        finally:
            self._depth -= 1
        with _errors_translated():
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                self._rollback()
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One read transaction: every statement inside sees the same ledger."""
        if self._depth:
            yield
            return
        with _errors_translated():
            self._connection.execute("BEGIN")
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            self._rollback()

    def tide(self) -> int:
        """Return a number that is another one after any commit of another connection."""
        with _errors_translated():
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def check_integrity(self) -> list[str]:
        """Return what SQLite finds wrong with its own file."""
        with _errors_translated():
            found = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check(20)")]
            broken = self._connection.execute("PRAGMA foreign_key_check").fetchmany(20)
        found = [] if found == ["ok"] else found
        return found + [f"{row[0]} row {row[1]} refers to no row of {row[2]}" for row in broken]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _execute(self, statement: Statement, arguments: dict[str, object]) -> sqlite3.Cursor:
        return self._connection.execute(statement.numbered, statement.arguments(arguments))

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def create(path: Path) -> SqliteDatabase:
    """Make a new ledger file, readable by its owner alone; raises LedgerError if the path is taken."""
    unfinished: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Private to its owner, and beside the ledger: a link cannot cross file systems.
        handle, name = tempfile.mkstemp(prefix=".new-ledger-", dir=path.parent)
        os.close(handle)
        unfinished = Path(name)
        with _errors_translated(path):
            _write_empty_ledger(unfinished)
        # A link appears whole or not at all, and never over another file.
        os.link(unfinished, path)
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be made: {error.strerror}") from error
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
    return open_existing(path)


def _write_empty_ledger(path: Path) -> None:
    connection = _connect(path)
    try:
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        _migrate(connection)
    finally:
        connection.close()


def open_existing(path: Path) -> SqliteDatabase:
    """Open a ledger file at this program's version; only to be read, where it cannot be written."""
    if not os.path.isfile(path):  # noqa: PTH113 # pathlib raises for a name that is too long
        what = "is a folder" if os.path.isdir(path) else "does not exist"  # noqa: PTH112 # as above
        raise LedgerError(
            f"the ledger {path} {what}",
            hint="make one with `meterledger init`, or name another with --ledger",
        )
    with _errors_translated(path):
        read_only = not _is_writable(path)
        connection = _connect(path, read_only=read_only)
        try:
            _refuse_foreign(connection, path)
            if read_only:
                _refuse_older(connection, path)
            else:
                _migrate(connection)
        except BaseException:
            connection.close()
            raise
    return SqliteDatabase(connection)


def _log_of(path: Path) -> Path:
    real = Path(os.path.realpath(path))
    return real.with_name(f"{real.name}-wal")


def _is_writable(path: Path) -> bool:
    """Tell whether both the file and the log beside it can be written, or made."""
    log = _log_of(path)
    return os.access(path, os.W_OK) and os.access(log if log.exists() else log.parent, os.W_OK)


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    name: Path | str = path
    if read_only:
        # Without a log nobody is writing, and SQLite is told so: else it would have to write one itself.
        unchanging = "" if _log_of(path).exists() else "&immutable=1"
        name = f"{Path(os.path.realpath(path)).as_uri()}?mode=ro{unchanging}"
    connection = sqlite3.connect(
        name, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS, cached_statements=512, uri=read_only
    )
    connection.row_factory = sqlite3.Row
    for pragma in (
        "synchronous = FULL",
        "foreign_keys = ON",
        "trusted_schema = OFF",
        f"cache_size = -{_CACHE_KIB}",
        f"wal_autocheckpoint = {_PAGES_BETWEEN_CHECKPOINTS}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise LedgerError(
            f"{path} is a SQLite database of another program, no ledger", hint="name the ledger with --ledger"
        )
    if version > len(migration_files()):
        raise LedgerError(
            f"the ledger {path} was written by a newer meterledger (version {version} of its tables, "
            f"this program knows {len(migration_files())})",
            hint="upgrade meterledger",
        )


def _refuse_older(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < len(migration_files()):
        raise LedgerError(
            f"the ledger {path} was written by an older meterledger, and it cannot be written to upgrade it",
            hint="open it once with this version where it can be written",
        )


def _migrate(connection: sqlite3.Connection) -> None:
    files = migration_files()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == len(files):
        return
    import sqlite_utils  # noqa: PLC0415 # it takes longer to load than to open a ledger
    from sqlite_utils import Migrations  # noqa: PLC0415 # as above

    migrations = Migrations("meterledger")
    for number, (name, sql) in enumerate(files, 1):
        migrations(name=name)(_migration(number, sql))
    migrations.apply(sqlite_utils.Database(connection, recursive_triggers=False, execute_plugins=False))
    connection.row_factory = sqlite3.Row


def _migration(number: int, sql: str):  # type: ignore[no-untyped-def] # noqa: ANN202 # the shape is sqlite-utils' own
    def migrate(database: "sqlite_utils.Database") -> None:
        database.executescript(sql)
        database.executescript(f"PRAGMA user_version = {number}")

    return migrate


def _row_batches(
    statement: Statement, rows: Sequence[tuple[object, ...]], shared: Mapping[str, object]
) -> Iterator[tuple[str, Iterable[list[object]]]]:
    """Yield a statement for many rows with the arguments of each of its runs, then one for what is left."""
    names, values = tuple(shared), list(shared.values())
    own = len(statement.parameters) - len(names)
    at_once = (_MAX_PARAMETERS - len(names)) // own
    whole = len(rows) - len(rows) % at_once
    if whole:
        yield (
            statement.for_rows(names, at_once),
            ([*values, *chain.from_iterable(rows[at : at + at_once])] for at in range(0, whole, at_once)),
        )
    if whole < len(rows):
        left = rows[whole:]
        yield statement.for_rows(names, len(left)), [[*values, *chain.from_iterable(left)]]


@contextmanager
def _errors_translated(path: Path | None = None) -> Iterator[None]:
    """Say in a user's words what SQLite says in its own."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{shown(error.object)} is no UTF-8", hint="write it as the reports show it"
        ) from error
    except OverflowError as error:
        raise UsageError("a number is larger than a ledger holds", hint="a number has 64 bits") from error
    except sqlite3.DatabaseError as error:
        name = f"the ledger {path}" if path else "the ledger"
        text = str(error)
        if "not a database" in text:
            raise LedgerError(f"{path} is no SQLite database, and so no ledger") from error
        if "locked" in text or "busy" in text:
            raise InUseError(
                f"{name} is in use by another process (waited {BUSY_TIMEOUT_SECONDS} s)",
                hint="try again later",
            ) from error
        if "readonly" in text or "unable to open" in text:
            raise LedgerError(
                f"{name} cannot be written: {text}",
                hint="check the permissions of its file, of the -wal beside it, and of their folder",
            ) from error
        if "full" in text or "disk I/O" in text:
            raise LedgerError(
                f"{name} cannot be written: {text}; what was committed before is kept",
                hint="make room on the disk, then run the same command again",
            ) from error
        if "malformed" in text or isinstance(error, sqlite3.IntegrityError):
            raise LedgerError(
                f"{name} refuses: {text}", hint="look at it with `meterledger verify`"
            ) from error
        raise
