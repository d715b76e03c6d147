"""Imports: files read into the ledger, chunk by chunk, each chunk whole or not at all."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from operator import itemgetter

from meterledger.domain.exported_row import RowForm
from meterledger.domain.instant import Instant, to_text
from meterledger.domain.quantity import decimal_text, same_value
from meterledger.domain.usage import Conflict, Difference, EventFields, Rejection, UsageEvent, kept_raw
from meterledger.ledger.database import Database, Row
from meterledger.ledger.rejects import RejectStore, Where

_NAMES_CACHED = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What an import keeps of its file, and of how it was read."""

    source: str
    file: str
    path: str | None = None
    """Where the file is; None for standard input."""
    sha256: str
    size_bytes: int
    input_format: str
    compression: str | None = None
    delimiter: str | None = None
    header: str | None = None
    """The header of a CSV file as it stands: what is needed to read one of its rows again."""
    mapping: str | None = None
    """How the source's fields were read, as JSON."""
    config_digest: str
    program_version: str
    backfill: bool = False
    already_billed: bool = False
    keeps_identifier: bool = False
    first_of_source: bool = False
    retry_of: int | None = None
    """The import whose refused rows are read again."""
    exported: RowForm | None = None
    """How its rows name the refused rows they are to mend, if it is an export of them."""


@dataclass(slots=True)
class Counts:
    """How the rows read ended: rows_read = accepted + duplicates + conflicts + rejected."""

    rows_read: int = 0
    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0

    def add(self, other: "Counts") -> None:
        """Add the counts of another part."""
        self.rows_read += other.rows_read
        self.accepted += other.accepted
        self.duplicates += other.duplicates
        self.conflicts += other.conflicts
        self.rejected += other.rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenChunk:
    """What became of one chunk."""

    counts: Counts
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenImport:
    """An import that is being written."""

    id: int
    source: int
    provenance: Provenance


