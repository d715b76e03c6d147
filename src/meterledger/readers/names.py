"""What a command names: files, patterns and folders, as the list of the files that are meant."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from meterledger.errors import InputError
from meterledger.readers.files import STDIN, reading_errors
from meterledger.readers.formats import format_by_name

_ANY_FOLDERS = re.compile(r"(?<![^/])(?:\*\*(?:/+|$))+")
"""The part of a pattern that stands for all folders below."""


@dataclass(slots=True, kw_only=True)
class ExpandedNames:
    """The files that names stand for, in their order."""

    files: list[str] = field(default_factory=list)
    left_out: int = 0
    """How many files of the folders were left out, because their names tell no format."""
    failed: list[InputError] = field(default_factory=list)
    """Names that stand for no file."""


def expand_names(names: Sequence[str]) -> ExpandedNames:
    """
    Expand patterns and folders, each sorted by name; what is there under a name is that name's.

    A pattern is as a shell has it; ``**`` is all folders below, and follows no links to folders. Of a folder
    every file below it is taken whose name tells a format; hidden files and folders are not looked at. A
    name that leads to nothing stays.
    """
    expanded = ExpandedNames()
    for name in names:
        try:
            _expand(name, expanded)
        except InputError as error:
            expanded.failed.append(error)
    return expanded


def _expand(name: str, expanded: ExpandedNames) -> None:
    if name == STDIN or os.path.isfile(name):  # noqa: PTH113 # names stay as they were given
        expanded.files.append(name)
    elif os.path.isdir(name):  # noqa: PTH112 # as above
        _expand_folder(name, expanded)
    elif not os.path.lexists(name) and glob.has_magic(name):
        _expand_pattern(name, expanded)
    else:
        expanded.files.append(name)


def _expand_pattern(pattern: str, expanded: ExpandedNames) -> None:
    is_empty = True
    for match in sorted(set(_matches(pattern))):
        if not os.path.isdir(match):  # noqa: PTH112 # as above
            expanded.files.append(match)
        elif "**" not in pattern:  # with ** the files in the folders match too
            _expand_folder(match, expanded)
        else:
            continue
        is_empty = False
    if is_empty:
        raise InputError(f"{pattern} matches no file", hint="check the pattern, and the folder you are in")


def _matches(pattern: str) -> Iterator[str]:
    """Yield what a pattern matches; ``glob`` itself would follow links that lead back without an end."""
    stars = _ANY_FOLDERS.search(pattern)
    if stars is None:
        yield from glob.glob(pattern)  # noqa: PTH207 # names stay as they were given
        return
    above, below = pattern[: stars.start()], pattern[stars.end() :] or "*"
    for base in glob.glob(above) if above else [""]:  # noqa: PTH207 # as above
        for path, folders, _ in os.walk(base or os.curdir):
            folders[:] = [one for one in folders if not one.startswith(".")]
            folder = path if base else path.removeprefix(os.curdir).removeprefix(os.sep)
            yield from _matches(os.path.join(glob.escape(folder), below))  # noqa: PTH118 # as above


def _expand_folder(folder: str, expanded: ExpandedNames) -> None:
    def refuse(error: OSError) -> None:
        raise error

    found: list[str] = []
    left_out = 0
    with reading_errors(folder):
        for path, folders, files in os.walk(folder, onerror=refuse):
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            shown_files = [os.path.join(path, file) for file in files if not file.startswith(".")]  # noqa: PTH118 # as above
            known = [file for file in shown_files if format_by_name(file)[0] and os.path.isfile(file)]  # noqa: PTH113 # as above
            left_out += len(shown_files) - len(known)
            found += known
    if not found:
        raise InputError(
            f"{folder} is a folder without a file whose name tells its format",
            hint="known are .csv .tsv .tab .jsonl .ndjson .json .parquet, and .gz .bz2 .xz .zst behind",
        )
    expanded.files += sorted(found)
    expanded.left_out += left_out
