"""JSON lines by columns: blocks of objects of one shape are decoded all at once."""

from collections.abc import Iterator, Sequence

from meterledger.readers.batches import Batch, ColumnBatch, RowBatch
from meterledger.readers.json_rows import JsonLines
from meterledger.readers.lines import PhysicalLines


def jsonl_batches(lines: PhysicalLines, reader: JsonLines, at_most: int) -> Iterator[Batch]:
    """Read an object from each line, so many lines at a time, by columns wherever that gives the same."""
    while block := lines.take_block(at_most):
        first = lines.taken - len(block) + 1
        unusual = lines.has_foreign_bytes or lines.oversized
        yield (None if unusual else _columns(block, reader, first)) or RowBatch(
            list(reader.rows(block, first))
        )


def _columns(block: Sequence[str], reader: JsonLines, first_line: int) -> ColumnBatch | None:
    text = "".join(block).replace("\r\n", "\n")
    columns = reader.shape.columns(text, len(block)) if reader.shape else None
    if columns is None:
        return None
    return ColumnBatch(
        first_line=first_line,
        text=text,
        columns=columns,
        count=len(block),
        longest=max(map(len, block)),
        has_blanks=True,
    )
