"""Batches: many rows at once, by columns where a file allows it, row by row where it does not."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat

from meterledger.errors import IncompleteInputError
from meterledger.readers.raw_rows import RawRow


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows one by one, each with its line, its fields or what is wrong with it, and its text."""

    rows: Sequence[RawRow]

    @property
    def lines(self) -> Sequence[int]:
        """The lines on which rows start."""
        return [line for line, _, _ in self.rows]

    @property
    def shares_lines(self) -> bool:
        """Whether several rows start on one line, as they may in a JSON array."""
        return len({line for line, _, _ in self.rows}) < len(self.rows)

    def texts(self) -> tuple[Sequence[int], Sequence[str]]:
        """Return the lines on which rows start, and their texts."""
        return self.lines, [raw for _, _, raw in self.rows]


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """Rows of one line each, without anything wrong: their fields by columns, None for an absent column."""

    first_line: int
    text: str
    columns: Sequence[Sequence[str | None] | None]
    count: int
    longest: int
    """Characters of the longest row."""
    has_blanks: bool
    """Whether any field may have white space at its ends."""

    @property
    def lines(self) -> Sequence[int]:
        """The lines on which rows start."""
        return range(self.first_line, self.first_line + self.count)

    def texts(self) -> tuple[int, str]:
        """Return the first line, and the text of all lines."""
        return self.first_line, self.text

    def rows(self) -> Iterator[RawRow]:
        """Yield the rows one by one."""
        columns = [column or repeat(None, self.count) for column in self.columns]
        texts = (f"{text}\n" for text in self.text.split("\n"))
        yield from zip(self.lines, zip(*columns, strict=True), texts, strict=False)


Batch = RowBatch | ColumnBatch


def row_batches(rows: Iterable[RawRow], at_most: int) -> Iterator[RowBatch]:
    """Put rows together, so many at a time; what came before an end that is none is a batch too."""
    rows = iter(rows)
    while True:
        batch: list[RawRow] = []
        try:
            for row in islice(rows, at_most):
                batch.append(row)  # noqa: PERF402 # extend need not keep what came before an error
        except IncompleteInputError:
            if batch:
                yield RowBatch(batch)
            raise
        if not batch:
            return
        yield RowBatch(batch)
