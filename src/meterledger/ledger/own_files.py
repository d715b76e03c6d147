"""Which files are a ledger's own: nothing else may ever be written in their place."""

import os
from pathlib import Path

_ENDINGS = ("", "-wal", "-shm", "-journal", "-watch", ".head")
"""What stands beside a ledger, by the ending of its name."""
_FOLLOWED = "-follow-"
_HEADER = b"SQLite format 3\0"


def is_own_file(path: Path, ledger: Path) -> bool:
    """Tell whether a path is the ledger or a file that stands beside it, there or not, by whatever name."""
    asked = {_real(path), _named(path)}
    return any(
        found.parent == one.parent
        and (
            found.name in {one.name + ending for ending in _ENDINGS}
            or found.name.startswith(one.name + _FOLLOWED)
        )
        for found in asked
        for one in {_real(ledger), _named(ledger)}
    ) or is_same_file(path, ledger)


def is_a_ledger(path: Path) -> bool:
    """Tell whether a file that is there holds a ledger, this one or another, such as a backup."""
    try:
        with path.open("rb") as file:
            return file.read(len(_HEADER)) == _HEADER
    except OSError:
        return False


def file_of(path: Path) -> tuple[int, int] | None:
    """Return which file a path names at this moment; None for none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_same_file(path: Path, other: Path) -> bool:
    """Tell whether two paths lead to one file that is there, by links too."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def _named(path: Path) -> Path:
    """Return a path with its folder as it really is; its last name may be that of a link."""
    return _real(path.parent) / path.name


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
