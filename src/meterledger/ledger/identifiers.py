"""
Identifiers across usage keys: usage that comes back under the identifier it was, or would be, sealed with.

Stripe's own files name an identifier and no usage key. Where such a file meets the ledger that its bodies
came from, or the usage that they were made of, the same usage must not stand there twice.
"""

from collections.abc import Sequence

from meterledger.domain.meter_event import IDENTIFIER_PREFIX, derive_identifier
from meterledger.ledger.database import Database, Row


class IdentifierStore:
    """Finds usage by identifier."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._derived_up_to: int | None = None

    def forget(self) -> None:
        """Forget what was derived: the transaction that did it was rolled back."""
        self._derived_up_to = None

    def of_kept(self, identifiers: Sequence[str], source: int) -> dict[int, Row]:
        """Return the usage that stands under identifiers which a file brought, by their positions."""
        given = list(enumerate(identifiers))
        found = self._found("usage_sealed_as", given)
        ours = [one for one in given if one[1].startswith(IDENTIFIER_PREFIX) and one[0] not in found]
        if ours:
            self._derive()
            found |= self._found("usage_derived_as", ours)
        found |= self._found("usage_that_keeps", given)
        # Its own usage key is for the usage key to judge.
        return {
            at: row
            for at, row in found.items()
            if (row["source"], row["request_id"]) != (source, identifiers[at])
        }

    def of_derived(self, source: str, request_ids: Sequence[str]) -> dict[int, Row]:
        """Return the usage that was brought under the identifiers that usage keys would be sealed with."""
        if self._database.row("has_kept_identifiers") is None:
            return {}
        given = [(at, derive_identifier(source, request_id)) for at, request_id in enumerate(request_ids)]
        return self._found("usage_that_keeps", given)

    def _found(self, statement: str, given: Sequence[tuple[int, str]]) -> dict[int, Row]:
        return {row["position"]: row for row in self._database.rows_for(statement, given)}

    def _derive(self) -> None:
        """Bring the table of derived identifiers up to date."""
        if self._derived_up_to is None:
            self._database.run("begin_deriving")
        rows = self._database.stream("usage_not_derived_yet", usage_event=self._derived_up_to or 0)
        last = self._derived_up_to or 0
        batch: list[tuple[object, ...]] = []
        for last, source, request_id in rows:  # where it ended is where it goes on
            batch.append((derive_identifier(source, request_id), last))
        self._database.run_many("add_derived_identifier", batch)
        self._derived_up_to = last
