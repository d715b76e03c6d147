"""
Standard input, output and error as a command can rely on them.

Whoever starts us may close them, point them at a full disk, or choose an encoding that lacks half of what
is printed. Output that cannot be written is an error of its own; what people were to hear is just not said.
"""

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

from meterledger.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDIN, _STDOUT, _STDERR = 0, 1, 2


def prepare_streams() -> None:
    """Take over the three standard streams; called once, before anything is opened or printed."""
    _fill_gaps()
    sys.stdout = _text_over(_Output(_STDOUT, "w", closefd=False), sys.stdout)
    sys.stderr = _text_over(_Told(_STDERR, "w", closefd=False), sys.stderr, line_buffering=True)


def abandon_stdout() -> None:
    """Let go of an output that cannot be written: what is still buffered for it goes nowhere."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class _Output(io.FileIO):
    """Results: a write that fails ends the command; a reader that has left is told apart."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(
                f"standard output cannot be written: {error.strerror}",
                hint="what was committed to the ledger is kept; see where the output goes, then ask again",
            ) from error


class _Told(io.FileIO):
    """Words for people: where nobody can be told, nobody is told, and the work goes on."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _fill_gaps() -> None:
    """Put a null device where a standard stream is closed, lest the next file opened becomes that stream."""
    for number, flags in ((_STDIN, os.O_RDONLY), (_STDOUT, os.O_RDONLY), (_STDERR, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken. A closed output stays one that cannot be written.
            os.open(os.devnull, flags)


def _text_over(raw: io.FileIO, was: TextIO | None, *, line_buffering: bool = False) -> TextIO:
    found = was if isinstance(was, io.TextIOWrapper) else None
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=found.encoding if found else "utf-8",
        errors="backslashreplace",
        line_buffering=line_buffering or bool(found and found.line_buffering),
        write_through=bool(found and found.write_through),
    )
