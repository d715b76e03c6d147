"""Where the complete rows of a piece of a file end: what stands behind may still be written."""

import csv
import io
from collections.abc import Iterator, Sequence

from meterledger.readers.lines import MAX_ROW_BYTES, OVERSIZED_PLACEHOLDER


def end_of_rows(piece: bytes, delimiter: str | None) -> int:
    """
    Return how many bytes of a piece, which begins with a row, are complete rows.

    A row is complete when its line is, and in CSV when its quotes are closed too. Quotes that stay open
    for longer than a row may be are no quotes: their line is malformed, as it is in a whole file.

    Args:
        piece: Part of a file.
        delimiter: What stands between the fields of CSV; None where each line is a row.
    """
    end = piece.rfind(b"\n") + 1
    if delimiter is None or piece.find(b'"', 0, end) < 0:
        return end
    lines = io.BytesIO(piece[:end]).readlines()
    return sum(map(len, lines[: _open_row(lines, delimiter)]))


def first_row(rows: bytes, delimiter: str) -> bytes | None:
    """Return the first row of CSV that is not blank, as it stands; None where there is none."""
    csv.field_size_limit(MAX_ROW_BYTES)
    taken: list[bytes] = []

    def lines() -> Iterator[str]:
        for line in io.BytesIO(rows):
            taken.append(line)
            yield _text(line)

    try:
        for _ in csv.reader(lines(), strict=True, delimiter=delimiter):
            raw = b"".join(taken)
            taken.clear()
            if raw.strip():
                return raw
    except csv.Error:
        # What is wrong with it is said by who reads it.
        return b"".join(taken)
    return None


class _Lines:
    """Gives lines to the csv module, and remembers how far it came."""

    def __init__(self, lines: Sequence[bytes], start: int) -> None:
        self._lines = lines
        self.next = start
        self.exhausted = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.next == len(self._lines):
            self.exhausted = True
            raise StopIteration
        self.next += 1
        return _text(self._lines[self.next - 1])


def _open_row(lines: Sequence[bytes], delimiter: str) -> int:
    """Return the line in which a row begins that is not complete, or how many lines there are."""
    csv.field_size_limit(MAX_ROW_BYTES)
    row = 0
    while True:
        read = _Lines(lines, row)
        try:
            for _ in csv.reader(read, strict=True, delimiter=delimiter):
                row = read.next
        except csv.Error:
            if read.exhausted and sum(map(len, lines[row:])) <= MAX_ROW_BYTES:
                return row
            # As reading does: only the first line is given up.
            row += 1
        else:
            return row


def _text(line: bytes) -> str:
    return line.decode(errors="surrogateescape") if len(line) <= MAX_ROW_BYTES else OVERSIZED_PLACEHOLDER
