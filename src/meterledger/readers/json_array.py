"""
The elements of one JSON array, in bounded memory.

The array is cut into its elements by brackets and quotation marks alone; what an element holds is read
as in JSONL. So an element that is broken costs no other one, as long as it can be told where it ends.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from meterledger.domain.row_check import Values
from meterledger.readers.content import Content
from meterledger.readers.formats import BOM
from meterledger.readers.json_rows import values_reader
from meterledger.readers.lines import KEPT_OF_OVERSIZED_BYTES, MAX_ROW_BYTES
from meterledger.readers.raw_rows import RawRow, RowProblem, malformed, too_long, unreadable

_BLOCK_BYTES = 256 * 1024
_MAX_INDENT_BYTES = 256
_QUOTE = ord('"')
_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = rb'(?:[^"\\\n]++|\\[^\n])*+'
_IN_STRING = re.compile(_STRING)
_BETWEEN_BRACKETS = re.compile(rb'(?:[^"{}\[\]]++|"' + _STRING + rb'")*+')
_SIMPLE = re.compile(rb'[ \t\r\n]*+(\{[^"{}\[\]]*+(?:"[^"\\\n]*+"[^"{}\[\]]*+)*+\})[ \t\r\n]*+,')
_SCALAR = re.compile(rb"[^,\]{\n]*+")


def element_reader(names: Sequence[str]) -> Callable[[str], Values | RowProblem]:
    """Return what brings the wanted fields of an element, or says what stands in its place."""
    values_of = values_reader(names)

    def read(raw: str) -> Values | RowProblem:
        match raw[:1]:
            case "":
                return malformed("the file ends before its array does")
            case ",":
                return malformed("an element is missing beside a comma")
            case "]":
                return malformed("something follows the end of the array, and was not read")
        return unreadable(raw) or values_of(raw)

    return read


class JsonArray:
    """Iterates over the elements of an array as rows."""

    def __init__(self, content: Content, names: Sequence[str]) -> None:
        self._content = content
        self._read = element_reader(names)
        self._buffer = b""
        self._at = 0
        self._start = 0
        """Where the element begins in the buffer; what stands before it is dropped with the next block."""
        self._counted = 0
        """Up to where the line breaks of the buffer are counted."""
        self._breaks = 0
        self._space = b""
        """White space before the element."""
        self._oversized = b""
        """The beginning of the element, once it is too long to be read."""
        self.line = 0
        """The line on which the row brought last starts."""

    def rows(self) -> Iterator[RawRow]:
        """Read the elements; an array that is not closed, or not the whole of the file, is a row too."""
        try:
            self._more()
            self._at = len(BOM) if self._buffer.startswith(BOM) else 0
            if self._next_byte() == b"[":
                self._at += 1
                yield from self._elements()
                yield from self._behind()
            else:
                yield self._row(self._line(), self._rest())
        except _EndOfContentError:
            # Where content breaks off, that is what is said of it, and not what the break has cut.
            if not self._content.damage:
                self._at = len(self._buffer)
                yield self._row(self._line(), self._taken().rstrip())

    def _elements(self) -> Iterator[RawRow]:
        if self._next_byte() == b"]":
            self._at += 1
            return
        while True:
            yield from self._simple_elements()
            begin = self._next_byte()
            line = self._line()
            if begin in {b",", b"]"}:
                yield self._row(line, ",")
            else:
                self._skip_element(begin)
                yield self._row(line, self._taken())
            # A comma that is missing between two elements hides neither of them.
            begin = self._next_byte()
            self._at += begin in {b",", b"]"}
            if begin == b"]":
                return

    def _simple_elements(self) -> Iterator[RawRow]:
        """Read objects with nothing nested in them, and a comma behind, in one step each."""
        while found := _SIMPLE.match(self._buffer, self._at):
            self._start = found.start(1)
            self._at = found.end()
            yield self._row(self._line(), found[1].decode(errors="surrogateescape"))

    def _behind(self) -> Iterator[RawRow]:
        try:
            self._next_byte()
        except _EndOfContentError:
            return
        yield self._row(self._line(), "]" + self._rest())

    def _row(self, line: int, raw: str) -> RawRow:
        self.line = line
        found = too_long() if self._oversized and raw[:1] != "]" else self._read(raw)
        self._oversized = b""
        return line, found, raw

    def _taken(self) -> str:
        taken = self._oversized or self._buffer[self._start : self._at]
        return taken.decode(errors="ignore" if self._oversized else "surrogateescape")

    def _rest(self) -> str:
        """Read on to the end of the file, and return the beginning of what was read."""
        try:
            while True:
                self._at = len(self._buffer)
                self._more()
        except _EndOfContentError:
            return self._taken()

    def _line(self) -> int:
        """Return the line on which the element starts."""
        self._breaks += self._buffer.count(b"\n", self._counted, self._start)
        self._counted = self._start
        return self._breaks + 1

    def _more(self) -> None:
        """Read a block; keep of the buffer what belongs to the element, unless that is too long."""
        if not self._oversized and self._at - self._start > MAX_ROW_BYTES:
            self._oversized = self._buffer[self._start : self._start + KEPT_OF_OVERSIZED_BYTES]
        block = self._content.read(_BLOCK_BYTES)
        if not block:
            raise _EndOfContentError
        drop = self._at if self._oversized else self._start
        if drop > self._counted:
            self._breaks += self._buffer.count(b"\n", self._counted, drop)
            self._counted = drop
        self._buffer = self._buffer[drop:] + block
        self._at -= drop
        self._counted -= drop
        self._start = 0

    def _next_byte(self) -> bytes:
        """Go to the next byte that is no white space; an element may start there."""
        space = self._space if self._at == self._start else b""
        while True:
            begin, self._at = self._at, _SPACE.match(self._buffer, self._at).end()  # type: ignore[union-attr] # matches always
            space = (space + self._buffer[begin : self._at])[-_MAX_INDENT_BYTES:]
            self._start = self._at
            if self._at < len(self._buffer):
                self._space = space
                return self._buffer[self._at : self._at + 1]
            self._more()

    def _skip_element(self, begin: bytes) -> None:
        """Go to the end of an element, wherever what is wrong with it allows to tell that."""
        try:
            if begin in {b"{", b"["}:
                self._skip_brackets()
            elif begin == b'"':
                self._at += 1
                self._skip_string()
            else:
                self._skip(_SCALAR)
        except _BrokenStringError:
            self._skip_to_next_line_of_its_kind()

    def _skip_brackets(self) -> None:
        depth = 0
        while True:
            self._skip(_BETWEEN_BRACKETS)
            byte = self._buffer[self._at]
            self._at += 1
            if byte == _QUOTE:
                self._skip_string()
                continue
            depth += 1 if byte in b"{[" else -1
            if depth == 0:
                return

    def _skip_string(self) -> None:
        """Go behind the quotation mark that ends a string; a line break can stand in none."""
        while True:
            self._skip(_IN_STRING)
            byte = self._buffer[self._at]
            if byte == _QUOTE:
                self._at += 1
                return
            if byte != ord("\\") or self._buffer[self._at + 1 : self._at + 2] == b"\n":
                raise _BrokenStringError
            if self._at + 1 == len(self._buffer):
                self._more()

    def _skip(self, pattern: re.Pattern[bytes]) -> None:
        """Go behind what matches, so that a byte stands there that does not."""
        while True:
            self._at = pattern.match(self._buffer, self._at).end()  # type: ignore[union-attr] # matches always
            if self._at < len(self._buffer):
                return
            self._more()

    def _skip_to_next_line_of_its_kind(self) -> None:
        """Go to the next line that begins with an object, indented as the line of this element is."""
        _, line_break, indent = self._space.rpartition(b"\n")
        begin = b"\n" + (indent if line_break else b"") + b"{"
        while (found := self._buffer.find(begin, self._at)) < 0:
            self._at = max(self._at, len(self._buffer) - len(begin) + 1)
            self._more()
        self._at = found


class _EndOfContentError(Exception):
    """The content has ended, and the array has not."""


class _BrokenStringError(Exception):
    """A string was opened and not closed on its line."""
