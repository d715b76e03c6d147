"""The rows of a customers file, CSV or JSONL, as flat texts with their lines."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec


class SeedError(ValueError):
    """
    A row cannot be used.

    Args:
        line: Where it stands, from 1.
        column: What of it; empty where it is the whole line.
        why: What is wrong.
    """

    def __init__(self, line: int, column: str, why: str) -> None:
        super().__init__(f"line {line}, {column}: {why}" if column else f"line {line}: {why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: the line it begins on, and its fields by column, without blanks at their ends."""

    line: int
    values: Mapping[str, str]


def csv_rows(text: str) -> Iterator[Row]:
    """
    Yield the rows of a CSV file with a header; lines without any field are passed over.

    Raises:
        SeedError: A line is no CSV, has more or fewer fields than the header, or a column stands twice.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] = []
    line = 1
    try:
        for fields in reader:
            if not columns:
                columns = _header([field.strip() for field in fields], line)
            elif fields:
                if len(fields) != len(columns):
                    raise SeedError(line, "", f"has {len(fields)} fields, the header {len(columns)}")
                values = map(str.strip, fields)
                yield Row(line=line, values=dict(zip(columns, values, strict=True)))
            line = reader.line_num + 1
    except csv.Error as failure:
        raise SeedError(line, "", f"is no CSV: {failure}") from None


def jsonl_rows(text: str) -> Iterator[Row]:
    """
    Yield the rows of a JSONL file, an object on each line; empty lines are passed over.

    Raises:
        SeedError: A line is no JSON object, or a field is neither text nor a whole number nor null.
    """
    for line, given in enumerate(text.split("\n"), 1):
        if not given.strip():
            continue
        try:
            values = msgspec.json.decode(given, type=dict[str, object])
        except (msgspec.MsgspecError, ValueError, RecursionError) as failure:
            raise SeedError(line, "", f"is no JSON object: {failure}") from None
        yield Row(line=line, values={name: _text(line, name, value) for name, value in values.items()})


def _header(columns: list[str], line: int) -> list[str]:
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice is not None:
        raise SeedError(line, twice, "stands twice in the header")
    return columns


def _text(line: int, column: str, value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value.strip()
        case bool():
            pass
        case int():
            return str(value)
    raise SeedError(line, column, "is neither text nor a whole number")
