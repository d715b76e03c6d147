"""Unsealed usage in bulk, for totals and for roll-ups; and what was sealed of a window before."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from meterledger.domain.instant import DAY, Instant
from meterledger.domain.meter_event import UsageToSeal
from meterledger.domain.rollup import UsageWindow
from meterledger.ledger.database import Database
from meterledger.ledger.meter_event_rows import to_usage

LATEST: Instant = 2**62
"""After everything."""

EVER: Instant = -LATEST
"""Before everything."""


class RollupStore:
    """Reads unsealed usage in bulk; sealing it is the outbox's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def usage(self, since: Instant, as_of: Instant | None, anew: Iterable[int]) -> Iterator[tuple[Any, ...]]:
        """
        Yield unsealed usage as the statement has it: customers, features and imports by their numbers.

        Args:
            since: Only with an event_time from here on.
            as_of: As it was then; None for now.
            anew: Meter events whose usage is to be sealed anew, and comes too.
        """
        if as_of is None:
            waiting = self._database.tuples("usage_to_roll_up", since=since)
        else:
            waiting = self._database.tuples("usage_to_roll_up_as_of", since=since, as_of=as_of)
        carried = (
            self._database.tuples("usage_carried_to_roll_up", meter_event=one, since=since) for one in anew
        )
        return chain(waiting, chain.from_iterable(carried))

    def usage_event(self, number: int) -> UsageToSeal:
        """Return one usage event, sealed or not."""
        row = self._database.row("usage_event_to_seal", usage_event=number)
        if row is None:
            raise AssertionError("unreachable: usage events are never deleted")
        return to_usage(row)

    def keeping_identifiers(self) -> set[int]:
        """Return the imports whose rows came with identifiers, which are kept verbatim."""
        return {row["id"] for row in self._database.rows("imports_that_keep_identifiers")}

    def customer_id(self, number: int) -> str:
        """Return the customer_id that usage events name by a number."""
        row = self._database.row("customer_by_number", customer=number)
        if row is None:
            raise AssertionError("unreachable: customers are never deleted")
        name: str = row["customer_id"]
        return name

    def features(self) -> dict[int, str]:
        """Return the features that usage events have, by their numbers."""
        return {row["id"]: row["name"] for row in self._database.rows("numbered_features")}

    def next_revision(self, where: UsageWindow, as_of: Instant | None, anew: Iterable[int]) -> int:
        """
        Return one more than the highest revision of a window.

        What was taken back, or is to be sealed anew, gives its identifier free; but not where Stripe has
        answered it: under the same Idempotency-Key another body would be refused.
        """
        rows = self._database.rows(
            "rolled_up_before",
            stripe_customer_id=where.stripe_customer_id,
            event_name=where.meter.event_name,
            window_start=where.start,
            longest_end=where.start + DAY,
            dimensions=where.dimensions,
            as_of=LATEST if as_of is None else as_of,
        )
        anew = set(anew)
        used = (
            row["revision"] for row in rows if row["answered"] or not (row["taken_back"] or row["id"] in anew)
        )
        return max(used, default=-1) + 1
