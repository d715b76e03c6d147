"""What reports read: lists and counts, nothing that changes anything."""

from collections.abc import Iterator
from typing import Any, Literal

from meterledger.domain.instant import Instant
from meterledger.ledger.database import Database, Row

MOST_ROWS = 2**62
"""As good as no limit."""


class ReportStore:
    """Reads for lists and reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def imports(self, source: str | None = None, limit: int = MOST_ROWS) -> list[Row]:
        """Return the latest imports, of a source or of all, the oldest of them first."""
        found = self._database.rows(
            "list_imports",
            source=source,
            every_source=int(source is None),
            **{"import": 0},
            every_import=1,
            limit=limit,
        )
        return found[::-1]

    def import_by_number(self, number: int) -> Row | None:
        """Return one import."""
        return self._database.row(
            "list_imports", source="", every_source=1, **{"import": number}, every_import=0, limit=1
        )

    def settled_rejects_of(self, import_id: int, *, before: Instant) -> int:
        """Return how many of the refused rows that an import met were closed before an instant."""
        row = self._database.row("settled_rejects_of_import", **{"import": import_id}, before=before)
        return row["rejects"] if row else 0

    def open_rejects_of(self, number: int) -> tuple[int, int]:
        """Return how many rejections and conflicts that an import brought are open."""
        row = self._database.row("open_rejects_of_import", **{"import": number})
        return (row["rejections"], row["conflicts"]) if row else (0, 0)

    def usage_as_known(self, as_of: Instant, *, features: int, sources: int) -> Iterator[tuple[Any, ...]]:
        """
        Yield every usage event with what was known of its delivery at an instant, in no order.

        Args:
            as_of: The instant.
            features: One more than the highest number of a feature, to pack it into a lane.
            sources: The same of sources.
        """
        return self._database.tuples("usage_as_known", as_of=as_of, features=features, sources=sources)

    def usage_of_customer_as_known(self, customer_id: str, as_of: Instant) -> Iterator[Row]:
        """Yield the same of one customer, and where it came from, by event_time."""
        return self._database.stream("usage_of_customer_as_known", customer_id=customer_id, as_of=as_of)

    def usage_behind_its_deadline(
        self, *, deadline: Instant, before: Instant, as_of: Instant
    ) -> Iterator[Row]:
        """Yield usage of before an instant that was not accepted by a deadline, as it was known then."""
        return self._database.stream(
            "usage_behind_its_deadline", deadline=deadline, before=before, as_of=as_of
        )

    def names_of(self, what: Literal["source", "feature", "customer"]) -> dict[int, str]:
        """Return the names that usage events refer to by number."""
        return dict(self._database.tuples(f"{what}_names"))

    def open_rejects_with_event_time(self, as_of: Instant) -> list[Row]:
        """Return the refused rows open at an instant whose event_time could be read."""
        return self._database.rows("open_rejects_with_event_time", as_of=as_of)

    def count_open_rejects(self, as_of: Instant) -> tuple[int, int]:
        """Return how many rejections and conflicts were open at an instant."""
        row = self._database.row("count_open_rejects", as_of=as_of)
        return (row["rejections"], row["conflicts"]) if row else (0, 0)

    def last_usage_event(self) -> int:
        """Return the number of the latest usage event; 0 if there is none."""
        row = self._database.row("last_usage_event")
        return row["id"] if row else 0

    def arrivals_since(self, after: int, up_to: int) -> Iterator[Row]:
        """Yield what came in between two usage events, by import, minute of arrival and hour of usage."""
        return self._database.stream("arrivals_since", after=after, up_to=up_to)

    def billed_since(self, after: int, up_to: int) -> Iterator[Row]:
        """Yield customer, subscription and feature of what came in between two usage events."""
        return self._database.stream("billed_since", after=after, up_to=up_to)

    def unsettled_usage(self) -> Iterator[Row]:
        """Yield the usage events whose meter event is neither accepted nor taken back."""
        return self._database.stream("unsettled_usage")

    def oldest_unknown_attempt(self, as_of: Instant, *, since: Instant) -> Instant | None:
        """Return when the oldest attempt after an instant began whose outcome was unknown at another."""
        row = self._database.row("oldest_unknown_attempt", as_of=as_of, since=since)
        return row["started_at"] if row else None

    def count_usage_events(self, as_of: Instant) -> int:
        """Return how many usage events were recorded by an instant."""
        row = self._database.row("count_usage_events", as_of=as_of)
        return row["count"] if row else 0

    def meter_events_as_of(self, as_of: Instant) -> list[Row]:
        """Return state, count and oldest event_time of the meter events at an instant."""
        return self._database.rows("count_meter_events_as_of", as_of=as_of)

    def in_doubt(self) -> list[Row]:
        """Return the meter events in doubt."""
        return self._database.rows("in_doubt_meter_events")

    def rejected_by_code(self) -> list[Row]:
        """Return the rejected meter events by code and message."""
        return self._database.rows("rejected_by_code")

    def accepted_totals(self) -> list[Row]:
        """Return what Stripe has taken, by meter, customer and scale."""
        return self._database.rows("accepted_totals")

    def last_accepted_values(self) -> list[Row]:
        """Return the latest value that Stripe has taken, by meter and customer."""
        return self._database.rows("last_accepted_values")

    def violations(self, check: str) -> list[Row]:
        """Return rows that break an invariant, by the name of its check."""
        return self._database.rows(f"verify_{check}")

    def sealed_bodies(self) -> Iterator[Row]:
        """Yield every live meter event beside the usage event it carries."""
        return self._database.stream("verify_sealed_bodies")

    def rolled_up_bodies(self) -> Iterator[Row]:
        """Yield every live rolled-up meter event beside each usage event it carries, in its order."""
        return self._database.stream("verify_rolled_up_bodies")

    def knows_customer(self, customer_id: str) -> bool:
        """Tell whether any row, accepted or refused, named a customer."""
        return self._database.row("knows_customer", customer_id=customer_id) is not None

    def event_names(self) -> set[str]:
        """Return the meters that meter events were sealed for."""
        return {row["event_name"] for row in self._database.rows("event_names")}
