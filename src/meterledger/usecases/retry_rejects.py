"""Retry: refused rows are read again by today's config and customers, and the good ones are taken."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

from meterledger.config import Settings
from meterledger.domain.instant import Instant
from meterledger.domain.usage import UsageEvent
from meterledger.domain.usage_columns import UsageColumns
from meterledger.ledger import Ledger
from meterledger.ledger.database import Row
from meterledger.ledger.imports import Counts, OpenImport
from meterledger.usecases import parsing
from meterledger.usecases.dry_run import rolled_back
from meterledger.usecases.import_usage import REJECTIONS_REPORTED, rules_for
from meterledger.usecases.planning import refuse_coarser_scale
from meterledger.usecases.reading_again import (
    ReadAgain,
    Unread,
    Unreadable,
    provenance_of,
    read_each,
    source_of,
    why_not,
)
from meterledger.usecases.select_rejects import Selection, selected


@dataclass(frozen=True, slots=True, kw_only=True)
class StillRefused:
    """A row that was refused again, and why by today's rules."""

    id: int
    file: str
    line: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetriedImport:
    """The refused rows of one import, read again as an import of their own."""

    id: int | None
    """None if nothing was kept."""
    retry_of: int
    source: str
    file: str
    counts: Counts


@dataclass(slots=True, kw_only=True)
class RetryReport:
    """What became of refused rows that were read again."""

    committed: bool
    counts: Counts = field(default_factory=Counts)
    closed: int = 0
    imports: list[RetriedImport] = field(default_factory=list)
    refused: list[StillRefused] = field(default_factory=list)
    """The first of them."""
    unread: list[Unread] = field(default_factory=list)

    @property
    def needs_a_person(self) -> bool:
        """Tell whether any row is still refused."""
        return bool(self.counts.rejected or self.counts.conflicts or self.unread)


@dataclass(slots=True, kw_only=True)
class _Retrying:
    """One command while it runs."""

    ledger: Ledger
    settings: Settings
    clock: Callable[[], Instant]
    report: RetryReport
    unread: Unreadable = field(default_factory=Unreadable)


def retry_rejects(
    ledger: Ledger,
    settings: Settings,
    selection: Selection,
    *,
    clock: Callable[[], Instant],
    dry_run: bool = False,
) -> RetryReport:
    """
    Read refused rows again, and take what is good: with its own file and line, as an import of its own.

    Each import's rows are one transaction, at most a chunk of them: killed anywhere, the same command
    goes on with what is still open.
    """
    refuse_coarser_scale(ledger, settings)
    retrying = _Retrying(
        ledger=ledger, settings=settings, clock=clock, report=RetryReport(committed=not dry_run)
    )
    pieces = list(_pieces(retrying, selection))
    with rolled_back(ledger) if dry_run else nullcontext():
        for piece in pieces:
            with ledger.database.transaction():
                _retry(retrying, piece)
    retrying.report.unread = list(retrying.unread)
    return retrying.report


def _pieces(retrying: _Retrying, selection: Selection) -> Iterator[list[int]]:
    """Yield the numbers of refused rows, those of one import together, at most a chunk at a time."""
    by_import: dict[int, list[int]] = {}
    for row in selected(retrying.ledger, selection):
        if row["closed_at"] is not None:
            retrying.unread.add(row["id"], f"it is closed already, as {row['closed_as']}")
        elif because := why_not(row):
            retrying.unread.add(row["id"], because)
        else:
            by_import.setdefault(row["import"], []).append(row["id"])
    for _, ids in sorted(by_import.items()):
        for begin in range(0, len(ids), parsing.CHUNK_ROWS):
            yield ids[begin : begin + parsing.CHUNK_ROWS]


def _retry(retrying: _Retrying, piece: list[int]) -> None:
    ledger, report, clock = retrying.ledger, retrying.report, retrying.clock
    found = ((number, ledger.rejects.find(number)) for number in piece)
    # What another command has closed since it was selected is not read again.
    rows = {number: row for number, row in found if row is not None and row["closed_at"] is None}
    read = _parts(rows, retrying)
    rows = {number: row for number, row in rows.items() if number in read}
    if not rows:
        return
    row = next(iter(rows.values()))
    target = ledger.imports.begin(provenance_of(row, retrying.settings), clock())
    events = [(event, rows[number]["raw"]) for number, part in read.items() for event in part.events]
    rejections = [rejection for part in read.values() for rejection in part.rejections]
    raws = {row["line"]: row["raw"] for row in rows.values()}
    usage = UsageColumns.of([event for event, _ in events], [raw for _, raw in events])
    written = ledger.imports.write_chunk(
        target, UsageColumns.joined([usage]), rejections, raws.__getitem__, clock()
    )
    for number in rows:
        if _close(retrying, target, number, read[number]):
            report.closed += 1
        else:
            _list_refused(report, ledger.rejects.find(number))
    ledger.imports.finish(target, clock())
    report.counts.add(written.counts)
    report.imports.append(
        RetriedImport(
            id=target.id if report.committed else None,
            retry_of=row["import"],
            source=row["source"],
            file=row["file"],
            counts=written.counts,
        )
    )


def _parts(rows: Mapping[int, Row], retrying: _Retrying) -> dict[int, ReadAgain]:
    """Read refused rows again, and return of each what it was refused for."""
    parts: dict[int, ReadAgain] = {}
    if not rows:
        return parts
    source = source_of(next(iter(rows.values())), retrying.settings)
    rules = rules_for(retrying.ledger, retrying.settings, source)
    for number, read in read_each(rows, rules, retrying.unread).items():
        part = part_of(rows[number], read)
        if part is None:
            retrying.unread.add(
                number, "by today's config its row holds no usage of its request_id or feature"
            )
        else:
            parts[number] = part
    return parts


def part_of(row: Row, read: ReadAgain) -> ReadAgain | None:
    """
    Return what a refused row is of a row that was read again; None if it is nothing of it.

    A wide row gives several usage events. Another one of them is no answer: what was refused would be
    lost, and what a person has dismissed would be billed.
    """
    if row["feature"] is None:
        return read
    if event := usage_of(row, read):
        return ReadAgain(events=[event])
    same = [one for one in read.rejections if one.feature in (None, row["feature"])]
    if not same and not read.events:
        same = read.rejections
    return ReadAgain(rejections=same[:1]) if same else None


def usage_of(row: Row, read: ReadAgain) -> UsageEvent | None:
    """Return the usage event of a refused row: that of its usage key, else of its feature."""
    for name in ("request_id", "feature"):
        same = [event for event in read.events if getattr(event, name) == row[name]]
        if len(same) == 1:
            return same[0]
    return None


def _close(retrying: _Retrying, target: OpenImport, number: int, part: ReadAgain) -> bool:
    """Close a refused row if what it was refused for is usage now; tells whether it is."""
    if not part.events:
        return False
    rejects = retrying.ledger.rejects
    # None where its usage is there under its identifier and another usage key.
    stored = rejects.stored_usage(part.events[0].request_id, target.source)
    accepted_as = stored["id"] if stored else None
    return rejects.close_read_again(number, target.id, accepted_as, retrying.clock())


def _list_refused(report: RetryReport, row: Row | None) -> None:
    if row is not None and len(report.refused) < REJECTIONS_REPORTED:
        report.refused.append(
            StillRefused(
                id=row["id"],
                file=row["file"],
                line=row["line"],
                reason=row["reason"],
                message=row["message"],
            )
        )
