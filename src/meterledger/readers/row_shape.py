"""Simple JSON objects that look like the one before: read in one step, without a look at each field."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import astuple

from meterledger.domain.row_check import Values
from meterledger.readers.raw_rows import RowProblem

Fields = dict[str, msgspec.Raw]
"""The keys of an object, and their values as they were written."""

_MAX_MISSES = 1_000
"""Objects that did not look like the one before them; after so many it is no longer expected."""
_MAX_PLAIN = 10**18
"""Larger integers are left to the thorough way, which keeps them as text of any length."""


class RowShape:
    """
    Reads objects with the same keys and kinds of values as one that was learned.

    Only objects that are simple in every respect: no escape, nothing nested, and one comma fewer than
    keys, so that no key can stand twice. What is not, is left to the thorough way.
    """

    def __init__(self, names: Sequence[str], otherwise: Callable[[str], Values | RowProblem]) -> None:
        self._otherwise = otherwise
        self._names = tuple(names)
        self._misses = 0 if len(set(names)) == len(names) else _MAX_MISSES
        self._commas = -1
        self._decode: Callable[[str], Any] = _nothing
        self._decode_many: Callable[[str], Any] = _nothing
        self._present: tuple[int, ...] = ()
        self._numbers: tuple[int, ...] = ()
        self._has_others = False

    def values(self, raw: str) -> Values | RowProblem:
        """Return the wanted fields of an object; if it is not of this shape, by the thorough way."""
        if "\\" in raw or "[" in raw or raw.rfind("{") > 0 or raw.count(",") != self._commas:
            return self._otherwise(raw)
        try:
            values = astuple(self._decode(raw))
        except (msgspec.DecodeError, TypeError):
            return self._otherwise(raw)
        if self._has_others:
            values = values[: len(self._names)]
        texts = None
        for position in self._numbers:
            value = values[position]
            if value.__class__ is str or value is None:
                continue
            # Zero may have been written as -0, and what is no integer is no text.
            if value.__class__ is not int or not value or not -_MAX_PLAIN < value < _MAX_PLAIN:
                return self._otherwise(raw)
            texts = texts or [*values]
            texts[position] = str(value)
        return tuple(texts) if texts else values

    def columns(self, text: str, count: int) -> Sequence[Sequence[str | None] | None] | None:
        """
        Return the wanted fields of many objects by columns, None for a field that none of them has.

        None in place of all of them if any object is not of this shape.

        Args:
            text: The objects, each on a line of its own.
            count: How many lines those are.
        """
        if self._commas < 0 or not _are_plain_objects(text, count):
            return None
        # Every object has all keys of the shape: none has one twice if there are no more commas than that.
        if text.count(",") != count * self._commas:
            return None
        in_a_list = text.replace("}\n{", "},{")
        try:
            rows = self._decode_many(f"[{in_a_list}]")
        except msgspec.DecodeError:
            return None
        # A text that runs over a line end makes one object of two lines.
        if len(rows) != count:
            return None
        columns: list[Sequence[Any] | None] = [None] * len(self._names)
        for position in self._present:
            column: Sequence[Any] | None = list(map(attrgetter(f"field{position}"), rows))
            if position in self._numbers and (column := _texts_of_numbers(column or (), text)) is None:
                return None
            columns[position] = column
        return columns

    def learn(self, found: Fields) -> None:
        """Take the shape of an object that was read in the thorough way."""
        if self._misses >= _MAX_MISSES:
            return
        self._misses += 1
        others = [key for key in found if key not in self._names]
        fields: list[Any] = []
        for position, name in enumerate(self._names):
            if name not in found:
                fields.append((f"field{position}", msgspec.UnsetType, None))
            elif bytes(found[name])[:1] == b'"':
                fields.append((f"field{position}", str | None))
            else:
                fields.append((f"field{position}", Any))
        fields += [(f"other{position}", msgspec.Raw) for position in range(len(others))]
        keys = dict(zip((field[0] for field in fields), (*self._names, *others), strict=True))
        try:
            shape = msgspec.defstruct(
                "Row", fields, kw_only=True, gc=False, forbid_unknown_fields=True, rename=keys
            )
        except ValueError:  # a key that no field can have
            return
        self._decode = msgspec.json.Decoder(shape, float_hook=str).decode
        self._decode_many = msgspec.json.Decoder(list[shape], float_hook=str).decode  # type: ignore[valid-type] # made above
        self._commas = len(found) - 1
        self._present = tuple(position for position, name in enumerate(self._names) if name in found)
        self._numbers = tuple(position for position, field in enumerate(fields) if field[1] is Any)
        self._has_others = bool(others)


def _nothing(_raw: str) -> None:
    """Decode nothing, before a shape is known; `astuple` takes no None."""


def _are_plain_objects(text: str, count: int) -> bool:
    """Tell whether each line is one object, with nothing nested in it and no escape."""
    return (
        text.startswith("{")
        and text.rstrip("\n").endswith("}")
        and text.count("{") == count == text.count("}\n{") + 1
        and "\\" not in text
        and "[" not in text
    )


def _texts_of_numbers(column: Sequence[Any], text: str) -> Sequence[str | None] | None:
    """Write integers as text again; None where that may not be the text that was read."""
    kinds = set(map(type, column))
    if not kinds <= {int, str, type(None)}:
        return None
    if int in kinds:
        numbers = [value for value in column if value.__class__ is int]
        if not -_MAX_PLAIN < min(numbers) <= max(numbers) < _MAX_PLAIN:
            return None
        # Zero may have been written as -0.
        if 0 in numbers and (":-0" in text or ": -0" in text):
            return None
    return [str(value) if value.__class__ is int else value for value in column]
