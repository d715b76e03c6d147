"""Rows of CSV and JSONL files: the fields that are wanted of each, its line and its text."""

import csv
import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

import msgspec

from meterledger.domain.row_check import Values
from meterledger.domain.usage import Reason, shown
from meterledger.errors import InputError
from meterledger.readers.files import InputFile, InputFormat, reading_errors
from meterledger.readers.lines import MAX_ROW_BYTES, PhysicalLines, foreign_bytes_shown, is_too_long


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to bring of each row: fields by their names in the file, in the order they are brought in."""

    names: tuple[str, ...]
    required: Mapping[str, str]
    """Name in the file -> the field it stands for, of those that a header must have."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row cannot be read at all."""

    reason: Reason
    message: str


RawRow = tuple[int, Values | RowProblem, str]
"""The line a row starts on, its fields in the order wanted, and its text."""


def read_rows(source: InputFile, wanted: Wanted) -> Iterator[RawRow]:
    """
    Read the rows of a file, lazily.

    Raises:
        InputError: The header of a CSV file lacks a required column, or names one twice.
    """
    lines = PhysicalLines(source.file)
    lines.taken = source.lines_before
    with reading_errors(source.name):
        if source.input_format is InputFormat.CSV:
            yield from _csv_rows(source.name, lines, wanted)
        else:
            yield from _jsonl_rows(lines, wanted.names)


def _csv_rows(file: str, lines: PhysicalLines, wanted: Wanted) -> Iterator[RawRow]:
    csv.field_size_limit(MAX_ROW_BYTES)
    reader = csv.reader(lines, strict=True)
    header = _header(file, reader, lines)
    width = len(header)
    pick = itemgetter(*_positions(file, header, wanted))
    while True:
        line = lines.taken + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # A stray quote would swallow the lines behind it: only the first one is given up.
            raw = lines.take_first()
            reader = csv.reader(lines, strict=True)
            yield line, _unreadable(raw, oversized=lines.oversized) or _malformed(str(error)), raw
            continue
        raw = lines.take()
        if lines.has_foreign_bytes or lines.oversized or len(raw) * 4 > MAX_ROW_BYTES:
            problem = _unreadable(raw, oversized=lines.oversized)
            if problem:
                yield line, problem, raw
                continue
        if len(fields) != width:
            if raw.strip():
                yield line, _malformed(f"it has {len(fields)} fields, the header has {width}"), raw
            continue
        fields.append(None)  # type: ignore[arg-type] # what an absent column reads as
        yield line, pick(fields), raw


def _header(file: str, reader: Iterator[list[str]], lines: PhysicalLines) -> list[str]:
    try:
        header = next((fields for fields in reader if any(name.strip() for name in fields)), [])
    except csv.Error as error:
        raise InputError(f"{file}:1: the header is no CSV: {error}", hint="mend its first line") from error
    raw = lines.take()
    if problem := _unreadable(raw, oversized=lines.oversized):
        raise InputError(f"{file}:1: the header cannot be read: {problem.message}")
    return [name.strip() for name in header]


def _positions(file: str, header: Sequence[str], wanted: Wanted) -> list[int]:
    """Return where each wanted column stands; an absent optional one stands behind the last."""
    counts = Counter(header)
    if twice := [name for name in wanted.names if counts[name] > 1]:
        raise InputError(
            f"{file}:1: the header names column {shown(twice[0])} more than once", hint="rename one of them"
        )
    missing = [(field, name) for name, field in wanted.required.items() if name not in counts]
    if missing:
        listed = ", ".join(name for _, name in missing)
        raise InputError(
            f"{file}:1: the header lacks the required column{'s' * (len(missing) > 1)} {listed}; "
            f"it has {shown(', '.join(header), 200)}",
            hint=_column_hint(missing, header),
        )
    return [header.index(name) if name in counts else len(header) for name in wanted.names]


def _column_hint(missing: Sequence[tuple[str, str]], header: Sequence[str]) -> str:
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and separator in header[0]:
            return f"it looks separated by {name}; only commas are read"
    by_plain_name = {name.lower().replace(" ", "_"): name for name in header}
    pairs = []
    for field, name in missing:
        close = difflib.get_close_matches(name, by_plain_name, n=1)
        if close := close or difflib.get_close_matches(field, by_plain_name, n=1, cutoff=0.5):
            pairs.append(f"{field} = {shown(by_plain_name[close[0]])}")
    found = ", ".join(pairs) or 'event_time = "ts"'
    return f"map the columns in the config, below [sources.NAME.columns]: {found}"


def _jsonl_rows(lines: PhysicalLines, names: Sequence[str]) -> Iterator[RawRow]:
    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    for _ in lines:
        line = lines.taken + 1
        raw = lines.take()
        if lines.has_foreign_bytes or lines.oversized or len(raw) * 4 > MAX_ROW_BYTES:
            problem = _unreadable(raw, oversized=lines.oversized)
            if problem:
                yield line, problem, raw
                continue
        if raw.isspace():
            continue
        try:
            found = decode(raw)
            yield line, [_scalar_text(found.get(name)) for name in names], raw
        except (msgspec.DecodeError, RecursionError, _FieldError) as error:
            yield line, _malformed(_json_complaint(raw, error)), raw


class _FieldError(ValueError):
    """A field of a JSON row holds what no field can hold."""


def _scalar_text(raw: msgspec.Raw | None) -> str | None:
    """Return the text of a JSON string, number or boolean; numbers exactly as written."""
    if raw is None:
        return None
    text = bytes(raw).decode()
    if text[0] == '"':
        # Most strings hold no escape, and then the text between the quotes is the string.
        if "\\" not in text:
            return text[1:-1]
        decoded = msgspec.json.decode(raw, type=str)
        if "\0" in decoded:
            raise _FieldError("a field holds a NUL character")
        return decoded
    if text == "null":
        return None
    if text[0] in "{[":
        raise _FieldError(f"a field holds {shown(text)} where text or a number belongs")
    return text


def _json_complaint(raw: str, error: Exception) -> str:
    if isinstance(error, _FieldError):
        return str(error)
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, msgspec.ValidationError):
        return f"it is no JSON object but {shown(raw.strip())}"
    return f"it is no JSON: {error}"


def _malformed(message: str) -> RowProblem:
    return RowProblem(Reason.MALFORMED_ROW, f"{message}; mend the row")


def _unreadable(raw: str, *, oversized: bool) -> RowProblem | None:
    try:
        raw.encode()
    except UnicodeEncodeError as error:
        shown_bytes = foreign_bytes_shown(raw[error.start : error.end])
        return RowProblem(
            Reason.NOT_UTF8, f"it holds {shown_bytes}, which is no UTF-8; save the file as UTF-8"
        )
    if oversized or is_too_long(raw):
        return RowProblem(Reason.ROW_TOO_LONG, f"it is larger than {MAX_ROW_BYTES} bytes; split it")
    if "\0" in raw:
        return _malformed("it holds a NUL character")
    return None
