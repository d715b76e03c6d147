"""Import: usage files into the ledger, every row accounted for."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from meterledger import __version__
from meterledger.config import Settings, Source
from meterledger.domain.exported_row import RowForm, is_json_export
from meterledger.domain.instant import Instant
from meterledger.domain.usage import Conflict, Rejection
from meterledger.errors import InputError
from meterledger.ledger import Ledger
from meterledger.ledger.imports import Counts, Provenance
from meterledger.readers import InputFile, InputFormat, first_record, open_input
from meterledger.usecases.parsing import ParsedChunk
from meterledger.usecases.parsing_process import chunks_of
from meterledger.usecases.planning import refuse_coarser_scale

REJECTIONS_REPORTED = 100
"""Refused rows that a report lists; all are in the ledger."""

CSV_DELIMITER = ","


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the user asked for."""

    files: Sequence[str]
    source: Source
    input_format: InputFormat | None = None
    dry_run: bool = False
    strict: bool = False
    again: bool = False
    backfill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A refused row as reports show it; conflicts have the reason ``conflict``."""

    file: str
    line: int
    reason: str
    message: str


@dataclass(slots=True, kw_only=True)
class FileReport:
    """What became of one file."""

    file: str
    sha256: str
    id: int | None = None
    skipped: bool = False
    complete: bool = False
    counts: Counts = field(default_factory=Counts)


@dataclass(slots=True, kw_only=True)
class ImportReport:
    """What became of every file of one command."""

    committed: bool
    counts: Counts = field(default_factory=Counts)
    files: list[FileReport] = field(default_factory=list)
    rejections: list[Refused] = field(default_factory=list)
    conflicts: list[Refused] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    """How many rows were rejected for which reason, over all files that were read."""
    failed: list[InputError] = field(default_factory=list)
    """Files that could not be read at all."""

    @property
    def has_refused(self) -> bool:
        """Tell whether any row was refused."""
        return bool(self.counts.rejected or self.counts.conflicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Called as a file is read: when it begins with its size, and as bytes and rows come in."""

    begin: Callable[[str, int], None] = lambda _file, _size: None
    advance: Callable[[int, int], None] = lambda _bytes_read, _rows_read: None


class _NothingImportedError(Exception):
    """Rolls a whole command back: a dry run, or a strict one that met a refused row."""


@dataclass(slots=True, kw_only=True)
class _Importing:
    """One command while it runs."""

    ledger: Ledger
    settings: Settings
    options: ImportOptions
    clock: Callable[[], Instant]
    progress: Progress
    report: ImportReport
    is_first: bool


def import_usage(
    ledger: Ledger,
    settings: Settings,
    options: ImportOptions,
    *,
    clock: Callable[[], Instant],
    progress: Progress | None = None,
) -> ImportReport:
    """
    Read files into the ledger.

    Chunks are committed one by one, so that a killed import keeps what it had and the same command
    completes it. With ``dry_run``, or ``strict`` and a refused row, nothing is kept.
    """
    refuse_coarser_scale(ledger, settings)
    report = ImportReport(committed=not options.dry_run)
    importing = _Importing(
        ledger=ledger,
        settings=settings,
        options=options,
        clock=clock,
        progress=progress or Progress(),
        report=report,
        is_first=ledger.imports.is_first_of(options.source.name),
    )
    if not (options.dry_run or options.strict):
        _import_files(importing)
        return report
    try:
        with ledger.database.transaction():
            _import_files(importing)
            _keep_nothing_if(options.dry_run or report.has_refused or bool(report.failed))
    except _NothingImportedError:
        report.committed = False
        ledger.imports.forget_names()
        for file in report.files:
            file.id = file.id if file.skipped else None
    return report


def _keep_nothing_if(condition: bool) -> None:  # noqa: FBT001 # one condition is all there is
    if condition:
        raise _NothingImportedError


def _import_files(importing: _Importing) -> None:
    for name in importing.options.files:
        try:
            with open_input(name, importing.options.input_format) as file:
                _import_file(importing, file)
        except InputError as error:
            importing.report.failed.append(error)


def _import_file(importing: _Importing, file: InputFile) -> None:
    options, settings, report = importing.options, importing.settings, importing.report
    file_report = FileReport(file=file.name, sha256=file.sha256)
    digest = settings.import_digest(options.source)
    if not options.again and _skip(importing, file_report, digest):
        return
    header, exported = _form(file)
    chunks = chunks_of(file, options.source, settings.catalogue)
    # The first chunk is read before anything is recorded: a file with a wrong header leaves no trace.
    chunk = next(chunks, None)
    provenance = Provenance(
        source=options.source.name,
        file=file.name,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        input_format=file.input_format,
        delimiter=CSV_DELIMITER if header else None,
        header=header,
        exported=exported,
        config_digest=digest,
        program_version=__version__,
        backfill=options.backfill,
        first_of_source=importing.is_first,
    )
    imports = importing.ledger.imports
    target = imports.begin(provenance, importing.clock())
    file_report.id = target.id
    report.files.append(file_report)
    importing.progress.begin(file.name, file.size_bytes)
    while chunk is not None:
        written = imports.write_chunk(target, chunk.events, chunk.rejections, importing.clock())
        file_report.counts.add(written.counts)
        report.counts.add(written.counts)
        _list_refused(report, file.name, chunk, written.conflicts)
        importing.progress.advance(chunk.bytes_read, written.counts.rows_read)
        chunk = next(chunks, None)
    imports.finish(target, importing.clock())
    file_report.complete = True


def _form(file: InputFile) -> tuple[str | None, RowForm | None]:
    """Return the header of a CSV file, and how rows name refused rows if the file is an export of them."""
    first = first_record(file) or ""
    if file.input_format is InputFormat.CSV:
        form = RowForm(delimiter=CSV_DELIMITER)
        own = form.own_header(first)
        return (own, form) if own is not None else (first, None)
    return None, RowForm(delimiter=None) if is_json_export(first) else None


def _skip(importing: _Importing, file_report: FileReport, digest: str) -> bool:
    """Skip a file imported whole before; its counts are those that reading it again would give."""
    source = importing.options.source.name
    known = importing.ledger.imports.whole_import_of(file_report.sha256, source, digest)
    if known is None:
        return False
    file_report.id, file_report.skipped, file_report.complete = known["id"], True, True
    file_report.counts = Counts(
        rows_read=known["rows_read"],
        duplicates=known["accepted"] + known["duplicates"],
        conflicts=known["conflicts"],
        rejected=known["rejected"],
    )
    importing.report.counts.add(file_report.counts)
    importing.report.files.append(file_report)
    return True


def _list_refused(report: ImportReport, file: str, chunk: ParsedChunk, conflicts: Sequence[Conflict]) -> None:
    report.reasons.update(rejection.reason.value for rejection in chunk.rejections)
    room = REJECTIONS_REPORTED - len(report.rejections)
    report.rejections.extend(_refused(file, rejection) for rejection in chunk.rejections[:room])
    room = REJECTIONS_REPORTED - len(report.conflicts)
    report.conflicts.extend(
        Refused(file=file, line=conflict.line, reason="conflict", message=conflict.message)
        for conflict in conflicts[:room]
    )


def _refused(file: str, rejection: Rejection) -> Refused:
    return Refused(file=file, line=rejection.line, reason=rejection.reason.value, message=rejection.message)
