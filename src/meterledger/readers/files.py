"""Input files: opened, hashed and recognized before the first row is read."""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from meterledger.domain.usage import shown
from meterledger.errors import InputError

STDIN = "-"
HEAD_BYTES = 4096
_BOM = b"\xef\xbb\xbf"


class InputFormat(StrEnum):
    """The formats that can be read."""

    CSV = "csv"
    JSONL = "jsonl"


_BY_SUFFIX = {
    ".csv": InputFormat.CSV,
    ".jsonl": InputFormat.JSONL,
    ".ndjson": InputFormat.JSONL,
}
_FOREIGN = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
    (b"PAR1", "Parquet"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"%PDF", "PDF"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """One input file at its first byte: its name as given, and what identifies its content."""

    name: str
    file: IO[bytes]
    sha256: str
    size_bytes: int
    input_format: InputFormat
    lines_before: int = 0
    """Lines of the file that stand before the first one of ``file``, where that is only part of it."""


@contextmanager
def open_input(name: str, declared: InputFormat | None = None) -> Iterator[InputFile]:
    """
    Open a file, or standard input for ``-``, and recognize its format.

    Raises:
        InputError: It is missing, a folder, unreadable, empty, or not of the format it is said to be.
    """
    with ExitStack() as stack:
        with reading_errors(name):
            file = stack.enter_context(_opened(name))
            opened = _identified(name, file, declared)
        yield opened


def _identified(name: str, file: IO[bytes], declared: InputFormat | None) -> InputFile:
    head = file.read(HEAD_BYTES)
    if not head:
        raise InputError(f"{name} is empty", hint="name a file that holds usage rows")
    input_format = recognized(name, head, declared)
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type] # IO[bytes] lacks readinto
    size = file.tell()
    file.seek(0)
    return InputFile(
        name=printable(name), file=file, sha256=digest, size_bytes=size, input_format=input_format
    )


@contextmanager
def reading_errors(name: str) -> Iterator[None]:
    """Say in a user's words why a file cannot be read: InputError."""
    try:
        yield
    except IsADirectoryError as error:
        raise InputError(f"{name} is a folder", hint=f"name its files, such as {name}/*.csv") from error
    except FileNotFoundError as error:
        raise InputError(f"{name} does not exist", hint="check the path") from error
    except PermissionError as error:
        raise InputError(f"{name} may not be read by this user", hint="change its permissions") from error
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from error


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    """Open a file that can be read from its start again; what comes by a pipe is kept aside first."""
    if name == STDIN:
        if sys.stdin is None or getattr(sys.stdin, "closed", False):
            raise InputError("standard input is closed", hint="pipe a file into it, or name the file")
        source: IO[bytes] = sys.stdin.buffer
    else:
        source = Path(name).open("rb")  # noqa: SIM115 # closed below, unless it is standard input
    try:
        if name != STDIN and source.seekable():
            yield source
            return
        with tempfile.TemporaryFile() as kept:
            shutil.copyfileobj(source, kept)
            kept.seek(0)
            yield kept
    finally:
        if name != STDIN:
            source.close()


def printable(name: str) -> str:
    r"""Return a file name as text: bytes that are no UTF-8 as ``\xff``."""
    return os.fsencode(name).decode(errors="backslashreplace")


def recognized(name: str, head: bytes, declared: InputFormat | None) -> InputFormat:
    """Tell the format of a file by the user's word, its name and its first bytes; raises InputError."""
    for magic, kind in _FOREIGN:
        if head.startswith(magic):
            raise InputError(
                f"{name} looks like {kind}; CSV and JSONL can be read", hint="convert or unpack it first"
            )
    looks_like = _looks_like(name, head)
    said = declared or _BY_SUFFIX.get(os.path.splitext(name)[1].lower())  # noqa: PTH122 # name may be "-"
    if said and looks_like and said is not looks_like:
        raise InputError(
            f"{name} is said to be {said.upper()} but looks like {looks_like.upper()}: "
            f"it begins with {shown(head[:40].decode(errors='replace'))}",
            hint=f"rename it, or say --input-format {looks_like}",
        )
    return said or looks_like or InputFormat.CSV


def _looks_like(name: str, head: bytes) -> InputFormat | None:
    """Tell the format by the first character that is no white space; None where there is none."""
    begin = head.removeprefix(_BOM).lstrip()[:1]
    if begin == b"[":
        raise InputError(
            f"{name} looks like one JSON array; JSONL has one object on each line",
            hint="write one object on each line, for example with `jq -c '.[]'`",
        )
    if not begin:
        return None
    return InputFormat.JSONL if begin == b"{" else InputFormat.CSV
