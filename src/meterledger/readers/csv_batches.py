"""CSV by columns: blocks of lines that hold nothing unusual are cut all at once."""

import csv
from collections.abc import Iterator, Sequence

from meterledger.readers.batches import Batch, ColumnBatch, RowBatch
from meterledger.readers.csv_rows import Header, csv_rows
from meterledger.readers.lines import MAX_ROW_BYTES, PhysicalLines


def csv_batches(lines: PhysicalLines, header: Header, delimiter: str, at_most: int) -> Iterator[Batch]:
    """Read the rows behind a header, so many lines at a time, by columns wherever that gives the same."""
    while block := lines.take_block(at_most):
        first = lines.taken - len(block) + 1
        unusual = lines.has_foreign_bytes or lines.oversized or header.groups
        batch = None if unusual else _columns(block, header, delimiter, first)
        if batch is not None:
            yield batch
            continue
        lines.give_back(block)
        # A quoted field may reach beyond the block; its row is read to its end.
        last = first + len(block) - 1
        reader = csv_rows(lines, header, delimiter)
        if rows := list(iter(lambda: next(reader, None) if lines.taken < last else None, None)):  # noqa: B023 # used at once
            yield RowBatch(rows)


def _columns(block: Sequence[str], header: Header, delimiter: str, first_line: int) -> ColumnBatch | None:
    """Return lines that are a row each by the wanted columns; None where they may be something else."""
    text = "".join(block)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    longest = max(map(len, block))
    if "\r" in text or longest * 4 > MAX_ROW_BYTES:
        return None
    if not text.endswith("\n"):
        text += "\n"
    # Where line ends are all the white space there is, the words are the lines.
    words = text.split()
    has_blanks = len(words) != len(block) or len(text) - sum(map(len, words)) != len(block)
    lines = text.split("\n")[:-1] if has_blanks else words
    width, is_quoted = header.width, '"' in text
    fields = _quoted(lines, header, delimiter) if is_quoted else _plain(text, lines, width, delimiter)
    if fields is None:
        return None
    return ColumnBatch(
        first_line=first_line,
        text=text,
        columns=[fields[at] if at < width else None for at in header.positions],
        count=len(block),
        longest=longest,
        has_blanks=has_blanks or is_quoted,
    )


def _plain(text: str, lines: Sequence[str], width: int, delimiter: str) -> Sequence[Sequence[str]] | None:
    if {line.count(delimiter) for line in lines} != {width - 1} or "" in lines:
        return None
    # One cut through the whole text, and each column is every so-manieth of its pieces.
    fields = text.replace("\n", delimiter).split(delimiter)
    fields.pop()
    return [fields[at::width] for at in range(width)]


def _quoted(lines: Sequence[str], header: Header, delimiter: str) -> Sequence[Sequence[str]] | None:
    try:
        rows = list(csv.reader(lines, strict=True, delimiter=delimiter))
    except csv.Error:
        return None
    if len(rows) != len(lines) or set(map(len, rows)) != {header.width} or "" in lines:
        return None
    fields = list(zip(*rows, strict=True))
    # A quote that is left in a field may stand where none may.
    if any('"' in "".join(fields[at]) for at in header.positions if at < header.width):
        return None
    return fields
