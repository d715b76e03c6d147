"""Original rows: the rows of a file as they stand, if the file is still there and still the same."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meterledger.errors import InputError
from meterledger.ledger.database import Row
from meterledger.readers import InputFormat, Wanted, open_input, read_rows
from meterledger.readers.files import STDIN, InputFile
from meterledger.usecases.parsing import BATCH_ROWS, RawTexts

READ_AT_MOST_BYTES = 1024**3
"""How much of files one command reads for this: a file has to be hashed before one of its rows is shown."""

SHOWN_AT_MOST_CHARACTERS = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalRow:
    """The row as it stands in its file, or a note on why it is not shown."""

    text: str | None = None
    note: str | None = None


def original_rows(usage: Iterable[Row]) -> dict[int, OriginalRow]:
    """Return the original row of each usage event, by its number; each file is read once."""
    by_import: dict[int, list[Row]] = {}
    for row in usage:
        by_import.setdefault(row["import"], []).append(row)
    found: dict[int, OriginalRow] = {}
    left = READ_AT_MOST_BYTES
    for rows in by_import.values():
        size = rows[0]["size_bytes"]
        texts = _rows_of_file(rows, left)
        left -= size if isinstance(texts, dict) else 0
        for row in rows:
            found[row["id"]] = (
                OriginalRow(note=texts) if isinstance(texts, str) else _cut(texts.get(row["line"]))
            )
    return found


def _rows_of_file(rows: list[Row], left: int) -> dict[int, str] | str:
    """Return line -> text of the rows of one file, or why there are none."""
    row = rows[0]
    path = row["path"] or row["file"]
    if reason := _not_to_be_read(row, path, left):
        return reason
    try:
        with open_input(path, InputFormat(row["input_format"]), delimiter=row["delimiter"]) as file:
            if file.sha256 != row["sha256"]:
                return f"{path} has changed since"
            return dict(_rows_at(file, {one["line"] for one in rows}))
    except (InputError, OSError) as error:
        return f"{path} cannot be read any more: {error}"


def _not_to_be_read(row: Row, path: str, left: int) -> str:
    """Say why a file is not even opened; empty if it is."""
    if row["path"] is None and row["file"] == STDIN:
        return "it came by standard input"
    try:
        status = os.stat(path)  # noqa: PTH116 # pathlib raises for a name that is no path
    except (OSError, ValueError):
        return f"{path} is no longer there"
    if not (stat.S_ISREG(status.st_mode) and status.st_size == row["size_bytes"]):
        return f"{path} has changed since"
    if status.st_size > left:
        return f"{path} is not read: at most {READ_AT_MOST_BYTES // 1024**2} MiB of files are"
    return ""


def _rows_at(file: InputFile, wanted: set[int]) -> Iterator[tuple[int, str]]:
    """Yield the rows that start on the wanted lines."""
    for batch in read_rows(file, Wanted((), {})).batches(BATCH_ROWS):
        texts = RawTexts([batch.texts()])
        rows_on = Counter(batch.lines)
        for line in wanted.intersection(rows_on):
            # Which of several rows on one line it was, the ledger does not know.
            yield line, texts.of(line) if rows_on[line] == 1 else ""
            wanted.discard(line)
        if not wanted:
            return


def _cut(text: str | None) -> OriginalRow:
    if text == "":
        return OriginalRow(note="several rows start on its line")
    if text is None:
        return OriginalRow(note="its line is not in the file")
    text = text.rstrip("\r\n")
    if len(text) <= SHOWN_AT_MOST_CHARACTERS:
        return OriginalRow(text=text)
    return OriginalRow(
        text=text[:SHOWN_AT_MOST_CHARACTERS], note=f"cut after {SHOWN_AT_MOST_CHARACTERS} characters"
    )
