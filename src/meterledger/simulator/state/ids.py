"""The ids of the simulator's objects."""

import re

import msgspec

from meterledger.simulator.state.book import Journal

_NUMBER = re.compile(r"[0-9]{1,15}")


class IdSource:
    """
    Numbers the simulator's objects, so that the same calls give the same ids.

    Args:
        journal: Hears of every number, so that a restart does not give one out again.
    """

    KIND = "last_id"

    def __init__(self, journal: Journal) -> None:
        self._last: dict[str, int] = {}
        self._journal = journal

    def next(self, prefix: str, *, livemode: bool) -> str:
        """Return the next id with the prefix; ids of test mode say so."""
        number = self._last.get(prefix, 0) + 1
        self._last[prefix] = number
        self._journal.put(self.KIND, prefix, number)
        return f"{prefix}{number}" if livemode else f"{prefix}test_{number}"

    def keep_clear_of(self, object_id: str, prefix: str, *, livemode: bool) -> None:
        """Never give out an id that somebody else gave to an object, should it be one of ours."""
        number = object_id.removeprefix(prefix if livemode else f"{prefix}test_")
        if number != object_id and _NUMBER.fullmatch(number) and int(number) > self._last.get(prefix, 0):
            self._last[prefix] = int(number)
            self._journal.put(self.KIND, prefix, int(number))

    def restore(self, key: str, document: bytes) -> None:
        """Go on after the last number of a prefix."""
        self._last[key] = msgspec.json.decode(document, type=int)
