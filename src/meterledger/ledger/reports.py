"""What reports read: lists and counts, nothing that changes anything."""

from meterledger.ledger.database import Database, Row


class ReportStore:
    """Reads for lists and reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def imports(self) -> list[Row]:
        """Return every import, oldest first."""
        return self._database.rows("list_imports")

    def rejects(self, *, with_closed: bool = False) -> list[Row]:
        """Return refused rows, oldest first."""
        return self._database.rows("list_rejects", with_closed=int(with_closed))
