"""Mapping hints: rows whose fields have other names than their source says, said once for the file."""

from collections.abc import Iterator, Sequence
from itertools import takewhile

import msgspec

from meterledger.domain.row_mapping import RowMapping
from meterledger.domain.row_rules import RowRules
from meterledger.domain.source import Source
from meterledger.domain.usage import Reason, shown
from meterledger.errors import InputError
from meterledger.readers import InputFormat
from meterledger.readers.columns import MAP_COLUMNS, likely_columns
from meterledger.usecases.parsing import ParsedChunk

_ROWS_LOOKED_AT = 10
"""So many rows at the start of a file have to lack the same fields; fewer if all its rows do."""
_MAX_DEPTH = 3
_MAX_KEYS_CHARS = 200


def mapping_hint(file: str, input_format: InputFormat, chunk: ParsedChunk, rules: RowRules) -> str:
    """
    Return what to map, where the first rows of a JSON file all lack the same keys; else an empty text.

    CSV and Parquet have a header, which is refused as a whole.
    """
    if input_format not in (InputFormat.JSONL, InputFormat.JSON) or not chunk.rejections:
        return ""
    first = chunk.rejections[0]
    alike = takewhile(
        lambda one: (one.reason, one.message) == (Reason.MISSING_FIELD, first.message), chunk.rejections
    )
    lacking = [one.line for one, _ in zip(alike, range(_ROWS_LOOKED_AT), strict=False)]
    accepted = (line for part in chunk.parts for line in part.lines)
    others = [*accepted, *(one.line for one in chunk.rejections[len(lacking) :])]
    if not lacking or (others and (min(others) < lacking[-1] or len(lacking) < _ROWS_LOOKED_AT)):
        return ""
    keys = _keys(first.raw)
    required = RowMapping(rules.source, rules.catalogue).required
    missing = [(field, name) for name, field in required.items() if name not in keys]
    if not (keys and missing):
        return ""
    listed = ", ".join(name for _, name in missing)
    is_another = len(missing) == len(required)
    what = f"{file}: the rows have no {listed}; they have {shown(', '.join(keys), _MAX_KEYS_CHARS)}."
    return f"{what}\n  {_of_preset(rules.source, is_another=is_another) or likely_columns(missing, keys)}"


def in_words_of_preset(error: InputError, source: Source) -> InputError:
    """Return the error of a header that lacks columns, as it is to be said where a preset named them."""
    if error.hint.startswith(MAP_COLUMNS) and (hint := _of_preset(source, is_another=False)):
        error.hint = hint
    return error


def _of_preset(source: Source, *, is_another: bool) -> str:
    if source.preset is None:
        return ""
    rules = source.preset.rules
    needed = ", ".join((*rules.columns.values(), *rules.key_columns, *["payload"] * source.preset.is_stripes))
    said = "this is no such file" if is_another else "is this one?"
    return f"the preset {source.preset} is for files with {needed}: {said}"


def _keys(raw: str) -> Sequence[str]:
    """Return the keys of an object, those of objects in it by their paths; none if it was cut."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return []
    return list(_paths(found)) if isinstance(found, dict) else []


def _paths(found: dict[str, object], inside: str = "", depth: int = 1) -> Iterator[str]:
    for key, value in found.items():
        if isinstance(value, dict) and depth < _MAX_DEPTH:
            yield from _paths(value, f"{inside}{key}.", depth + 1)
        else:
            yield inside + key
