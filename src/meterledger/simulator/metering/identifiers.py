"""Which event identifiers came, how often, and which event holds each of them."""

from array import array
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from meterledger.simulator.state.book import Journal

_NO_ROW = -1
_SCOPE_END = "\x1f"  # ends a scope in front of an identifier; no identifier that is printable has it


class Record(NamedTuple):
    """What is known of one identifier: arrivals, events counted, and the latest of these (its row, or -1)."""

    arrivals: int = 0
    counted: int = 0
    row: int = _NO_ROW


class IdentifierBook:
    """
    The identifiers of one account, each within the scope in which it has to be unique.

    They stand in columns, as the events do: there is one for each event.

    Args:
        journal: Hears of every change.
    """

    KIND = "identifier"

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._places: dict[str, int] = {}
        self._arrivals = array("I")
        self._counted = array("I")
        self._rows = array("i")

    def __len__(self) -> int:
        return len(self._places)

    def arrive(self, identifier: str, scope: str = "") -> None:
        """Note a request that carries the identifier, whatever becomes of it."""
        key = _key(identifier, scope)
        place = self._place(key)
        self._arrivals[place] += 1
        self._note(key, place)

    def held_by(self, identifier: str, scope: str = "") -> int | None:
        """Return the row of the latest event with the identifier, or None where none was counted."""
        place = self._places.get(_key(identifier, scope))
        if place is None or self._rows[place] == _NO_ROW:
            return None
        return self._rows[place]

    def hold(self, identifier: str, row: int, scope: str = "") -> None:
        """Note that the event at a row was counted under the identifier."""
        key = _key(identifier, scope)
        place = self._place(key)
        self._counted[place] += 1
        self._rows[place] = row
        self._note(key, place)

    def records(self) -> Iterator[tuple[str, Record]]:
        """Yield every identifier with what is known of it, once for each scope it came in."""
        for key, place in self._places.items():
            identifier = key.rpartition(_SCOPE_END)[2]
            yield identifier, Record(self._arrivals[place], self._counted[place], self._rows[place])

    def restore(self, key: str, document: bytes) -> None:
        """Take in an identifier of a state file."""
        record = msgspec.json.decode(document, type=Record)
        place = self._place(key)
        self._arrivals[place], self._counted[place], self._rows[place] = record

    def _place(self, key: str) -> int:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self._places)
            self._arrivals.append(0)
            self._counted.append(0)
            self._rows.append(_NO_ROW)
        return place

    def _note(self, key: str, place: int) -> None:
        record = Record(self._arrivals[place], self._counted[place], self._rows[place])
        self._journal.put(self.KIND, key, record)


def _key(identifier: str, scope: str) -> str:
    return f"{scope}{_SCOPE_END}{identifier}" if scope else identifier
