"""
Physical lines of a file, in bounded memory.

Lines end at a line feed and at nothing else, so that line numbers agree with every editor. Bytes that
are not UTF-8 come through as lone surrogates: the row they stand in is refused, not the file.
"""

import io
from collections import deque
from collections.abc import Iterator
from typing import IO

MAX_ROW_BYTES = 1024 * 1024
_BLOCK_BYTES = 1024 * 1024
_KEPT_OF_OVERSIZED = 64 * 1024
_BOM = "\ufeff"
OVERSIZED_PLACEHOLDER = "\n"
"""Stands for a line that is too long to be read; what is kept of it is in what ``take`` returns."""


class _OversizedLine(str):
    """What is kept of a line that is too long to be read."""

    __slots__ = ()


class PhysicalLines:
    """Iterates over lines, and remembers those that were read since the last ``take``."""

    def __init__(self, file: IO[bytes]) -> None:
        self._source = self._decoded(file)
        self._again: deque[str] = deque()
        self._read: list[str] = []
        self.taken = 0
        """Lines taken so far: the row that is read next starts on line ``taken + 1``."""
        self.oversized = False
        """Whether a line of what was taken last was too long."""
        self.has_foreign_bytes = False
        """Whether bytes that are not UTF-8, or NUL, were seen in the file so far."""

    def __iter__(self) -> Iterator[str]:
        """Begin to read on; after the end of the file, again only if lines were given back."""
        again, source, remember = self._again, self._source, self._read.append
        while True:
            line = again.popleft() if again else next(source, None)
            if line is None:
                return
            remember(line)
            yield OVERSIZED_PLACEHOLDER if type(line) is _OversizedLine else line

    def take(self) -> str:
        """Return the text of the lines read since the last call: one row as it stands in the file."""
        read = self._read
        self.taken += len(read)
        raw = read[0] if len(read) == 1 else "".join(read)
        self.oversized = _OversizedLine in map(type, read)
        read.clear()
        return raw

    def take_first(self) -> str:
        """Return the first line read since the last call, and give the others back to be read again."""
        first, *others = self._read
        self._again.extendleft(reversed(others))
        self._read[:] = [first]
        return self.take()

    def _decoded(self, file: IO[bytes]) -> Iterator[str]:
        rest = b""
        first = True
        while block := file.read(_BLOCK_BYTES):
            data = rest + block
            end = data.rfind(b"\n") + 1
            rest = data[end:]
            if end:
                yield from self._lines(data[:end], first=first)
                first = False
            if len(rest) > MAX_ROW_BYTES:
                yield _OversizedLine(rest[:_KEPT_OF_OVERSIZED].decode(errors="ignore") + "\n")
                rest = _skip_line(file)
                first = False
        if rest:
            yield from self._lines(rest, first=first)

    def _lines(self, data: bytes, *, first: bool) -> Iterator[str]:
        text = self._text(data)
        if first:
            text = text.removeprefix(_BOM)
        yield from io.StringIO(text, newline="\n")

    def _text(self, data: bytes) -> str:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.has_foreign_bytes = True
            text = data.decode(errors="surrogateescape")
        if "\0" in text:
            self.has_foreign_bytes = True
        return text


def _skip_line(file: IO[bytes]) -> bytes:
    """Read on to the end of the line, and return what was read of the lines behind it."""
    while block := file.read(_BLOCK_BYTES):
        _, found, behind = block.partition(b"\n")
        if found:
            return behind
    return b""


def is_too_long(raw: str) -> bool:
    """Tell whether a row is larger than a row may be."""
    if len(raw) * 4 <= MAX_ROW_BYTES:
        return False
    return len(raw.encode(errors="surrogateescape")) > MAX_ROW_BYTES


def foreign_bytes_shown(raw: str) -> str:
    r"""Return text in which bytes that are not UTF-8 stand as ``\xff``."""
    return raw.encode(errors="surrogateescape").decode(errors="backslashreplace")
