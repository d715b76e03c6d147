"""Rotation: where a file is now that was followed under a path, and what came instead."""

import contextlib
import os
from pathlib import Path

from meterledger.domain.place import Place
from meterledger.readers.files import printable
from meterledger.readers.growing_file import Form, GrowingFile, file_at


def rotated_file(name: str, path: str, place: Place, form: Form) -> GrowingFile | None:
    """
    Open a file that was taken under a path, at its place, whatever its name beside that path is now.

    Args:
        name: The file as the user named it.
        path: Where it was.
        place: How far it was taken.
        form: What the user said of its form.
    """
    for folder in dict.fromkeys((Path(path).parent, Path(path).resolve().parent)):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if str(entry.inode()) != place.inode or not entry.is_file():
                    continue
                file = file_at(name, entry.path, form)
                if file is not None and file.resume(place):
                    return file
                if file is not None:
                    file.close()
    return None


def is_replaced(path: str, place: Place) -> bool:
    """Tell whether another file stands under a path by now, with something in it."""
    try:
        found = os.stat(path)  # noqa: PTH116 # the path may be no UTF-8 and is no more than a name
    except OSError:
        return False
    return found.st_size > 0 and not place.is_in(str(found.st_dev), str(found.st_ino))


def missed_names(path: str, since_ns: int, known: set[tuple[str, str]]) -> list[str]:
    """Return what looks like rotated files beside a path that were written since then, unless known."""
    name = Path(path).name
    found = []
    with contextlib.suppress(OSError):
        for entry in Path(path).parent.iterdir():
            if not entry.name.startswith((f"{name}.", f"{name}-")) or not entry.is_file():
                continue
            status = entry.stat()
            if status.st_mtime_ns >= since_ns and (str(status.st_dev), str(status.st_ino)) not in known:
                found.append(printable(str(entry)))
    return sorted(found)
