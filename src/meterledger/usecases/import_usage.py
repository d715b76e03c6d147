"""Import: usage files into the ledger, every row accounted for."""

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from meterledger import __version__
from meterledger.config import Settings, Source
from meterledger.domain.exported_row import RowForm, is_json_export
from meterledger.domain.instant import Instant
from meterledger.domain.row_rules import RowRules
from meterledger.domain.usage import Conflict, Rejection
from meterledger.errors import IncompleteInputError, InputError, MeterledgerError, UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.imports import Counts, Provenance
from meterledger.readers import DELIMITED, InputFile, InputFormat, expand_names, first_record, open_input
from meterledger.readers.files import STDIN
from meterledger.usecases.known_content import other_source_warning, refuse_other_billing, skip_notice
from meterledger.usecases.mapping_hint import in_words_of_preset, mapping_hint
from meterledger.usecases.parsing import ParsedChunk
from meterledger.usecases.parsing_process import chunks_of
from meterledger.usecases.planning import refuse_coarser_scale
from meterledger.usecases.refused_groups import RefusedGroups

REJECTIONS_REPORTED = 100
"""Refused rows that a report lists; all are in the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the user asked for."""

    files: Sequence[str]
    source: Source
    input_format: InputFormat | None = None
    delimiter: str | None = None
    dry_run: bool = False
    strict: bool = False
    again: bool = False
    backfill: bool = False
    already_billed: bool = False
    """An older system told Stripe of this usage: it counts, and is never sent."""


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
    settled: int = 0
    """Refused rows that need no person: each was settled before this command."""


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
    groups: RefusedGroups = field(default_factory=RefusedGroups)
    """Every refused row of the files that were read, by what was wrong with it."""
    hints: list[str] = field(default_factory=list)
    """What to map, of files whose rows have other fields than their source says."""
    failed: list[MeterledgerError] = field(default_factory=list)
    """Files that could not be read at all, or that were refused as a whole."""
    left_out: int = 0
    """How many files of folders were left out, because their names tell no format."""
    warnings: list[str] = field(default_factory=list)

    @property
    def has_refused(self) -> bool:
        """Tell whether any row was refused."""
        return bool(self.counts.rejected or self.counts.conflicts)

    @property
    def settled(self) -> int:
        """How many of the refused rows were settled before this command."""
        return sum(file.settled for file in self.files)

    @property
    def unsettled(self) -> int:
        """How many of the refused rows need a person."""
        return self.counts.rejected + self.counts.conflicts - self.settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Called when a file begins, with its size, as bytes and rows come in, and with what is to be said."""

    begin: Callable[[str, int], None] = lambda _file, _size: None
    advance: Callable[[int, int], None] = lambda _bytes_read, _rows_read: None
    notice: Callable[[str], None] = lambda _message: None
    warn: Callable[[str], None] = lambda _message: None


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
    rules: RowRules
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
    if not _is_config_of_last_import(ledger, settings, options.source):
        refuse_coarser_scale(ledger, settings)
    report = ImportReport(committed=not options.dry_run)
    importing = _Importing(
        ledger=ledger,
        settings=settings,
        options=options,
        clock=clock,
        progress=progress or Progress(),
        report=report,
        rules=rules_for(ledger, settings, options.source),
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


def _is_config_of_last_import(ledger: Ledger, settings: Settings, source: Source) -> bool:
    """Tell whether the meters are those of the last import, so that no scale can have become coarser."""
    last = ledger.imports.last_import()
    return last is not None and last["config_digest"] == settings.import_digest(
        source if last["source"] == source.name else settings.sources.get(last["source"], source)
    )


def rules_for(ledger: Ledger, settings: Settings, source: Source) -> RowRules:
    """Return what decides whether rows of a source are accepted, as config and ledger say now."""
    return RowRules(
        source=source,
        catalogue=settings.catalogue,
        customers=ledger.customers.book(),
        plans=settings.plan_features,
    )


def mapping_text(source: Source) -> str:
    """Return how the rows of a source are read, as an import keeps it."""
    return json.dumps(source.as_mapping(), ensure_ascii=False)


def _keep_nothing_if(condition: bool) -> None:  # noqa: FBT001 # one condition is all there is
    if condition:
        raise _NothingImportedError


def _import_files(importing: _Importing) -> None:
    options = importing.options
    names = expand_names(options.files)
    importing.report.failed += names.failed
    importing.report.left_out = names.left_out
    for name in names.files:
        try:
            with open_input(
                name, options.input_format, delimiter=options.delimiter or options.source.delimiter
            ) as file:
                _import_file(importing, file, path_of(name))
        except InputError as error:
            importing.report.failed.append(in_words_of_preset(error, options.source))
        except UsageError as error:
            importing.report.failed.append(error)


def path_of(name: str) -> str | None:
    """Return where a file is, for good; None for standard input, and for a path that is no text."""
    path = os.path.abspath(name)  # noqa: PTH100 # links stay as they are named: what they lead to may change
    try:
        path.encode()
    except UnicodeEncodeError:
        return None
    return None if name == STDIN else path


def _import_file(importing: _Importing, file: InputFile, path: str | None) -> None:
    options, settings, report = importing.options, importing.settings, importing.report
    file_report = FileReport(file=file.name, sha256=file.sha256)
    digest = settings.import_digest(options.source)
    if options.already_billed:
        refuse_other_billing(importing.ledger, file.name, file.sha256, options.source.name)
    if not options.again and _skip(importing, file_report, digest):
        return
    _refuse_or_warn_of_other_source(importing, file)
    header, exported = _form(file)
    chunks = chunks_of(file, importing.rules)
    # The first chunk is read before anything is recorded: a file with a wrong header leaves no trace.
    chunk = next(chunks, None)
    if chunk and (hint := mapping_hint(file.name, file.input_format, chunk, importing.rules)):
        report.hints.append(hint)
    provenance = Provenance(
        source=options.source.name,
        file=file.name,
        path=path,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        input_format=file.input_format,
        mapping=mapping_text(options.source),
        compression=file.compression,
        delimiter=file.delimiter if header else None,
        header=header,
        exported=exported,
        config_digest=digest,
        program_version=__version__,
        backfill=options.backfill,
        keeps_identifier=options.source.keeps_identifier,
        already_billed=options.already_billed,
        first_of_source=importing.is_first,
    )
    imports = importing.ledger.imports
    started = importing.clock()
    target = imports.begin(provenance, started)
    file_report.id = target.id
    report.files.append(file_report)
    importing.progress.begin(file.name, file.size_bytes)
    try:
        while chunk is not None:
            written = imports.write_chunk(
                target, chunk.usage, chunk.rejections, chunk.raws.of, importing.clock()
            )
            file_report.counts.add(written.counts)
            report.counts.add(written.counts)
            list_refused(report, file.name, chunk, written.conflicts)
            importing.progress.advance(chunk.bytes_read, written.counts.rows_read)
            chunk = next(chunks, None)
    except IncompleteInputError as error:
        imports.mark_incomplete(target, error.message)
        raise
    imports.finish(target, importing.clock())
    file_report.complete = True
    count_settled(importing.ledger, file_report, before=started)
    _warn_of_no_rows(importing, file_report)
    _warn_of_usage_to_be_sent(importing, file_report)


def _refuse_or_warn_of_other_source(importing: _Importing, file: InputFile) -> None:
    source = importing.options.source.name
    warning = other_source_warning(importing.ledger, file.name, file.sha256, source)
    if warning and importing.options.strict:
        raise UsageError(warning, hint="--strict imports nothing then; without it this is a warning")
    if warning:
        _warn(importing, warning)


def _warn_of_no_rows(importing: _Importing, file_report: FileReport) -> None:
    if not file_report.counts.rows_read:
        _warn(importing, f"{file_report.file} has no rows")


def _warn_of_usage_to_be_sent(importing: _Importing, file_report: FileReport) -> None:
    """Say that calling usage already billed does not change usage that the ledger has as other."""
    duplicates = file_report.counts.duplicates
    source = importing.options.source.name
    if importing.options.already_billed and duplicates and importing.ledger.imports.has_unsealed(source):
        _warn(
            importing,
            f"{file_report.file}: {duplicates} of its rows were in the ledger before and stay what they are; "
            "what waits to be sent of them is still sent: see `meterledger preview`",
        )


def _warn(importing: _Importing, warning: str) -> None:
    importing.report.warnings.append(warning)
    importing.progress.warn(warning)


def _form(file: InputFile) -> tuple[str | None, RowForm | None]:
    """Return the header of a file that has one, and its form if it is an export of refused rows."""
    first = first_record(file) or ""
    if file.input_format in DELIMITED:
        form = RowForm(delimiter=file.delimiter)
        own = form.own_header(first)
        return (own, form) if own is not None else (first, None)
    return None, RowForm(delimiter=None) if is_json_export(first) else None


def _skip(importing: _Importing, file_report: FileReport, digest: str) -> bool:
    """Skip a file imported whole before; its counts are those that reading it again would give."""
    options = importing.options
    known = importing.ledger.imports.whole_import_of(file_report.sha256, options.source.name, digest)
    if known is None or (options.already_billed and not known["already_billed"]):
        return False
    importing.progress.notice(skip_notice(file_report.file, known))
    file_report.id, file_report.skipped, file_report.complete = known["id"], True, True
    file_report.counts = Counts(
        rows_read=known["rows_read"],
        duplicates=known["accepted"] + known["duplicates"],
        conflicts=known["conflicts"],
        rejected=known["rejected"],
    )
    count_settled(importing.ledger, file_report, before=importing.clock())
    importing.report.counts.add(file_report.counts)
    importing.report.files.append(file_report)
    _warn_of_no_rows(importing, file_report)
    return True


def count_settled(ledger: Ledger, file_report: FileReport, *, before: Instant) -> None:
    """Count the refused rows of a file that were closed before an instant: they need no person any more."""
    if file_report.id is not None and (file_report.counts.rejected or file_report.counts.conflicts):
        file_report.settled = ledger.reports.settled_rejects_of(file_report.id, before=before)


def list_refused(report: ImportReport, file: str, chunk: ParsedChunk, conflicts: Sequence[Conflict]) -> None:
    """Take the refused rows of a chunk into a report, as far as it has room."""
    report.reasons.update(rejection.reason.value for rejection in chunk.rejections)
    for rejection in chunk.rejections:
        report.groups.add_rejection(
            file, rejection.line, rejection.reason.value, rejection.message, rejection.feature
        )
    for conflict in conflicts:
        fields = " ".join(difference.field for difference in conflict.differences)
        report.groups.add(file, conflict.line, "conflict", conflict.message, shape=fields)
    room = REJECTIONS_REPORTED - len(report.rejections)
    report.rejections.extend(_refused(file, rejection) for rejection in chunk.rejections[:room])
    room = REJECTIONS_REPORTED - len(report.conflicts)
    report.conflicts.extend(
        Refused(file=file, line=conflict.line, reason="conflict", message=conflict.message)
        for conflict in conflicts[:room]
    )


def _refused(file: str, rejection: Rejection) -> Refused:
    return Refused(file=file, line=rejection.line, reason=rejection.reason.value, message=rejection.message)
