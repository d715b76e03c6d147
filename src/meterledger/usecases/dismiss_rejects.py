"""Dismiss: a person closes refused rows for good, with a note."""

from collections.abc import Sequence

from meterledger.domain.instant import Instant
from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.database import Row
from meterledger.usecases.select_rejects import REJECTION, Selection, by_number, open_by_number, selected


def dismiss_rejects(
    ledger: Ledger, selection: Selection, *, note: str, now: Instant, kind: str = REJECTION
) -> Sequence[Row]:
    """
    Close refused rows of one kind, all or none, and return them as they are then.

    A conflict that is closed so keeps the usage event as it is stored.

    Raises:
        UsageError: The note is empty, or a row is unknown, closed, or of the other kind.
    """
    note = note.strip()
    if not note:
        raise UsageError("--note is empty", hint="say why they are closed; it is kept in the ledger")
    with ledger.database.transaction():
        ids = selection.ids or [
            row["id"]
            for row in selected(ledger, selection)
            if row["kind"] == kind and row["closed_at"] is None
        ]
        for row in open_by_number(ledger, ids, kind):
            ledger.rejects.close(row["id"], "dismissed", now, note=note)
        return list(by_number(ledger, ids))
