"""When usage arrived, and when pushes began: what a forecast is made from."""

from collections.abc import Iterator
from typing import Any

from meterledger.domain.billing_period import MAX_GRACE_PERIOD
from meterledger.domain.instant import DAY, Instant
from meterledger.ledger.database import Database

LONGEST_IMPORT = MAX_GRACE_PERIOD
"""
What is imported later than this after it was received is a load of the past: it counts as of then.

No grace period is longer, so that nobody waits for such an import with an invoice.
"""


class ArrivalStore:
    """Reads when usage arrived; an instant in microseconds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_push(
        self, *, since: Instant, as_of: Instant, every: int, phase: Instant
    ) -> Iterator[tuple[Any, ...]]:
        """
        Yield how much usage arrived before each push of a schedule and after the one before, in order.

        Yields:
            Numbers of source, feature and push, how many usage events, the first and the last arrival.
        """
        return self._database.tuples(
            "arrivals_by_push",
            since=since,
            as_of=as_of,
            every=every,
            phase=phase,
            longest_import=LONGEST_IMPORT,
        )

    def late(
        self, *, since: Instant, as_of: Instant, reach: int, time_of_day: int | None
    ) -> Iterator[tuple[Any, ...]]:
        """
        Yield the usage that may have reached Stripe too late for a boundary, in no order.

        Args:
            since: What arrived earlier does not count.
            as_of: What was recorded later does not count.
            reach: At most so long after its arrival it is at Stripe, less the shortest grace period.
            time_of_day: That of all boundaries, in microseconds; None where they have several.

        Yields:
            Numbers of customer, source and feature, subscription, units, scale, event_time and arrival.
        """
        return self._database.tuples(
            "usage_arrived_late",
            since=since,
            as_of=as_of,
            reach=reach,
            time_of_day=time_of_day or 0,
            any_time=int(time_of_day is None),
            day=DAY,
            longest_import=LONGEST_IMPORT,
        )

    def pushes(self, *, since: Instant, as_of: Instant) -> list[Instant]:
        """Return when pushes began, in order."""
        return [started for (started,) in self._database.tuples("pushes_begun", since=since, as_of=as_of)]
