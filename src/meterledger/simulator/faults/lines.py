"""On which line each key and each item of a TOML or JSON document stands."""

import json
import re
from typing import NamedTuple

Path = tuple[str | int, ...]
"""The keys and the places in arrays, from 0, that lead to a value."""

_TOKEN = re.compile(
    r"""
      (?P<text> \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
    | (?P<comment> \#[^\n]* )
    | (?P<mark> [\[\]{},:=\n] )
    | (?P<bare> [^\s"'\#\[\]{},:=]+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSING = frozenset(",]}\n")
_END = ""


class Token(NamedTuple):
    """A string, a mark or a bare word of a document, and its line, from 1."""

    text: str
    line: int
    kind: str | None = None


class LineFinder:
    """
    Walks through a document that is known to be sound.

    Args:
        tokens: What the document is made of.
        toml: Whether it is TOML, not JSON.

    Attributes:
        found: The path and the line, from 1, of every key and every item, in the order they stand.
    """

    def __init__(self, tokens: list[Token], *, toml: bool) -> None:
        self.found: list[tuple[Path, int]] = []
        self._toml = toml
        self._tokens = tokens
        self._next = 0
        self._tables: dict[Path, int] = {}  # the place reached in each array of tables
        if toml:
            self._document()
        else:
            self._value(())

    def _peek(self) -> Token:
        return self._tokens[min(self._next, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._peek()
        self._next += 1
        return token

    def _skip(self, marks: str) -> Token:
        """Pass over some marks, and return what follows without taking it."""
        while self._peek().text != _END and self._peek().text in marks:
            self._next += 1
        return self._peek()

    def _document(self) -> None:
        opened: Path = ()
        while self._skip("\n").text != _END:
            if self._peek().text == "[":
                opened = self._header()
            else:
                self._pair(opened)

    def _header(self) -> Path:
        line = self._take().line
        is_item = self._peek().text == "["
        named = self._key("]")
        if is_item:
            self._take()
        path: Path = ()
        for part in named[:-1]:
            path = self._resolved((*path, part))
        path = (*path, named[-1])
        if is_item:
            self._tables[path] = self._tables.get(path, -1) + 1
            path = (*path, self._tables[path])
        self.found.append((path, line))
        return path

    def _resolved(self, path: Path) -> Path:
        return (*path, self._tables[path]) if path in self._tables else path

    def _pair(self, opened: Path) -> None:
        line = self._peek().line
        path = (*opened, *self._key("=" if self._toml else ":"))
        self.found.append((path, line))
        self._value(path)

    def _key(self, end: str) -> list[str]:
        """Read a key, dotted or not, up to and with the mark that ends it."""
        parts: list[str] = []
        while (token := self._take()).text not in (end, _END):
            if token.kind == "text":
                parts.append(token.text[1:-1] if self._toml else json.loads(token.text))
            elif token.kind == "bare":
                parts += [part for part in token.text.split(".") if part]
        return parts

    def _value(self, path: Path) -> None:
        opening = self._skip("\n").text
        if opening == "{":
            self._take()
            while self._skip("\n,").text not in ("}", _END):
                self._pair(path)
            self._take()
        elif opening == "[":
            self._take()
            self._items(path)
            self._take()
        else:
            while self._peek().text not in _CLOSING and self._peek().text != _END:
                self._take()

    def _items(self, path: Path) -> None:
        place = 0
        while (token := self._skip("\n,")).text not in ("]", _END):
            self.found.append(((*path, place), token.line))
            self._value((*path, place))
            place += 1


def read_tokens(text: str) -> list[Token]:
    """Split a document into what it is made of, comments left out, with an empty token at the end."""
    tokens, line, reached = [], 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", reached, match.start())
        reached = match.start()
        if match.lastgroup != "comment":
            tokens.append(Token(match[0], line, match.lastgroup))
    tokens.append(Token(_END, line))
    return tokens
