"""The import of one followed file, from its first row to the end of the run or of the file."""

from collections.abc import Callable
from dataclasses import dataclass

from meterledger import __version__
from meterledger.config import Settings
from meterledger.domain.instant import Instant
from meterledger.domain.place import Place
from meterledger.domain.row_rules import RowRules
from meterledger.ledger import Ledger
from meterledger.ledger.imports import Counts, OpenImport, Provenance
from meterledger.readers import InputFile
from meterledger.readers.growing_file import GrowingFile, GrowingInput
from meterledger.usecases.import_usage import (
    FileReport,
    ImportOptions,
    ImportReport,
    count_settled,
    list_refused,
    mapping_text,
    rules_for,
)
from meterledger.usecases.mapping_hint import mapping_hint
from meterledger.usecases.parsing import parsed_chunks


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is said while a run goes on; each is called with text for people."""

    note: Callable[[str], None] = lambda _text: None
    warn: Callable[[str], None] = lambda _text: None
    batch: Callable[[str, Counts, int], None] = lambda _file, _counts, _line: None
    """Called with the file, what became of the rows just taken, and the last line that was taken."""


@dataclass(slots=True, kw_only=True)
class Following:
    """One run."""

    ledger: Ledger
    settings: Settings
    options: ImportOptions
    clock: Callable[[], Instant]
    words: Words
    report: ImportReport
    is_waiting: bool = True
    """Whether it waits for what is not there yet; else it takes what is there, and ends."""
    waits: int = 0
    """How often the run has waited so far."""
    _rules: tuple[int, RowRules] | None = None

    def rules(self) -> RowRules:
        """Return how rows are judged now: a run may last for months, and customers files come meanwhile."""
        latest = self.ledger.customers.latest_file()
        if self._rules is None or self._rules[0] != latest:
            self._rules = latest, rules_for(self.ledger, self.settings, self.options.source)
        return self._rules[1]


class FollowedImport:
    """
    Writes what one input brings, and how far it was taken, together.

    An import is begun with the first rows, so that a run that finds none leaves no trace.
    """

    def __init__(self, run: Following, file: GrowingInput, path: str | None) -> None:
        self._run = run
        self._file = file
        self._path = path
        self._target: OpenImport | None = None
        self._started: Instant = 0
        self._report = FileReport(file=file.name, sha256=file.sha256)
        run.report.files.append(self._report)

    def write(self, rows: InputFile, place: Place | None) -> None:
        """
        Write rows, and the place behind them, in one transaction.

        Raises:
            InputError: The header lacks a required column; nothing was written.
        """
        run, ledger = self._run, self._run.ledger
        # Read before anything is recorded: a file with a wrong header leaves no trace.
        chunks = list(parsed_chunks(rows, run.rules()))
        if chunks and self._target is None:
            hint = mapping_hint(self._file.name, rows.input_format, chunks[0], run.rules())
            run.report.hints += [hint] if hint else []
        counts = Counts()
        conflicts = []
        with ledger.database.transaction():
            if chunks and self._target is None:
                self._started = run.clock()
                self._target = ledger.imports.begin(self._provenance(), self._started)
            for chunk in chunks:
                if self._target is None:
                    raise AssertionError("unreachable: it was begun for these chunks")
                written = ledger.imports.write_chunk(
                    self._target, chunk.usage, chunk.rejections, chunk.raws.of, run.clock()
                )
                counts.add(written.counts)
                conflicts.append((chunk, written.conflicts))
            self.keep(place)
        for chunk, found in conflicts:
            list_refused(run.report, self._file.name, chunk, found)
        self._report.counts.add(counts)
        self._report.sha256 = self._file.sha256
        self._report.id = self._target.id if self._target else None
        run.report.counts.add(counts)
        if counts.rows_read:
            run.words.batch(self._file.name, counts, self._file.lines_taken)

    def finish(self) -> None:
        """Record that all was taken that there was to take, in this run."""
        if self._target is not None:
            self._run.ledger.imports.finish(self._target, self._run.clock())
            count_settled(self._run.ledger, self._report, before=self._started)
        self._report.complete = True

    def give_up(self) -> None:
        """Finish it though its file cannot be read any further; if nothing was read, it never was."""
        if self._target is None:
            self._run.report.files.remove(self._report)
        self.finish()

    def keep(self, place: Place | None) -> None:
        """Record what was taken, and the place behind it where there is one."""
        run, file, target = self._run, self._file, self._target
        if target is not None:
            run.ledger.followed.note_taken(target, file.sha256, file.bytes_taken)
        if place is not None and self._path is not None:
            run.ledger.followed.keep(run.options.source.name, self._path, place, target, run.clock())

    def _provenance(self) -> Provenance:
        run, file = self._run, self._file
        return Provenance(
            source=run.options.source.name,
            file=file.name,
            path=file.path if isinstance(file, GrowingFile) else None,
            sha256=file.sha256,
            size_bytes=file.bytes_taken,
            input_format=file.input_format,
            delimiter=file.delimiter,
            header=file.header,
            mapping=mapping_text(run.options.source),
            config_digest=run.settings.import_digest(run.options.source),
            program_version=__version__,
            backfill=run.options.backfill,
            already_billed=run.options.already_billed,
            keeps_identifier=run.options.source.keeps_identifier,
            first_of_source=run.ledger.imports.is_first_of(run.options.source.name),
        )
