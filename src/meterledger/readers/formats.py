"""The formats that can be read: told by the name or the user, and checked against the content."""

import os
import re
from enum import StrEnum

import msgspec

from meterledger.domain.usage import shown
from meterledger.errors import InputError, UsageError
from meterledger.readers.compression import COMPRESSION_SUFFIXES, Compression, compression_of

BOM = b"\xef\xbb\xbf"
DELIMITER_NAMES = {"comma": ",", "tab": "\t", "semicolon": ";", "bar": "|", "colon": ":", "space": " "}
"""Delimiters that can be named by a word."""
_NO_DELIMITERS = '"\r\n\0'


class InputFormat(StrEnum):
    """The formats that can be read."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    JSON = "json"
    """One JSON array."""
    PARQUET = "parquet"


_SUFFIXES = {
    ".csv": InputFormat.CSV,
    ".tsv": InputFormat.TSV,
    ".tab": InputFormat.TSV,
    ".jsonl": InputFormat.JSONL,
    ".ndjson": InputFormat.JSONL,
    ".json": InputFormat.JSON,
    ".parquet": InputFormat.PARQUET,
}
_SPOKEN = {
    InputFormat.CSV: "CSV",
    InputFormat.TSV: "TSV",
    InputFormat.JSONL: "JSONL",
    InputFormat.JSON: "a JSON array",
    InputFormat.PARQUET: "Parquet",
}
_UTF_16 = "UTF-16 text"
_SPREADSHEET = "a ZIP archive or a spreadsheet"
_FOREIGN = (
    (rb"PK\x03\x04", _SPREADSHEET),
    (rb"\xd0\xcf\x11\xe0", "an old Excel or Office file"),
    (rb"SQLite format 3\x00", "a SQLite database"),
    (rb"\xff\xfe|\xfe\xff|(?:[^\0]\0){4}|(?:\0[^\0]){4}", _UTF_16),
    (rb"%PDF", "PDF"),
    (rb"PARE", "encrypted Parquet"),
    (rb"Obj\x01", "Avro"),
    (rb"ORC", "ORC"),
    (rb".{257}ustar", "a tar archive"),
    (rb"(?i:\s*<(?:!doctype|html))", "an HTML page"),
    (rb"(?:\xef\xbb\xbf)?\s*<\?xml", "XML"),
)
_HINT_CONVERT = "convert it to CSV, TSV, JSONL, a JSON array or Parquet first"
_HINTS = {
    _UTF_16: "save it as UTF-8: iconv -f utf-16 -t utf-8 OLD > NEW",
    _SPREADSHEET: "unpack it, or save the sheet as CSV in UTF-8",
}
WRAPPED_LIST = re.compile(
    r'\s*\{(?:\s*"(?:[^"\\]|\\.)*+"\s*:\s*(?:"(?:[^"\\]|\\.)*+"|[-+.\w]++)\s*,)*+\s*"([^"\\]*+)"\s*:\s*\[\s*[{\]]'
)
"""An object that begins, after any scalars, with a list of objects: its key is the first group."""


def delimiter_of(text: str) -> str:
    """
    Return the delimiter that an option or the config names: one character, or a word for one.

    Raises:
        UsageError: It is neither.
    """
    delimiter = DELIMITER_NAMES.get(text.lower(), text)
    if len(delimiter) != 1 or delimiter in _NO_DELIMITERS:
        words = ", ".join(DELIMITER_NAMES)
        raise UsageError(f"{shown(text)} is no delimiter", hint=f"name one character, or one of {words}")
    return delimiter


def format_by_name(name: str) -> tuple[InputFormat | None, Compression | None]:
    """Tell from a file's name what it says it holds, and how that is compressed."""
    stem, suffix = os.path.splitext(name.lower())  # noqa: PTH122 # name may be "-"
    compression = COMPRESSION_SUFFIXES.get(suffix)
    if compression:
        suffix = os.path.splitext(stem)[1]  # noqa: PTH122 # as above
    return _SUFFIXES.get(suffix), compression


def check_compression(name: str, head: bytes, declared: InputFormat | None) -> Compression | None:
    """Tell the compression of a file by its first bytes; InputError if its name says something else."""
    found = compression_of(head)
    said_format, said = format_by_name(name)
    if said and found is not said:
        raise InputError(
            f"{name} is said to be {said} but looks like {found or _look(head)}", hint="rename it"
        )
    if found and not said and said_format and not declared:
        raise InputError(
            f"{name} is said to be {_SPOKEN[said_format]} but looks like {found}",
            hint=f"rename it, such as {name}{_suffix_of(found)}, or say --input-format {said_format}",
        )
    return found


