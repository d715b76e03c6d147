"""What Stripe last said of its meters."""

from meterledger.domain.instant import Instant
from meterledger.ledger.database import Database


class StripeMeterStore:
    """Remembers which meters Stripe has."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, active: dict[str, bool], now: Instant) -> None:
        """Remember which meters Stripe has, and which of them are active."""
        with self._database.transaction():
            self._database.run("forget_meters", seen_at=now)
            self._database.run_many(
                "note_meter", [(name, int(is_active), now) for name, is_active in sorted(active.items())]
            )
            self._database.run("note_meters_read", seen_at=now)

    def noted(self, as_of: Instant) -> dict[str, bool] | None:
        """Return what Stripe last said of each meter; None if it was never asked."""
        if self._database.row("meters_read", as_of=as_of) is None:
            return None
        return {
            row["event_name"]: bool(row["active"]) for row in self._database.rows("noted_meters", as_of=as_of)
        }
