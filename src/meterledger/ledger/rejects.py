"""Rejects: rows that were refused and conflicts, from the import that met them to their end."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from meterledger.domain.exported_row import ExportedRow, RowForm
from meterledger.domain.instant import Instant
from meterledger.domain.usage import Conflict, Reason, Rejection, UsageEvent, is_cut
from meterledger.ledger.database import Database, Row, required


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The import that meets refused rows, and its file."""

    import_id: int
    source: int
    file: str
    sha256: str
    exported: RowForm | None = None
    """How its rows name the refused rows they are to mend, if it is an export of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectFilter:
    """Which refused rows are asked for; what is empty, 0 or None asks for nothing."""

    kind: str = ""
    source: str = ""
    import_id: int = 0
    customer_id: str = ""
    feature: str = ""
    since: Instant | None = None
    """At or after it by event_time; a row whose event_time cannot be read is then left out."""
    until: Instant | None = None
    """Before it by event_time."""
    with_closed: bool = False


_FIRST, _LAST = -(2**62), 2**62


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

    def close_named(
        self,
        where: Where,
        usage: Iterable[UsageEvent],
        rejections: Iterable[Rejection],
        conflicts: Iterable[Conflict],
        raw_of: Callable[[int], str],
        now: Instant,
    ) -> None:
        """Close the refused rows that the good rows of an exported file name."""
        still_refused = {one.line for one in rejections} | {one.line for one in conflicts}
        for event in usage:
            row = where.exported.split(raw_of(event.line)) if where.exported else None
            if row is None or event.line in still_refused or not (named := self._named(where, row)):
                continue
            # None where its usage is there under its identifier and another usage key.
            stored = self.stored_usage(event.request_id, where.source)
            closed = {"closed_at": now, "accepted_as": stored["id"] if stored else None}
            self._database.run("close_mended", mends=named["mends"], **closed)
            place = {name: named[name] for name in ("raw_digest", "line", "import")}
            self._database.run("close_rest_of_row", **place, **closed)

    def close_read_again(self, reject: int, import_id: int, accepted_as: int | None, now: Instant) -> bool:
        """Close a refused row that was read again and taken; tells whether it was not refused again."""
        if self._database.row("reject_is_sighted", reject=reject, **{"import": import_id}):
            return False
        self.close(reject, "accepted", now, accepted_as=accepted_as)
        return True

    def close(
        self,
        reject: int,
        closed_as: str,
        now: Instant,
        *,
        note: str | None = None,
        accepted_as: int | None = None,
    ) -> None:
        """Close a refused row for good; one that is closed stays as it is."""
        self._database.run(
            "close_reject",
            id=reject,
            closed_as=closed_as,
            closed_at=now,
            closed_note=note,
            accepted_as=accepted_as,
        )

    def find(self, reject: int) -> Row | None:
        """Return a refused row by its number."""
        return self._database.row("refused_row", id=reject)

    def matching(self, wanted: RejectFilter) -> Iterator[Row]:
        """Yield refused rows, oldest first."""
        return self._database.stream(
            "refused_rows_that_match",
            **{"import": wanted.import_id},
            kind=wanted.kind,
            source=wanted.source,
            customer_id=wanted.customer_id,
            feature=wanted.feature,
            in_time=int(wanted.since is not None or wanted.until is not None),
            since=_FIRST if wanted.since is None else wanted.since,
            until=_LAST if wanted.until is None else wanted.until,
            with_closed=int(wanted.with_closed),
        )

    def stored_usage(self, request_id: str, source: int) -> Row | None:
        """Return the usage event that holds a usage key."""
        return self._database.row("stored_content", request_id=request_id, source=source)

    def source_number(self, name: str) -> int:
        """Return the number of a source that has refused rows."""
        number: int = required(self._database.row("source_by_name", name=name))["id"]
        return number

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
        raw = str(reject["raw"])
        exported = where.exported.split(raw) if where.exported and not is_cut(raw) else None
        named = self._named(where, exported) if exported else None
        raw = exported.raw if exported else raw
        facts = {
            "import": where.import_id,
            "source": where.source,
            "raw_digest": hashlib.sha256(raw.encode(errors="replace")).hexdigest(),
        }
        same = None
        if exported:
            named_id = named["id"] if named else 0
            same = self._database.row(
                "same_reject_of_export", named=named_id, feature=reject["feature"], **facts
            )
        if same is None:
            place = {"file": where.file, "sha256": where.sha256}
            same = self._database.row("same_reject", **facts, **place, **reject)
        if same is None:
            mends = named["mends"] if named else None
            same = self._database.row(
                "add_reject", recorded_at=now, mends=mends, **facts, **{**reject, "raw": raw}
            )
        else:
            self._database.run("see_reject_again", id=same["id"])
            # What cannot be read says something else behind the reason columns than in its own file.
            if not (exported and reject["reason"] == Reason.MALFORMED_ROW):
                self._database.run("renew_reject", id=same["id"], **reject)
        self._database.run("sight_reject", reject=required(same)["id"], **{"import": where.import_id})

    def _named(self, where: Where, row: ExportedRow) -> Row | None:
        return self._database.row(
            "named_reject", id=row.reject, source=where.source, line=row.line, file=row.file
        )
