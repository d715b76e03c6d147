"""From a file to chunks of checked rows, in this process or beside it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from meterledger.domain.column_check import Column, ColumnCheck, Shape
from meterledger.domain.row_check import RowCheck, Unmapped, Values
from meterledger.domain.row_mapping import RowMapping
from meterledger.domain.row_rules import RowRules
from meterledger.domain.usage import Rejection, UsageEvent, kept_raw
from meterledger.domain.usage_columns import UsageColumns
from meterledger.errors import IncompleteInputError
from meterledger.readers import InputFile, RawRow, RowProblem, Wanted, read_rows
from meterledger.readers.batches import Batch, ColumnBatch, RowBatch

CHUNK_ROWS = 16_000
"""Rows of one chunk, or a few more: one transaction, and all that an import holds in memory."""
BATCH_ROWS = 16_000
"""Rows that are checked together: where one of them is not plainly good, all are checked one by one."""

MappedRow = tuple[int, Values | RowProblem | Unmapped, str]
"""The line a row starts on, its fields in canonical order or why there are none, and its text."""
_NO_ROWS = (RowProblem, Unmapped)

Texts = tuple[int, str] | tuple[Sequence[int], Sequence[str]]
"""The first of consecutive lines with their text, or lines with the text of the row on each."""


@dataclass(slots=True)
class RawTexts:
    """The texts of the rows of a chunk: looked up seldom, and so kept as they come."""

    parts: Sequence[Texts]
    _by_line: dict[int, str] = field(default_factory=dict)

    def of(self, line: int) -> str:
        """Return the text of the row that starts on a line."""
        if not self._by_line:
            for lines, texts in self.parts:
                if isinstance(lines, int):
                    self._by_line.update(enumerate(str(texts).split("\n"), lines))
                else:
                    self._by_line.update(zip(lines, texts, strict=True))
        return self._by_line[line]


@dataclass(frozen=True, slots=True)
class ParsedChunk:
    """The rows of one chunk, checked: usage in parts as it was read, rejections in file order."""

    parts: Sequence[UsageColumns]
    rejections: Sequence[Rejection]
    raws: RawTexts
    bytes_read: int
    """How far the file was read when the chunk was complete."""

    @property
    def usage(self) -> UsageColumns:
        """All parts together, in the order of request_id."""
        return UsageColumns.joined(self.parts)


def parsed_chunks(file: InputFile, rules: RowRules) -> Iterator[ParsedChunk]:
    """
    Read, check and cut a file into chunks.

    Raises:
        InputError: It is not readable as its format.
        IncompleteInputError: It cannot be read on, after a chunk with the rows before that.
    """
    mapping = RowMapping(rules.source, rules.catalogue)
    checker = _Checker(
        RowCheck(rules.catalogue, rules.source, customers=rules.customers, plans=rules.plans), mapping
    )
    rows = read_rows(file, Wanted(mapping.names, mapping.required))
    broken_off: IncompleteInputError | None = None
    try:
        for batch in rows.batches(min(BATCH_ROWS, CHUNK_ROWS)):
            checker.take(batch)
            if checker.rows_taken >= CHUNK_ROWS:
                yield checker.chunk(file.file.tell())
    except IncompleteInputError as error:
        broken_off = error
    if checker.rows_taken:
        yield checker.chunk(file.file.tell())
    if broken_off:
        raise broken_off


class _Checker:
    """Checks batch by batch, and gathers what becomes of the rows until a chunk is full."""

    def __init__(self, check: RowCheck, mapping: RowMapping) -> None:
        self._check = check
        self._mapping = mapping
        self._columns = ColumnCheck(check)
        self._begin()

    def _begin(self) -> None:
        self.rows_taken = 0
        self._usage: list[UsageColumns] = []
        self._rejections: list[Rejection] = []
        self._texts: list[Texts] = []

    def take(self, batch: Batch) -> None:
        """Check the rows of a batch: together, or one by one where any of them is not plainly good."""
        rejected = len(self._rejections)
        if isinstance(batch, ColumnBatch) and self._mapping.is_plain:
            usage = self._columns.check(batch.columns, batch.lines, Shape(batch.has_blanks, batch.longest))
            if usage is None:
                usage = self._one_by_one(batch.rows())
        else:
            rows = list(self._mapped(batch.rows() if isinstance(batch, ColumnBatch) else batch.rows))
            # Where a line alone does not tell a row, each keeps its text.
            with_raws = isinstance(batch, RowBatch) and batch.shares_lines
            usage = self._together(rows, with_raws=with_raws) or self._one_by_one(rows, with_raws=with_raws)
        self._usage.append(usage)
        self._texts.append(batch.texts())
        self.rows_taken += len(usage) + len(self._rejections) - rejected

    def chunk(self, bytes_read: int) -> ParsedChunk:
        """Return what was gathered, and begin the next chunk."""
        chunk = ParsedChunk(self._usage, self._rejections, RawTexts(self._texts), bytes_read)
        self._begin()
        return chunk

    def _mapped(self, rows: Iterable[RawRow]) -> Iterable[MappedRow]:
        """Return the usage rows that each row of a source becomes."""
        if self._mapping.is_plain:
            return rows
        return (
            (line, row, raw)
            for line, values, raw in rows
            for row in ([values] if isinstance(values, RowProblem) else self._mapping.rows(values))
        )

    def _together(self, rows: Sequence[MappedRow], *, with_raws: bool) -> UsageColumns | None:
        if any(type(values) in _NO_ROWS for _, values, _ in rows):
            return None
        columns: list[Column] = list(zip(*(values for _, values, _ in rows), strict=True))
        usage = self._columns.check(columns, [line for line, _, _ in rows], Shape())
        if usage is None or not with_raws:
            return usage
        return replace(usage, raws=[raw for _, _, raw in rows])

    def _one_by_one(self, rows: Iterable[MappedRow], *, with_raws: bool = False) -> UsageColumns:
        events: list[UsageEvent] = []
        raws: list[str] = []
        for row in rows:
            checked = self._checked(row)
            if isinstance(checked, Rejection):
                self._rejections.append(checked)
            else:
                events.append(checked)
                raws.append(row[2])
        return UsageColumns.of(events, raws if with_raws else None)

    def _checked(self, row: MappedRow) -> UsageEvent | Rejection:
        line, values, raw = row
        if isinstance(values, RowProblem):
            return Rejection(line=line, reason=values.reason, message=values.message, raw=kept_raw(raw))
        if isinstance(values, Unmapped):
            return self._check.refuse(line, values, raw)
        return self._check.check(line, values, raw)
