"""The ids of the simulator's objects."""

import msgspec

from meterledger.simulator.state.book import Journal


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

    def restore(self, key: str, document: bytes) -> None:
        """Go on after the last number of a prefix."""
        self._last[key] = msgspec.json.decode(document, type=int)
