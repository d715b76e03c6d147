"""Rows of JSON: one object each, its fields as the text they were written as."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from meterledger.domain.row_check import Values
from meterledger.domain.usage import shown
from meterledger.readers.formats import WRAPPED_LIST, wrapped_list
from meterledger.readers.lines import MAX_ROW_BYTES, OversizedLine, PhysicalLines
from meterledger.readers.raw_rows import ANY, RawRow, RowProblem, malformed, unreadable
from meterledger.readers.row_shape import Fields, RowShape

MAX_DEPTH = 64
"""How many objects and lists may stand in one another in a row, the row itself counted."""
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"|([\[{])|([\]}])')
_MISSING = msgspec.Raw(b"null")


class _FieldError(ValueError):
    """A JSON row, or a field of it, holds what it cannot hold."""


class JsonLines:
    """Reads an object from each line that is not blank."""

    def __init__(self, file: str, lines: PhysicalLines, names: Sequence[str]) -> None:
        self._file = file
        self._lines = lines
        self._names = names
        self._is_first = not lines.taken
        self.shape, self._values_of = _shape_and_reader(names)
        """What objects are expected to look like; None where fields stand inside others."""

    def rows(self, texts: Iterable[str], first_line: int) -> Iterator[RawRow]:
        """
        Read lines that stand one below the other.

        Raises:
            InputError: The first line of the file is an object that holds the rows in a list.
        """
        lines, values_of = self._lines, self._values_of
        for line, raw in enumerate(texts, first_line):
            is_oversized = type(raw) is OversizedLine
            if raw.isspace() and not is_oversized:
                continue
            if self._is_first:
                _refuse_wrapped_list(self._file, raw, self._names)
                self._is_first = False
            if lines.has_foreign_bytes or is_oversized or len(raw) * 4 > MAX_ROW_BYTES:
                problem = unreadable(raw, oversized=is_oversized)
                if problem:
                    yield line, problem, raw
                    continue
            yield line, values_of(raw), raw


def values_reader(names: Sequence[str]) -> Callable[[str], Values | RowProblem]:
    """Return what brings the wanted fields of an object, or says why it cannot."""
    _, values_of = _shape_and_reader(names)
    return values_of


def _shape_and_reader(names: Sequence[str]) -> tuple[RowShape | None, Callable[[str], Values | RowProblem]]:
    paths = [(name, tuple(name.split(".")) if "." in name else ()) for name in names]
    if any(path or name.endswith(ANY) for name, path in paths):
        return None, lambda raw: _thorough_values(raw, paths)
    shape = RowShape(names, lambda raw: _thorough_values(raw, paths, shape))
    return shape, shape.values


def _thorough_values(
    raw: str, paths: Sequence[tuple[str, tuple[str, ...]]], shape: RowShape | None = None
) -> Values | RowProblem:
    raw = raw.rstrip("\r\n")  # as it is kept
    try:
        if raw.count("{") + raw.count("[") > MAX_DEPTH:
            _refuse_deep(raw)
        found = _object(raw)
        if shape:
            shape.learn(found)
        inner: dict[tuple[str, ...], Fields] = {(): found}
        return tuple(_field_text(inner, name, path) for name, path in paths)
    except (msgspec.DecodeError, _FieldError) as error:
        return malformed(_complaint(raw, error))


def _field_text(inner: dict[tuple[str, ...], Fields], name: str, path: tuple[str, ...]) -> str | None:
    """Return a field by its name, else by its path; for a path that ends in a star the object it leads to."""
    found = inner[()]
    if name.endswith(ANY) and path[-1:] != (ANY,):
        return None  # all columns of a prefix, which JSON has not
    if not path or (name in found and path[-1] != ANY):
        return _scalar_text(found.get(name, _MISSING))
    if path[-1] != ANY:
        return _scalar_text(_along(inner, path))
    whole = str(_along(inner, path[:-1]), "utf-8")
    if whole == "null":
        return None
    if whole[0] != "{":
        raise _FieldError(f"{shown('.'.join(path[:-1]))} holds {shown(whole)}, no object")
    return msgspec.json.encode({key: _scalar_text(raw) for key, raw in _object(whole).items()}).decode()


def _object(text: str) -> Fields:
    """Decode one object, and refuse a key that stands twice."""
    found: Fields = msgspec.json.decode(text, type=Fields)
    # Each key has two quotation marks, and what else there is stands in the values; a key that stands
    # twice was found once, and its marks are too many.
    if text.count('"') != 2 * len(found) + b"".join(found.values()).count(b'"'):
        _refuse_twice(text)
    return found


def _refuse_twice(text: str) -> None:
    pairs: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=list, parse_int=str, parse_float=str)
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        twice = next(key for position, key in enumerate(keys) if key in keys[:position])
        raise _FieldError(f"key {shown(twice)} stands in it more than once")


def _refuse_deep(raw: str) -> None:
    depth = 0
    for bracket in _BRACKETS.finditer(raw):
        depth += bool(bracket[1]) - bool(bracket[2])
        if depth > MAX_DEPTH:
            raise _FieldError(f"it is nested deeper than {MAX_DEPTH} levels")


def _along(inner: dict[tuple[str, ...], Fields], path: tuple[str, ...]) -> msgspec.Raw:
    """Follow a path of keys; an absent or null key on the way means an absent value."""
    for length, key in enumerate(path):
        raw = inner[path[:length]].get(key, _MISSING)
        if length == len(path) - 1:
            break
        text = str(raw, "utf-8")
        if text == "null":
            return _MISSING
        if text[0] != "{":
            raise _FieldError(f"{shown('.'.join(path[: length + 1]))} holds {shown(text)}, no object")
        if path[: length + 1] not in inner:
            inner[path[: length + 1]] = _object(text)
    return raw


def _scalar_text(raw: msgspec.Raw) -> str | None:
    """Return the text of a JSON string, number or boolean; numbers exactly as written."""
    text = str(raw, "utf-8")
    if text[0] == '"':
        # Most strings hold no escape, and then the text between the quotes is the string.
        if "\\" not in text:
            return text[1:-1]
        decoded = msgspec.json.decode(text, type=str)
        if "\0" in decoded:
            raise _FieldError("a field holds a NUL character")
        return decoded
    if text == "null":
        return None
    if text[0] in "{[":
        raise _FieldError(f"a field holds {shown(text)} where text or a number belongs")
    return text


def _complaint(raw: str, error: Exception) -> str:
    if isinstance(error, _FieldError):
        return str(error)
    if isinstance(error, msgspec.ValidationError):
        return f"it is no JSON object but {shown(raw.strip())}"
    return f"it is no JSON: {error}"


def _refuse_wrapped_list(file: str, raw: str, names: Sequence[str]) -> None:
    """Refuse one object that holds a list, and nothing that is wanted, as the whole of the rows."""
    wrapped = WRAPPED_LIST.match(raw)
    if not wrapped:
        return
    try:
        keys = set(msgspec.json.decode(raw, type=Fields))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        keys = set(re.findall(r'"((?:[^"\\]|\\.)*+)"\s*:', wrapped[0]))
    if not keys & {root for name in names for root in (name, name.partition(".")[0])}:
        raise wrapped_list(file, wrapped[1])
