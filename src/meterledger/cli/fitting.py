"""What makes a table fit a narrow terminal: no empty columns, and file names that need no breaking."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from meterledger.cli.output import _fits, console, print_table

_WIDE = 100
"""On a terminal of so many columns, and in a pipe, file names are shown whole."""
_NAME_CHARS = 24
"""What a table leaves at least to a column of long text."""


@dataclass(frozen=True, slots=True)
class FileName:
    """A file name in a table, and what follows it, such as a line."""

    name: str
    behind: str = ""

    def __str__(self) -> str:
        return self.name + self.behind

    @property
    def short(self) -> str:
        """How it is written where there is little room."""
        return file_text(self.name, self.behind)


Columns = Sequence[tuple[str, str]]


def filled(columns: Columns, rows: Sequence[Sequence[object]]) -> tuple[Columns, list[list[object]]]:
    """Return columns and rows without the columns that are empty in every row."""
    kept = [at for at in range(len(columns)) if any(row[at] not in (None, "") for row in rows)]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def file_text(name: str, behind: str = "") -> str:
    """Return a file name for a table, with what follows it; on a narrow terminal shortened in the middle."""
    room = _NAME_CHARS - len(behind.partition(",")[0])
    if len(name) <= room or console().width >= _WIDE:
        return name + behind
    *folders, last = PurePath(name).parts
    if len(last) + 2 > room:
        head = (room - 1) // 2
        return f"{last[:head]}…{last[head + 1 - room :]}{behind}"
    for folder in reversed(folders):
        if len(folder) + len(last) + 3 > room:
            break
        last = f"{folder}/{last}"
    return f"…/{last}{behind}"


def print_files(columns: Columns, rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """Print a table without empty columns; file names are short where the rows fit so, else whole."""
    columns, rows = filled(columns, rows)
    short = [[cell.short if isinstance(cell, FileName) else cell for cell in row] for row in rows]
    texts = [["" if cell is None else str(cell) for cell in row] for row in short]
    print_table(columns, short if _fits(columns, texts, console().width) else rows, title=title)
