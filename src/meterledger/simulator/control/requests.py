"""Which requests were answered, and how."""

from collections import Counter


class RequestCounts:
    """How many requests were answered, by method, path pattern and status."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, int]] = Counter()

    def count(self, method: str, pattern: str, status: int) -> None:
        """Count one answered request."""
        self._counts[method, pattern, status] += 1

    def rows(self) -> list[dict[str, object]]:
        """Return the counts, sorted."""
        return [
            {"method": method, "path": pattern, "status": status, "count": count}
            for (method, pattern, status), count in sorted(self._counts.items())
        ]
