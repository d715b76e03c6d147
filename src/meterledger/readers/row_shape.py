"""Simple JSON objects that look like the one before: read in one step, without a look at each field."""

from collections.abc import Callable, Sequence
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
        self._commas = len(found) - 1
        self._numbers = tuple(position for position, field in enumerate(fields) if field[1] is Any)
        self._has_others = bool(others)


def _nothing(_raw: str) -> None:
    """Decode nothing, before a shape is known; `astuple` takes no None."""
