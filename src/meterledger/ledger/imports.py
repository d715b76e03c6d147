"""Imports: files read into the ledger, chunk by chunk, each chunk whole or not at all."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from meterledger.domain.exported_row import RowForm
from meterledger.domain.instant import Instant
from meterledger.domain.usage import Conflict, Rejection
from meterledger.domain.usage_columns import UsageColumns
from meterledger.ledger.database import Database, Row, required
from meterledger.ledger.rejects import RejectStore, Where
from meterledger.ledger.usage_writer import Destination, RawOf, UsageWriter


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
        self._usage = UsageWriter(database)

    def forget_names(self) -> None:
        """Forget the numbers of names: the transaction that gave them was rolled back."""
        self._usage.forget_names()

    def whole_import_of(self, sha256: str, source: str, config_digest: str) -> Row | None:
        """Return the import that makes reading the same content again needless, if there is one."""
        return self._database.row(
            "whole_import_of_content", sha256=sha256, source=source, config_digest=config_digest
        )

    def under_other_source(self, sha256: str, source: str) -> Row | None:
        """Return the latest import of the same content under another source, if there is one."""
        return self._database.row("import_under_other_source", sha256=sha256, source=source)

    def to_be_sent(self, sha256: str, source: str) -> Row | None:
        """Return the first import that brought usage of the same content to be sent, if it still holds."""
        return self._database.row("import_to_be_sent", sha256=sha256, source=source)

    def has_unsealed(self, source: str) -> bool:
        """Tell whether any usage of a source waits to be sent."""
        return self._database.row("source_has_unsealed", source=source) is not None

    def last_import(self) -> Row | None:
        """Return source and config digest of the last import; None if there is none."""
        return self._database.row("last_import")

    def is_first_of(self, source: str) -> bool:
        """Tell whether nothing of a source has been imported whole yet."""
        return self._database.row("source_has_complete_import", source=source) is None

    def begin(self, provenance: Provenance, now: Instant) -> OpenImport:
        """Record that a file is being read."""
        with self._database.transaction():
            self._database.run("add_source", name=provenance.source)
            source = required(self._database.row("source_by_name", name=provenance.source))["id"]
            facts = {**asdict(provenance), "source": source}
            row = self._database.row(
                "begin_import",
                **{key: int(value) if isinstance(value, bool) else value for key, value in facts.items()},
                started_at=now,
            )
        return OpenImport(id=required(row)["id"], source=source, provenance=provenance)

    def write_chunk(
        self,
        target: OpenImport,
        usage: UsageColumns,
        rejections: Sequence[Rejection],
        raw_of: RawOf,
        now: Instant,
    ) -> WrittenChunk:
        """Write one chunk in one transaction: usage events, what was refused, and the counts."""
        try:
            return self._write_chunk(target, usage, rejections, raw_of, now)
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
        usage: UsageColumns,
        rejections: Sequence[Rejection],
        raw_of: RawOf,
        now: Instant,
    ) -> WrittenChunk:
        with self._database.transaction():
            before = required(self._database.row("last_usage_event"))["id"]
            to = Destination(
                import_id=target.id,
                source=target.source,
                source_name=target.provenance.source,
                keeps_identifier=target.provenance.keeps_identifier,
                now=now,
            )
            accepted, conflicts = self._usage.add(to, usage, raw_of)
            self._hand_over(target, before, now)
            where = Where(
                import_id=target.id,
                source=target.source,
                file=target.provenance.file,
                sha256=target.provenance.sha256,
                exported=target.provenance.exported,
            )
            self._rejects.add(where, rejections, conflicts, now)
            if where.exported:
                self._rejects.close_named(where, usage, rejections, conflicts, raw_of, now)
            counts = Counts(
                rows_read=len(usage) + len(rejections),
                accepted=accepted,
                duplicates=len(usage) - accepted - len(conflicts),
                conflicts=len(conflicts),
                rejected=len(rejections),
            )
            self._count(target, counts)
        return WrittenChunk(counts=counts, conflicts=tuple(conflicts))

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