def _suffix_of(compression: Compression) -> str:
    return next(suffix for suffix, one in COMPRESSION_SUFFIXES.items() if one is compression)


def _look(head: bytes) -> str:
    look = _looks_like(head)
    return _foreign(head) or (_SPOKEN[look] if look else "blank text")


def recognized(
    name: str, head: bytes, *, declared: InputFormat | None, compression: Compression | None
) -> InputFormat:
    """
    Tell the format of a file by the user's word, its name and its first bytes.

    Raises:
        InputError: They contradict each other, or it is of a kind that cannot be read.
    """
    if kind := _foreign(head):
        inside = f"{compression} with {kind} in it" if compression else kind
        raise InputError(
            f"{name} looks like {inside}",
            hint="unpack it first" if compression_of(head) else _HINTS.get(inside, _HINT_CONVERT),
        )
    said = declared or format_by_name(name)[0]
    looks_like = _looks_like(head)
    if looks_like is InputFormat.PARQUET and compression:
        raise InputError(f"{name} looks like Parquet inside {compression}", hint="unpack it first")
    if looks_like is None and said is not InputFormat.PARQUET:
        return (
            said if said and said is not InputFormat.JSON else InputFormat.JSONL if said else InputFormat.CSV
        )
    if said is InputFormat.JSON and not declared and looks_like is InputFormat.JSONL:
        said = InputFormat.JSONL
    if said is InputFormat.TSV and looks_like is InputFormat.CSV:
        looks_like = InputFormat.TSV
    if said and said is not looks_like:
        raise InputError(
            f"{name} is said to be {_SPOKEN[said]} but looks like "
            f"{_SPOKEN[looks_like] if looks_like else 'blank text'}: "
            f"it begins with {shown(head[:40].decode(errors='replace'))}",
            hint=f"rename it, or say --input-format {looks_like}" if looks_like else "",
        )
    input_format = looks_like or InputFormat.CSV
    _refuse_other_text(name, head, input_format)
    return input_format


def _foreign(head: bytes) -> str | None:
    if compression := compression_of(head):
        return compression
    return next((kind for look, kind in _FOREIGN if re.match(look, head, re.DOTALL)), None)


def _looks_like(head: bytes) -> InputFormat | None:
    """Tell the format by the first character that is no white space; None where there is none."""
    if head.startswith(b"PAR1"):
        return InputFormat.PARQUET
    match head.removeprefix(BOM).lstrip()[:1]:
        case b"":
            return None
        case b"{":
            return InputFormat.JSONL
        case b"[":
            return InputFormat.JSON
        case _:
            return InputFormat.CSV


def _refuse_other_text(name: str, head: bytes, input_format: InputFormat) -> None:
    """Refuse text that has the right first character and is something else all the same."""
    if input_format in {InputFormat.JSON, InputFormat.PARQUET}:
        return
    if b"\n" not in head and re.search(rb"\r[^\r\n]", head):
        raise InputError(
            f"{name} looks like text with the line ends of an old Mac: carriage returns and no line feed",
            hint=r"turn them into line feeds: tr '\r' '\n' < OLD > NEW",
        )
    if input_format is not InputFormat.JSONL:
        return
    text = head.removeprefix(BOM).decode(errors="replace").lstrip()
    first, _, behind = text.partition("\n")
    if behind and _is_cut(first):
        if wrapped := WRAPPED_LIST.match(text):
            raise wrapped_list(name, wrapped[1])
        if behind.lstrip()[:1] in {'"', "}"}:
            raise InputError(
                f"{name} looks like JSON objects over several lines; JSONL has one object on each line",
                hint=f"write one object on each line: jq -c . {name}",
            )


def _is_cut(line: str) -> bool:
    """Tell whether a line is JSON that goes on behind it."""
    try:
        msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        return "truncated" in str(error)
    except RecursionError:
        return False
    return False


def wrapped_list(name: str, key: str) -> InputError:
    """Return the error for one JSON object that holds the rows in a list."""
    return InputError(
        f"{name} looks like one JSON object with a list under {shown(key)}; rows are read from a bare list",
        hint=f"take the list out: jq -c '.{key}[]' {name} > rows.jsonl",
    )
