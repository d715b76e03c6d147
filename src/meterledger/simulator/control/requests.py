"""Which requests were answered, and how."""

from collections import Counter

import msgspec

from meterledger.simulator.state.book import Journal


class RequestCounts:
    """
    How many requests were answered, by method, path pattern and status.

    Args:
        journal: Hears of every one.
    """

    KIND = "request_count"

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._counts: Counter[tuple[str, str, int]] = Counter()

    def count(self, method: str, pattern: str, status: int) -> None:
        """Count one answered request."""
        row = (method, pattern, status)
        self._counts[row] += 1
        self._journal.put(self.KIND, f"{method} {pattern} {status}", (*row, self._counts[row]))

    @property
    def total(self) -> int:
        """How many requests were answered in all."""
        return self._counts.total()

    def restore(self, _key: str, document: bytes) -> None:
        """Take in a count of a state file."""
        method, pattern, status, count = msgspec.json.decode(document, type=tuple[str, str, int, int])
        self._counts[method, pattern, status] = count

    def rows(self) -> list[dict[str, object]]:
        """Return the counts, sorted."""
        return [
            {"method": method, "path": pattern, "status": status, "count": count}
            for (method, pattern, status), count in sorted(self._counts.items())
        ]
