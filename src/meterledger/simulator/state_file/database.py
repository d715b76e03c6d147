"""SQLite: the file, who may use it, its table of documents. The simulator's only user of sqlite3."""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from meterledger.simulator.state.keeping import AccountKey
from meterledger.simulator.state_file.schema import DOCUMENTS, VIEWS

Key = str | bytes
"""A document's key; bytes where it is no UTF-8."""

Collection = tuple[AccountKey, str]
"""An account's documents of one kind."""

Place = tuple[Collection, Key]
"""Where a document stands."""

APPLICATION_ID = 0x4D4C5349
"""Marks a SQLite file as the state of a simulator ("MLSI")."""

FORMAT = 1

_BUSY_SECONDS = 1.0
_PAGES_BETWEEN_CHECKPOINTS = 4096
_PRIVATE = 0o600


class StateFileError(Exception):
    """The state file cannot be used; the message is one line for a person."""


class Database:
    """
    An open state file.

    Args:
        path: Its name.
        connection: Open, with the tables made.
        lock: What shows that this process uses the file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: int) -> None:
        self.path = path
        self._connection = connection
        self._lock = lock
        self._file = path.stat()
        self._numbers: dict[Collection, int] = {
            ((account, bool(livemode)), kind): number
            for number, account, livemode, kind in connection.execute(
                "SELECT number, account, livemode, kind FROM collection ORDER BY number"
            )
        }

    def collections(self) -> Iterable[Collection]:
        """Return every collection, in the order they were made."""
        return self._numbers

    def documents(self, collection: Collection) -> Iterator[tuple[Key, str]]:
        """
        Yield the keys and documents of a collection, in the order of their first put.

        Raises:
            StateFileError: The file is broken.
        """
        try:
            yield from self._connection.execute(
                "SELECT key, document FROM document WHERE collection = ? ORDER BY number",
                (self._numbers[collection],),
            )
        except sqlite3.Error as failure:
            raise StateFileError(f"{self.path} cannot be used: {failure}") from None

    def write(self, dropped: Iterable[Place], put: Mapping[Place, str], *, anew: bool = False) -> None:
        """
        Delete and write documents in one transaction, where anew after all that there are.

        Raises:
            StateFileError: Nothing of it was written.
        """
        numbers = {} if anew else self._numbers
        if not self._is_in_place():  # SQLite would go on writing to a file that nobody can find again
            raise StateFileError(f"{self.path} cannot be written: it was removed or replaced")
        new = [name for name in dict.fromkeys(name for name, _ in put) if name not in numbers]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            if anew:
                self._connection.execute("DELETE FROM document")
                self._connection.execute("DELETE FROM collection")
            if new:
                numbers = numbers | {collection: self._add(collection) for collection in new}
            self._connection.executemany(
                "DELETE FROM document WHERE collection = ? AND key = ?",
                [(numbers[collection], key) for collection, key in dropped if collection in numbers],
            )
            self._connection.executemany(
                "INSERT INTO document (collection, key, document) VALUES (?, ?, ?) "
                "ON CONFLICT (collection, key) DO UPDATE SET document = excluded.document",
                [(numbers[collection], key, document) for (collection, key), document in put.items()],
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error as failure:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise StateFileError(f"{self.path} cannot be written: {failure}") from None
        self._numbers = numbers

    def close(self) -> None:
        """Close the file, with its log folded in."""
        self._connection.close()
        _let_go(self.path, self._lock)

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(self.path.stat(), self._file)
        except OSError:
            return False

    def _add(self, collection: Collection) -> int:
        (account, livemode), kind = collection
        cursor = self._connection.execute(
            "INSERT INTO collection (account, livemode, kind) VALUES (?, ?, ?)", (account, livemode, kind)
        )
        return int(cursor.lastrowid or 0)


def open_database(path: Path) -> Database:
    """
    Open a state file, or make one that only its owner can read.

    Raises:
        StateFileError: It is in use, not ours, of a newer format or broken, or cannot be written.
    """
    lock = _taken(path)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE))
        connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
        try:
            _prepare(path, connection)
            return Database(path, connection, lock)
        except BaseException:
            connection.close()
            raise
    except BaseException as failure:
        _let_go(path, lock)
        match failure:
            case OSError():
                raise StateFileError(f"{path} cannot be used: {failure.strerror or failure}") from None
            case sqlite3.Error():
                raise StateFileError(f"{path} cannot be used: {failure}") from None
        raise


def _taken(path: Path) -> int:
    """Lock a file beside it for this process; the lock ends with the process, however that ends."""
    # A file of its own, since SQLite lets go of every lock of the process on its file when it unlocks that.
    name = _lock_of(path)
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    except OSError as failure:
        raise StateFileError(f"{path} cannot be used: {failure.strerror or failure}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = name.exists() and os.path.samestat(os.fstat(descriptor), name.stat())
    except BlockingIOError:
        is_ours = False
    if not is_ours:  # or it was removed just now by the one who had it
        os.close(descriptor)
        raise StateFileError(f"{path} is the state of another simulator that is running")
    return descriptor


def _let_go(path: Path, lock: int) -> None:
    _lock_of(path).unlink(missing_ok=True)
    os.close(lock)


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-lock")


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    [application_id] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    is_new = not (application_id or version or tables)
    if not is_new and application_id != APPLICATION_ID:
        raise StateFileError(f"{path} is a SQLite database of another program")
    if version > FORMAT:
        raise StateFileError(
            f"{path} was written by a newer simulator (format {version}; this one knows {FORMAT})"
        )
    # Committed means handed to the operating system: it outlives the process, kill -9 included. Only after
    # a power cut may the latest answers be missing; the file is sound even then.
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "trusted_schema = OFF",
        f"wal_autocheckpoint = {_PAGES_BETWEEN_CHECKPOINTS}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    with connection:  # a transaction that is rolled back where it fails
        connection.execute("BEGIN IMMEDIATE")
        if is_new:
            for statement in DOCUMENTS:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
        for name, query in VIEWS.items():
            connection.execute(f"DROP VIEW IF EXISTS {name}")
            connection.execute(f"CREATE VIEW {name} AS {query}")
