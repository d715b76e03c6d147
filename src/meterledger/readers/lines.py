"""
Physical lines of a file, in bounded memory.

Lines end at a line feed and at nothing else, so that line numbers agree with every editor. Bytes that
are not UTF-8 come through as lone surrogates: the row they stand in is refused, not the file.
"""

import io
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

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
        self.texts = self._decoded(content)
        """The lines by themselves, for formats in which each is a row: then nothing is to be taken."""
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
        again, source, remember = self._again, self.texts, self._read.append
        while True:
            line = again.popleft() if again else next(source, None)
            if line is None:
                return
            remember(line)
            yield OVERSIZED_PLACEHOLDER if type(line) is OversizedLine else line

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
        """Take lines, so many at most, and return them; only between rows."""
        again = [self._again.popleft() for _ in range(min(at_most, len(self._again)))]
        block = [*again, *islice(self.texts, at_most - len(again))]
        self.oversized = OversizedLine in map(type, block)
        self.taken += len(block)
        return block

    def give_back(self, block: Sequence[str]) -> None:
        """Give lines that were taken last back, to be read again."""
        self._again.extendleft(reversed(block))
        self.taken -= len(block)

    def _decoded(self, content: Content) -> Iterator[str]:
        rest = b""
        first = True
        while block := content.read(BLOCK_BYTES):
            data = rest + block
            end = data.rfind(b"\n") + 1
            rest = data[end:]
            if end:
                yield from self._lines(data[:end], first=first)
                first = False
            if len(rest) > MAX_ROW_BYTES:
                yield OversizedLine(rest[:KEPT_OF_OVERSIZED_BYTES].decode(errors="ignore") + "\n")
                rest = _skip_line(content)
                first = False
        # The last line of content that breaks off may lack its end: who knows whether 1 was to be 10?
        if rest and not content.damage:
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
