"""CSV by columns: blocks of lines that hold nothing unusual are cut all at once."""

import csv
from collections.abc import Iterator, Sequence

from meterledger.readers.batches import Batch, ColumnBatch, RowBatch
from meterledger.readers.csv_rows import Header, csv_rows
from meterledger.readers.lines import PhysicalLines, is_too_long


def csv_batches(lines: PhysicalLines, header: Header, delimiter: str, at_most: int) -> Iterator[Batch]:
    """Read the rows behind a header, so many lines at a time, by columns wherever that gives the same."""
    while block := lines.take_block(at_most):
        first = lines.taken - len(block) + 1
        columns = (
            None
            if lines.has_foreign_bytes or lines.oversized or header.groups
            else _columns(block, header, delimiter)
        )
        if columns is not None:
            yield ColumnBatch(first, "".join(block), columns, len(block))
            continue
        lines.give_back(block)
        # A quoted field may reach beyond the block; its row is read to its end.
        last = first + len(block) - 1
        reader = csv_rows(lines, header, delimiter)
        if rows := list(iter(lambda: next(reader, None) if lines.taken < last else None, None)):  # noqa: B023 # used at once
            yield RowBatch(rows)


def _columns(block: Sequence[str], header: Header, delimiter: str) -> Sequence[Sequence[str] | None] | None:
    """Return the wanted columns of lines that are a row each; None where they may be something else."""
    text = "".join(block)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    if "\r" in text or is_too_long(max(block, key=len)):
        return None
    if not text.endswith("\n"):
        text += "\n"
    fields = _quoted(text, header.width, delimiter) if '"' in text else _plain(text, header.width, delimiter)
    return None if fields is None else [fields[at] if at < header.width else None for at in header.positions]


def _plain(text: str, width: int, delimiter: str) -> Sequence[Sequence[str]] | None:
    lines = text.split("\n")
    lines.pop()
    if {line.count(delimiter) for line in lines} != {width - 1} or "" in lines:
        return None
    # One cut through the whole text, and each column is every so-manieth of its pieces.
    fields = text.replace("\n", delimiter).split(delimiter)
    fields.pop()
    return [fields[at::width] for at in range(width)]


def _quoted(text: str, width: int, delimiter: str) -> Sequence[Sequence[str]] | None:
    lines = text.split("\n")
    lines.pop()
    try:
        rows = list(csv.reader(lines, strict=True, delimiter=delimiter))
    except csv.Error:
        return None
    if len(rows) != len(lines) or set(map(len, rows)) != {width} or "" in lines:
        return None
    return list(zip(*rows, strict=True))
