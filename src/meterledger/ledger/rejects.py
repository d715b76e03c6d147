"""Rejects: rows that were refused and conflicts, from the import that met them to their end."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from meterledger.domain.instant import Instant
from meterledger.domain.usage import Conflict, Rejection
from meterledger.ledger.database import Database, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The import that meets refused rows, and its file."""

    import_id: int
    source: int
    file: str
    sha256: str


class RejectStore:
    """Owns refused rows and conflicts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, where: Where, rejections: Iterable[Rejection], conflicts: Iterable[Conflict], now: Instant
    ) -> None:
        """Keep what an import refused; the same row of the same file is stored once, and counted."""
        with self._database.transaction():
            for rejection in rejections:
                self._add_rejection(where, rejection, now)
            for conflict in conflicts:
                self._add_conflict(where, conflict, now)

    def close_mended(self, source: int, now: Instant) -> None:
        """Close the rejections of a source whose usage key was accepted since."""
        self._database.run("close_rejections_since_accepted", source=source, closed_at=now)

    def _add_rejection(self, where: Where, rejection: Rejection, now: Instant) -> None:
        self._add_reject(
            where,
            now,
            kind="rejection",
            line=rejection.line,
            reason=rejection.reason.value,
            message=rejection.message,
            raw=rejection.raw,
            request_id=rejection.request_id,
            customer_id=rejection.customer_id,
            feature=rejection.feature,
            event_time=rejection.event_time,
            differences=None,
        )

    def _add_conflict(self, where: Where, conflict: Conflict, now: Instant) -> None:
        differences = [{"field": d.field, "stored": d.stored, "given": d.given} for d in conflict.differences]
        self._add_reject(
            where,
            now,
            kind="conflict",
            line=conflict.line,
            reason="conflict",
            message=conflict.message,
            raw=conflict.raw,
            request_id=conflict.request_id,
            customer_id=conflict.customer_id,
            feature=conflict.feature,
            event_time=conflict.event_time,
            differences=json.dumps(differences, ensure_ascii=False),
        )

    def _add_reject(self, where: Where, now: Instant, **reject: object) -> None:
        digest = hashlib.sha256(str(reject["raw"]).encode(errors="replace")).hexdigest()
        same = self._database.row(
            "same_reject",
            raw_digest=digest,
            source=where.source,
            kind=reject["kind"],
            reason=reject["reason"],
            line=reject["line"],
            feature=reject["feature"],
            file=where.file,
            sha256=where.sha256,
        )
        if same:
            self._database.run("see_reject_again", id=same["id"])
        else:
            facts = {
                "import": where.import_id,
                "source": where.source,
                "recorded_at": now,
                "raw_digest": digest,
            }
            same = self._database.row("add_reject", **facts, **reject)
        self._database.run("sight_reject", reject=_number(same), **{"import": where.import_id})


def _number(row: Row | None) -> int:
    if row is None:
        raise AssertionError("unreachable: the row was found or written in this transaction")
    number: int = row["id"]
    return number
