"""All that is known of one thing: what `explain` reads."""

from meterledger.ledger.database import Database, Row


class ExplanationStore:
    """Finds usage events by what a person has in hand, and what belongs to them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def usage_events_of(self, what: str, limit: int) -> list[int]:
        """Return the usage events of a request_id, else of an identifier, else the latest of a customer."""
        for statement in ("request_id", "identifier"):
            if found := self._database.rows(f"explain_usage_by_{statement}", what=what, limit=limit):
                return [row["id"] for row in found]
        return [row["id"] for row in self._database.rows("explain_usage_by_customer", what=what, limit=limit)]

    def usage_event(self, number: int) -> Row:
        """Return one usage event with its provenance."""
        row = self._database.row("explain_usage_event", usage_event=number)
        if row is None:
            raise AssertionError("unreachable: usage events are never deleted")
        return row

    def meter_events(self, usage_event: int) -> list[Row]:
        """Return the meter events that carry or carried a usage event."""
        return self._database.rows("explain_meter_events", usage_event=usage_event)

    def attempts(self, meter_event: int) -> list[Row]:
        """Return the delivery attempts of a meter event."""
        return self._database.rows("explain_attempts", meter_event=meter_event)

    def resolutions(self, meter_event: int) -> list[Row]:
        """Return what people said of a meter event."""
        return self._database.rows("explain_resolutions", meter_event=meter_event)

    def rejects(self, request_id: str, limit: int) -> list[Row]:
        """Return refused rows that carried a request_id."""
        return self._database.rows("explain_rejects", what=request_id, limit=limit)
