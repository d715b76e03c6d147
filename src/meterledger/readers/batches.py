"""Many rows at once: by columns where a file allows it, row by row where it does not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat

from meterledger.readers.files import InputFile
from meterledger.readers.rows import RawRow, Wanted, read_rows


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows one by one, each with its line, its fields or what is wrong with it, and its text."""

    rows: Sequence[RawRow]

    def texts(self) -> tuple[Sequence[int], Sequence[str]]:
        """Return the lines on which rows start, and their texts."""
        return [line for line, _, _ in self.rows], [raw for _, _, raw in self.rows]


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """Rows of one line each, without anything wrong: their fields by columns, None for an absent column."""

    first_line: int
    text: str
    columns: Sequence[Sequence[str] | None]
    count: int

    def texts(self) -> tuple[int, str]:
        """Return the first line, and the text of all lines."""
        return self.first_line, self.text

    def rows(self) -> Iterator[RawRow]:
        """Yield the rows one by one."""
        lines = range(self.first_line, self.first_line + self.count)
        columns = [column or repeat(None, self.count) for column in self.columns]
        texts = (f"{text}\n" for text in self.text.split("\n"))
        yield from zip(lines, zip(*columns, strict=True), texts, strict=False)


def read_batches(file: InputFile, wanted: Wanted, rows_at_most: int) -> Iterator[RowBatch | ColumnBatch]:
    """Read the rows of a file, lazily, so many at a time; raises what `read_rows` raises."""
    rows = read_rows(file, wanted)
    while batch := list(islice(rows, rows_at_most)):
        yield RowBatch(batch)
