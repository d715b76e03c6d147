"""Input files: opened, hashed and recognized before the first row is read."""

import errno
import hashlib
import io
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from meterledger.errors import InputError
from meterledger.readers.compression import Compression
from meterledger.readers.content import Content
from meterledger.readers.formats import InputFormat, check_compression, recognized

STDIN = "-"
HEAD_BYTES = 4096
MAX_PIPED_BYTES = 64 * 1024**3
"""What is kept aside of what comes by a pipe."""
_COPIED_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """One input file at its first byte: its name as given, and what identifies its content."""

    name: str
    file: IO[bytes]
    """The file as it stands, still compressed; it can be read from its start again."""
    sha256: str
    size_bytes: int
    input_format: InputFormat
    compression: Compression | None = None
    delimiter: str = ","
    """What stands between the fields of CSV and TSV."""
    modified_ns: int | None = None
    """When it was last changed before it was hashed, by its file system; None where nothing else can."""
    lines_before: int = 0
    """Lines of the file that stand before the first one of ``file``, where that is only part of it."""
    is_element: bool = False
    """Whether ``file`` is no whole JSON array but what was kept of one element of it."""


@contextmanager
def open_input(
    name: str, declared: InputFormat | None = None, *, delimiter: str | None = None
) -> Iterator[InputFile]:
    """
    Open a file, or standard input for ``-``, and recognize its format and compression.

    Raises:
        InputError: It is missing, a folder, a device, unreadable, empty, too much for a pipe, or not of the
            format it is said to be.
    """
    with ExitStack() as stack:
        with reading_errors(name):
            file, modified_ns = stack.enter_context(_opened(name))
            opened = _identified(name, file, declared, delimiter, modified_ns)
        yield opened


def _identified(
    name: str, file: IO[bytes], declared: InputFormat | None, delimiter: str | None, modified_ns: int | None
) -> InputFile:
    head = file.read(HEAD_BYTES)
    if not head:
        raise InputError(f"{name} is empty", hint="name a file that holds usage rows")
    compression = check_compression(name, head, declared)
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type] # IO[bytes] lacks readinto
    size = file.tell()
    file.seek(0)
    if compression:
        head = _unpacked_head(name, file, compression, size)
    input_format = recognized(name, head, declared=declared, compression=compression)
    return InputFile(
        name=printable(name),
        file=file,
        sha256=digest,
        size_bytes=size,
        input_format=input_format,
        compression=compression,
        delimiter=delimiter or ("\t" if input_format is InputFormat.TSV else ","),
        modified_ns=modified_ns,
    )


def _unpacked_head(name: str, file: IO[bytes], compression: Compression, size: int) -> bytes:
    content = Content(file, compression=compression, size_bytes=size)
    head = content.read(HEAD_BYTES)
    file.seek(0)
    if not head and content.damage:
        raise InputError(f"{name} cannot be unpacked: {content.damage.message}", hint=content.damage.hint)
    if not head:
        raise InputError(
            f"{name} is {compression} with nothing in it", hint="name a file that holds usage rows"
        )
    return head


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
def _opened(name: str) -> Iterator[tuple[IO[bytes], int | None]]:
    """
    Open a file that can be read from its start again, and tell when it was last changed.

    What comes by a pipe is kept aside first, where nobody changes it.
    """
    if name == STDIN:
        if sys.stdin is None or getattr(sys.stdin, "closed", False):
            raise InputError("standard input is closed", hint="pipe a file into it, or name the file")
        source: IO[bytes] = sys.stdin.buffer
        with suppress(io.UnsupportedOperation):
            refuse_device(name, source.fileno())
    else:
        refuse_device(name, name)
        source = Path(name).open("rb")  # noqa: SIM115 # closed below, unless it is standard input
    try:
        if name != STDIN and source.seekable():
            yield source, os.fstat(source.fileno()).st_mtime_ns
            return
        with tempfile.TemporaryFile() as kept:
            _keep_aside(name, source, kept)
            kept.seek(0)
            yield kept, None
    finally:
        if name != STDIN:
            source.close()


def refuse_device(name: str, place: str | int) -> None:
    """
    Refuse a device, which may bring bytes without an end: all but a terminal that is standard input.

    Args:
        name: The input as the user named it.
        place: Its path or descriptor.
    """
    status = os.stat(place)  # noqa: PTH116 # it may be a descriptor
    if stat.S_ISCHR(status.st_mode):
        is_terminal = isinstance(place, int) and os.isatty(place)
        is_device = not is_terminal and status.st_rdev != os.stat(os.devnull).st_rdev  # noqa: PTH116 # as above
    else:
        is_device = stat.S_ISBLK(status.st_mode)
    if is_device:
        raise InputError(
            f"{name} is a device, and no file", hint="name a file, or pipe it into `meterledger import -`"
        )


def _keep_aside(name: str, source: IO[bytes], kept: IO[bytes]) -> None:
    left = MAX_PIPED_BYTES
    try:
        while block := source.read(min(_COPIED_BYTES, left + 1)):
            left -= len(block)
            if left < 0:
                raise InputError(
                    f"{name} brings more than {MAX_PIPED_BYTES} bytes by a pipe",
                    hint="write it to a file and import that, or import it in parts",
                )
            kept.write(block)
        kept.flush()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise InputError(
            f"{name} comes by a pipe, and {tempfile.gettempdir()} has no room to keep it aside",
            hint="make room there, name another folder in TMPDIR, or write it to a file and import that",
        ) from error


def printable(name: str) -> str:
    r"""Return a file name as text: bytes that are no UTF-8 as ``\xff``."""
    return os.fsencode(name).decode(errors="backslashreplace")
