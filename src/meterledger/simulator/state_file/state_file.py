"""The state of every account as documents: gathered as it changes, committed before an answer leaves."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from meterledger.simulator.protocol.api_errors import ApiError
from meterledger.simulator.state.book import Journal, Restorable
from meterledger.simulator.state.keeping import SIMULATOR, AccountKey
from meterledger.simulator.state_file.database import Database, Key, Place, StateFileError, open_database

_encode = msgspec.json.Encoder().encode


def open_state(path: Path) -> "StateFile":
    """
    Open a state file, or make one that only its owner can read.

    Raises:
        StateFileError: It is in use, not ours, of a newer format or broken, or cannot be written.
    """
    return StateFile(open_database(path))


class StateFile:
    """
    Keeps the state in a database.

    Args:
        database: The file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._put: dict[Place, str] = {}
        self._dropped: set[Place] = set()
        self._forgotten = False

    def journal_for(self, account: AccountKey) -> Journal:
        """Return the journal of an account."""
        return _Journal(self, account)

    def accounts(self) -> Iterable[AccountKey]:
        """Return the accounts that have documents, in the order of their first."""
        return dict.fromkeys(account for account, _ in self._database.collections() if account != SIMULATOR)

    def restore(self, account: AccountKey, kinds: Mapping[str, Restorable]) -> None:
        """
        Give an account's documents back, kind by kind.

        Raises:
            StateFileError: A document cannot be read, or there are some of a kind that nobody knows.
        """
        kept = {kind for owner, kind in self._database.collections() if owner == account}
        if unknown := sorted(kept - kinds.keys()):
            raise StateFileError(f"{self._database.path} holds what this version does not know: {unknown[0]}")
        for kind, restorable in kinds.items():
            if kind in kept:
                self._restore(account, kind, restorable)

    def put(self, account: AccountKey, kind: str, key: str, document: object) -> None:
        """Note that a document is new or has changed."""
        self._put[(account, kind), _storable(key)] = _encode(document).decode()

    def drop(self, account: AccountKey, kind: str, key: str) -> None:
        """Note that a document is gone; put again it stands behind those that were put meanwhile."""
        place = (account, kind), _storable(key)
        self._put.pop(place, None)
        self._dropped.add(place)

    def forget(self) -> None:
        """Drop everything with the next commit, but for what is put from now on."""
        self._put.clear()
        self._dropped.clear()
        self._forgotten = True

    def commit(self) -> None:
        """
        Write every change since the last commit in one transaction.

        Raises:
            StateFileError: The file cannot be written now; the changes wait for the next commit.
        """
        if self._put or self._dropped or self._forgotten:
            self._database.write(self._dropped, self._put, anew=self._forgotten)
            self._put.clear()
            self._dropped.clear()
            self._forgotten = False

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _restore(self, account: AccountKey, kind: str, restorable: Restorable) -> None:
        for key, document in self._database.documents((account, kind)):
            name = key if isinstance(key, str) else key.decode(errors="surrogatepass")
            try:
                restorable.restore(name, document.encode())
            except (msgspec.MsgspecError, ValueError, LookupError, OverflowError, ApiError) as failure:
                raise StateFileError(
                    f"{self._database.path} cannot be used: {kind} {name!r}: {failure}"
                ) from None


class _Journal:
    """Hears of the changes of one account."""

    def __init__(self, file: StateFile, account: AccountKey) -> None:
        self._file = file
        self._account = account

    def put(self, kind: str, key: str, document: object) -> None:
        """Note that an object is new or has changed."""
        self._file.put(self._account, kind, key, document)

    def drop(self, kind: str, key: str) -> None:
        """Note that an object is gone."""
        self._file.drop(self._account, kind, key)


def _storable(key: str) -> Key:
    """Return a key as SQLite takes it: a header that is no text comes with surrogates, which are no UTF-8."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return key.encode(errors="surrogatepass")
    return key
