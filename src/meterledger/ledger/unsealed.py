"""Unsealed usage, as it waits to be sealed."""

from collections.abc import Iterator, Sequence
from typing import Any

from meterledger.domain.instant import Instant
from meterledger.domain.meter_event import UsageToSeal
from meterledger.ledger.database import Database
from meterledger.ledger.meter_event_rows import to_usage


class UnsealedStore:
    """Reads unsealed usage; the outbox seals it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, as_of: Instant | None = None) -> Iterator[UsageToSeal]:
        """Yield unsealed usage by event_time; with ``as_of``, as it was then."""
        if as_of is None:
            rows = self._database.stream("unsealed_usage")
        else:
            rows = self._database.stream("unsealed_usage_as_of", as_of=as_of)
        return map(to_usage, rows)

    def to_order(self, as_of: Instant | None = None) -> Iterator[tuple[Any, ...]]:
        """
        Yield of all unsealed usage what its order depends on, by its numbers.

        Its number, its customer's, the subscription, its feature's, and event_time.
        """
        if as_of is None:
            return self._database.tuples("unsealed_to_order")
        return self._database.tuples("unsealed_to_order_as_of", as_of=as_of)

    def by_number(self, usage_events: Sequence[int], as_of: Instant | None = None) -> dict[int, UsageToSeal]:
        """Return usage events that are, or were then, unsealed, by their numbers."""
        given = [(one,) for one in usage_events]
        if as_of is None:
            rows = self._database.rows_for("unsealed_by_number", given)
        else:
            rows = self._database.rows_for("unsealed_by_number_as_of", given, as_of=as_of)
        return {row["id"]: to_usage(row) for row in rows}

    def one(self, usage_event: int) -> UsageToSeal | None:
        """Return one usage event, if it is still unsealed."""
        return self.by_number([usage_event]).get(usage_event)

    def finest_scale(self) -> dict[str, int]:
        """Return the largest scale that unsealed usage has, by feature."""
        return {row["feature"]: row["scale"] for row in self._database.rows("finest_unsealed_scale")}
