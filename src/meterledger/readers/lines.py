"""
Physical lines of a file, in bounded memory.

Lines end at a line feed and at nothing else, so that line numbers agree with every editor. Bytes that
are not UTF-8 come through as lone surrogates: the row they stand in is refused, not the file.
"""

import io
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain

from meterledger.readers.content import Content

MAX_ROW_BYTES = 1024 * 1024
BLOCK_BYTES = 1024 * 1024
KEPT_OF_OVERSIZED_BYTES = 64 * 1024
_BOM = "\ufeff"
OVERSIZED_PLACEHOLDER = "\n"
"""Stands for a line that is too long to be read; what is kept of it is in what ``take`` returns."""


class OversizedLine(str):
    """What is kept of a line that is too long to be read."""

    __slots__ = ()


class PhysicalLines:
    """Iterates over lines, and remembers those that were read since the last ``take``."""

    def __init__(self, content: Content, lines_before: int = 0) -> None:
        self._blocks = self._decoded(content)
        self._block: Sequence[str] = ()
        self._at = 0
        self._again: deque[str] = deque()
        self._read: list[str] = []
        self.taken = lines_before
        """Lines taken so far: the row that is read next starts on line ``taken + 1``."""
        self.oversized = False
        """Whether a line of what was taken last was too long."""
        self.has_foreign_bytes = False
        """Whether bytes that are not UTF-8, or NUL, were seen in the file so far."""

    def __iter__(self) -> Iterator[str]:
        """Begin to read on; after the end of the file, again only if lines were given back."""
        again, remember = self._again, self._read.append
        while True:
            if again:
                line = again.popleft()
            elif self._has_block():
                line = self._block[self._at]
                self._at += 1
            else:
                return
            remember(line)
            yield OVERSIZED_PLACEHOLDER if type(line) is OversizedLine else line

    @property
    def texts(self) -> Iterator[str]:
        """The lines by themselves, for formats in which each is a row: then nothing is to be taken."""
        return chain.from_iterable(self._blocks)

    @property
    def is_one_line(self) -> bool:
        """Whether at most one line was read since the last ``take``."""
        return len(self._read) <= 1

    def take(self) -> str:
        """Return the text of the lines read since the last call: one row as it stands in the file."""
        read = self._read
        self.taken += len(read)
        raw = read[0] if len(read) == 1 else "".join(read)
        self.oversized = OversizedLine in map(type, read)
        read.clear()
        return raw

    def take_first(self) -> str:
        """Return the first line read since the last call, and give the others back to be read again."""
        first, *others = self._read
        self._again.extendleft(reversed(others))
        self._read[:] = [first]
        return self.take()

    def take_block(self, at_most: int) -> Sequence[str]:
        """Take lines that were read at once, so many at most, and return them; only between rows."""
        if self._again:
            block: Sequence[str] = [self._again.popleft() for _ in range(min(at_most, len(self._again)))]
        elif self._has_block():
            block = self._block[self._at : self._at + at_most]
            self._at += len(block)
        else:
            block = ()
        self.oversized = OversizedLine in map(type, block)
        self.taken += len(block)
        return block

    def give_back(self, block: Sequence[str]) -> None:
        """Give lines that were taken last back, to be read again."""
        self._again.extendleft(reversed(block))
        self.taken -= len(block)

    def _has_block(self) -> bool:
        """Tell whether there is another line, and have it at hand."""
        while self._at == len(self._block):
            block = next(self._blocks, None)
            if block is None:
                return False
            self._block, self._at = block, 0
        return True

    def _decoded(self, content: Content) -> Iterator[Sequence[str]]:
        rest = b""
        first = True
        while block := content.read(BLOCK_BYTES):
            data = rest + block
            end = data.rfind(b"\n") + 1
            rest = data[end:]
            if end:
                yield self._lines(data[:end], first=first)
                first = False
            if len(rest) > MAX_ROW_BYTES:
                yield [OversizedLine(rest[:KEPT_OF_OVERSIZED_BYTES].decode(errors="ignore") + "\n")]
                rest = _skip_line(content)
                first = False
        # The last line of content that breaks off may lack its end: who knows whether 1 was to be 10?
        if rest and not content.damage:
            yield self._lines(rest, first=first)

    def _lines(self, data: bytes, *, first: bool) -> Sequence[str]:
        text = self._text(data)
        if first:
            text = text.removeprefix(_BOM)
        return list(io.StringIO(text, newline="\n"))

    def _text(self, data: bytes) -> str:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.has_foreign_bytes = True
            text = data.decode(errors="surrogateescape")
        if "\0" in text:
            self.has_foreign_bytes = True
        return text


def _skip_line(content: Content) -> bytes:
    """Read on to the end of the line, and return what was read of the lines behind it."""
    while block := content.read(BLOCK_BYTES):
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