class ImportStore:
    """Owns sources, customers, features, imports and usage events while they come in."""

    def __init__(self, database: Database, rejects: RejectStore) -> None:
        self._database = database
        self._rejects = rejects
        self._customers: dict[str, int] = {}
        self._features: dict[str, int] = {}

    def forget_names(self) -> None:
        """Forget the numbers of names: the transaction that gave them was rolled back."""
        self._customers.clear()
        self._features.clear()

    def whole_import_of(self, sha256: str, source: str, config_digest: str) -> Row | None:
        """Return the import that makes reading the same content again needless, if there is one."""
        return self._database.row(
            "whole_import_of_content", sha256=sha256, source=source, config_digest=config_digest
        )

    def is_first_of(self, source: str) -> bool:
        """Tell whether nothing of a source has been imported whole yet."""
        return self._database.row("source_has_complete_import", source=source) is None

    def begin(self, provenance: Provenance, now: Instant) -> OpenImport:
        """Record that a file is being read."""
        with self._database.transaction():
            self._database.run("add_source", name=provenance.source)
            source = _required(self._database.row("source_by_name", name=provenance.source))["id"]
            facts = {**asdict(provenance), "source": source}
            row = self._database.row(
                "begin_import",
                **{key: int(value) if isinstance(value, bool) else value for key, value in facts.items()},
                started_at=now,
            )
        return OpenImport(id=_required(row)["id"], source=source, provenance=provenance)

    def write_chunk(
        self,
        target: OpenImport,
        events: Sequence[EventFields],
        rejections: Sequence[Rejection],
        now: Instant,
    ) -> WrittenChunk:
        """Write one chunk in one transaction: usage events, what was refused, and the counts."""
        try:
            return self._write_chunk(target, events, rejections, now)
        except BaseException:
            # Numbers given in a transaction that is rolled back are no numbers.
            self.forget_names()
            raise

    def mark_incomplete(self, target: OpenImport, because: str) -> None:
        """Record why a file could not be read to its end; what was read of it is kept."""
        with self._database.transaction():
            self._database.run("mark_import_incomplete", **{"import": target.id}, because=because)

    def _write_chunk(
        self,
        target: OpenImport,
        events: Sequence[EventFields],
        rejections: Sequence[Rejection],
        now: Instant,
    ) -> WrittenChunk:
        with self._database.transaction():
            before = _required(self._database.row("last_usage_event"))["id"]
            accepted = self._add_events(target, events, now)
            self._hand_over(target, before, now)
            conflicts: tuple[Conflict, ...] = ()
            if accepted < len(events):
                conflicts = tuple(self._conflicts(target, events))
            where = Where(
                import_id=target.id,
                source=target.source,
                file=target.provenance.file,
                sha256=target.provenance.sha256,
                exported=target.provenance.exported,
            )
            self._rejects.add(where, rejections, conflicts, now)
            if where.exported:
                self._rejects.close_named(where, events, rejections, conflicts, now)
            counts = Counts(
                rows_read=len(events) + len(rejections),
                accepted=accepted,
                duplicates=len(events) - accepted - len(conflicts),
                conflicts=len(conflicts),
                rejected=len(rejections),
            )
            self._count(target, counts)
        return WrittenChunk(counts=counts, conflicts=conflicts)

    def finish(self, target: OpenImport, now: Instant) -> None:
        """Record that a file was read to its end, and close the rejections it mended."""
        with self._database.transaction():
            self._rejects.close_mended(target.source, now)
            self._database.run("finish_import_if_unfinished", **{"import": target.id}, finished_at=now)

    def _hand_over(self, target: OpenImport, before: int, now: Instant) -> None:
        """Put the usage events of a chunk where they wait to be sent, or close them at once."""
        if target.provenance.already_billed:
            self._database.run(
                "close_since", usage_event=before, state="already_billed", note="", closed_at=now
            )
        else:
            self._database.run("add_unsealed_since", usage_event=before)

    def _add_events(self, target: OpenImport, events: Sequence[EventFields], now: Instant) -> int:
        if not events:
            return 0
        customers = self._numbered("customer", self._customers, {event[1] for event in events}, "customer_id")
        features = self._numbered("feature", self._features, {event[3] for event in events}, "name")
        source, import_id = target.source, target.id
        # In the order of the unique index: a chunk then touches each of its pages once.
        ordered = sorted(events, key=itemgetter(0))
        return self._database.run_many(
            "add_usage_event",
            [
                (
                    source, request_id, customers[customer_id], subscription_id, features[feature], units,
                    scale, event_time, received_at, now, import_id, line, dimensions,
                )
                for (
                    request_id, customer_id, subscription_id, feature, units, scale, event_time, received_at,
                    line, dimensions, _,
                ) in ordered
            ],
        )  # fmt: skip

    def _numbered(self, what: str, known: dict[str, int], names: set[str], column: str) -> dict[str, int]:
        """Return the numbers of names, giving new ones a number; remembers them between chunks."""
        new = names - known.keys()
        if len(known) + len(new) > _NAMES_CACHED:
            known.clear()
            new = names
        statement = f"{what}_by_customer_id" if column == "customer_id" else f"{what}_by_name"
        for name in sorted(new):
            self._database.run(f"add_{what}", **{column: name})
            known[name] = _required(self._database.row(statement, **{column: name}))["id"]
        return known

    def _conflicts(self, target: OpenImport, events: Iterable[EventFields]) -> Iterable[Conflict]:
        """Find the rows that did not go in because their key exists with other content."""
        for fields in events:
            event = UsageEvent._make(fields)
            stored = self._database.row("stored_content", request_id=event.request_id, source=target.source)
            row = _required(stored)
            if row["import"] == target.id and row["line"] == event.line:
                continue
            if differences := tuple(content_differences(row, event)):
                yield Conflict(
                    line=event.line,
                    raw=kept_raw(event.raw),
                    request_id=event.request_id,
                    customer_id=event.customer_id,
                    feature=event.feature,
                    event_time=event.event_time,
                    differences=differences,
                )

    def _count(self, target: OpenImport, counts: Counts) -> None:
        self._database.run(
            "count_chunk",
            **{"import": target.id},
            rows_read=counts.rows_read,
            accepted=counts.accepted,
            duplicates=counts.duplicates,
            conflicts=counts.conflicts,
            rejected=counts.rejected,
        )


def content_differences(stored: Row, given: UsageEvent) -> Iterable[Difference]:
    """Yield the fields in which a row differs from the stored usage event of its key: the content alone."""
    for field in ("customer_id", "subscription_id", "feature"):
        if stored[field] != getattr(given, field):
            yield Difference(field=field, stored=stored[field] or "", given=getattr(given, field) or "")
    if not same_value(stored["quantity"], stored["scale"], given.units, given.scale):
        yield Difference(
            field="quantity",
            stored=decimal_text(stored["quantity"], stored["scale"]),
            given=decimal_text(given.units, given.scale),
        )
    if stored["event_time"] != given.event_time:
        yield Difference(
            field="event_time", stored=to_text(stored["event_time"]), given=to_text(given.event_time)
        )
    # Only the dimensions that the stored event has: a dimension that was named since is no difference.
    before = json.loads(stored["dimensions"]) if stored["dimensions"] else {}
    now = json.loads(given.dimensions) if given.dimensions else {}
    for name, value in before.items():
        if now.get(name) != value:
            yield Difference(field=name, stored=value, given=now.get(name, ""))


def _required(row: Row | None) -> Row:
    if row is None:
        raise AssertionError("unreachable: the row was written in this transaction")
    return row
