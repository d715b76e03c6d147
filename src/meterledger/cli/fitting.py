"""What makes a table fit a narrow terminal: no empty columns, and file names that need no breaking."""

from collections.abc import Sequence
from pathlib import PurePath

_WIDE = 100
"""On a terminal of so many columns, and in a pipe, file names are shown whole."""
_NAME_CHARS = 24
"""What a table leaves at least to a column of long text."""

Columns = Sequence[tuple[str, str]]


def filled(columns: Columns, rows: Sequence[Sequence[object]]) -> tuple[Columns, list[list[object]]]:
    """Return columns and rows without the columns that are empty in every row."""
    kept = [at for at in range(len(columns)) if any(row[at] not in (None, "") for row in rows)]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def file_text(name: str, behind: str = "") -> str:
    """Return a file name for a table, with what follows it; on a narrow terminal shortened in the middle."""
    from meterledger.cli.output import console

    room = _NAME_CHARS - len(behind.partition(",")[0])
    if len(name) <= room or console().width >= _WIDE:
        return name + behind
    last = PurePath(name).name
    if len(last) < len(name) and len(last) + 2 <= room:
        return f"…/{last}{behind}"
    head = (room - 1) // 2
    return f"{last[:head]}…{last[head + 1 - room :]}{behind}"
