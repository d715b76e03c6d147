"""The objects of one kind in one account, and the journal that hears of every change to them."""

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Generic, Protocol, TypeVar

import msgspec

from meterledger.simulator.protocol.api_errors import no_such_object
from meterledger.simulator.protocol.paging import Identified


class Journal(Protocol):
    """Hears of every change of one account, so that a state file can follow."""

    def put(self, kind: str, key: str, document: object) -> None:
        """Note that an object is new or has changed; the document is fit for JSON."""

    def drop(self, kind: str, key: str) -> None:
        """Note that an object is gone."""


class NoJournal:
    """Keeps nothing: the state ends with the process."""

    def put(self, kind: str, key: str, document: object) -> None:
        """Let a change pass."""

    def drop(self, kind: str, key: str) -> None:
        """Let a removal pass."""


class Restorable(Protocol):
    """What takes documents of a state file back in, in the order they were first put."""

    def restore(self, key: str, document: bytes) -> None:
        """Take in one document, as JSON."""


T = TypeVar("T", bound=Identified)


class Book(Generic[T]):
    """
    The objects of one kind, by id, in the order they were made.

    Args:
        stored: What the objects are; a dataclass or a Struct that msgspec can write and read.
        kind: The kind's name in the journal.
        label: What refusals call such an object, e.g. `customer`.
        journal: Hears of every change.
    """

    def __init__(self, stored: type[T], kind: str, label: str, journal: Journal) -> None:
        self._stored = stored
        self._kind = kind
        self.label = label
        self._journal = journal
        self._by_id: dict[str, T] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[T]:
        return iter(self._by_id.values())

    def find(self, object_id: str) -> T | None:
        """Return an object, or None where nothing has the id."""
        return self._by_id.get(object_id)

    def get(self, object_id: str) -> T:
        """
        Return an object.

        Raises:
            ApiError: 404 `resource_missing`.
        """
        found = self._by_id.get(object_id)
        if found is None:
            raise no_such_object(self.label, object_id, param="id")
        return found

    def put(self, item: T) -> T:
        """Take in a new object, or a changed one in its place, and return it."""
        self._by_id[item.id] = item
        self._journal.put(self._kind, item.id, item)
        return item

    def drop(self, object_id: str) -> None:
        """Forget an object."""
        del self._by_id[object_id]
        self._journal.drop(self._kind, object_id)

    def drop_first(self, is_over: Callable[[T], bool]) -> None:
        """Forget the first objects, up to the first that is not over."""
        for item in list(takewhile(is_over, self)):
            self.drop(item.id)

    def newest_first(self) -> list[T]:
        """Return every object, the newest first."""
        return list(reversed(self._by_id.values()))

    def restore(self, key: str, document: bytes) -> None:
        """Take in an object of a state file."""
        self._by_id[key] = msgspec.json.decode(document, type=self._stored)
