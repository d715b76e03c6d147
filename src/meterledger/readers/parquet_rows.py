"""Rows of Parquet: read a batch at a time, and written as the line of JSON that is kept of them."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from meterledger.domain.usage import shown
from meterledger.errors import IncompleteInputError, InputError
from meterledger.readers.columns import refuse_missing
from meterledger.readers.files import InputFile
from meterledger.readers.json_rows import values_reader
from meterledger.readers.raw_rows import RawRow, Wanted, unreadable

_BATCH_ROWS = 8_192
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_MICROSECONDS = 10**6


def parquet_rows(source: InputFile, wanted: Wanted) -> Iterator[RawRow]:
    """
    Read the rows of a Parquet file; a row's line is its number, from 1.

    Raises:
        InputError: pyarrow is not installed, or the file is damaged or lacks a column.
        IncompleteInputError: It cannot be read on.
    """
    arrow, parquet = _pyarrow(source.name)
    row = 0
    try:
        file = parquet.ParquetFile(source.file)
        _check_columns(source.name, file.schema_arrow, wanted)
        values_of = values_reader(wanted.names)
        for raw in _lines_of_json(file):
            row += 1
            yield row, unreadable(raw) or values_of(raw), raw
    except (arrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        # A damaged index may name columns that are no text, or sizes beyond any memory.
        complaint = shown(str(error).partition("\n")[0], 200)
        if row:
            raise IncompleteInputError(
                f"{source.name} could only be read up to row {row}: {complaint}",
                hint="get the file again, whole; rows that are in already are duplicates",
            ) from error
        raise InputError(
            f"{source.name} cannot be read as Parquet: {complaint}", hint="get the file again, whole"
        ) from error


def _lines_of_json(file: Any) -> Iterator[str]:
    """Write each row as a line of JSON; one row group after the other, so that damage costs its own only."""
    for group in range(file.num_row_groups):
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], use_threads=False):
            columns = [_values(column) for column in batch.columns]
            for fields in zip(*columns, strict=True):
                yield _line_of_json(dict(zip(batch.schema.names, fields, strict=True)))


def _pyarrow(name: str) -> tuple[Any, Any]:
    try:
        import pyarrow as arrow  # noqa: ICN001, PLC0415 # comes with an extra
        from pyarrow import parquet  # noqa: PLC0415 # as above
    except ImportError as error:
        raise InputError(
            f"{name} is Parquet, which the package pyarrow reads, and that is not installed",
            hint="pip install 'meterledger[arrow]', or convert the file to CSV or JSONL",
        ) from error
    return arrow, parquet


def _check_columns(name: str, schema: Any, wanted: Wanted) -> None:
    """Refuse a file as a CSV file with these columns would be refused."""
    names = list(schema.names)
    if twice := [one for one in wanted.names if names.count(one) > 1]:
        raise InputError(f"{name}: it has column {shown(twice[0])} more than once", hint="rename one of them")
    refuse_missing(name, names, wanted, {one for one in wanted.names if _leads_somewhere(schema, one)})


def _leads_somewhere(schema: Any, name: str) -> bool:
    """Tell whether a name is that of a column, or the path of a field in one."""
    if name in schema.names:
        return True
    key, *path = name.split(".")
    if key not in schema.names:
        return False
    found = schema.field(key).type
    for key in path:
        at = found.get_field_index(key) if hasattr(found, "get_field_index") else -1
        if at < 0:
            return False
        found = found.field(at).type
    return True


def _values(column: Any) -> Sequence[object]:
    """Return the values of a column as JSON takes them: text, integers, booleans, objects and lists."""
    import pyarrow.types as kinds  # noqa: PLC0415 # as above

    kind = column.type
    if kinds.is_dictionary(kind):
        return _values(column.dictionary_decode())
    if kinds.is_struct(kind):
        return _objects(column)
    if kinds.is_timestamp(kind):
        return [_instant(ticks, kind) for ticks in column.cast("int64").to_pylist()]
    if kinds.is_string(kind) or kinds.is_large_string(kind):
        texts = column.cast("large_binary").to_pylist()
        return [text if text is None else text.decode(errors="surrogateescape") for text in texts]
    try:
        return [_jsonable(value) for value in column.to_pylist()]
    except (ValueError, OverflowError):
        return [_jsonable_or_unreadable(value) for value in column]


def _objects(column: Any) -> Sequence[object]:
    inner = [_values(field) for field in column.flatten()]
    names = [column.type.field(at).name for at in range(column.type.num_fields)]
    rows = zip(*inner, strict=True) if inner else [()] * len(column)
    return [
        dict(zip(names, row, strict=True)) if is_valid else None
        for row, is_valid in zip(rows, column.is_valid().to_pylist(), strict=True)
    ]


def _jsonable_or_unreadable(scalar: Any) -> object:
    try:
        return _jsonable(scalar.as_py())
    except (ValueError, OverflowError) as error:
        return f"unreadable: {error}"


def _jsonable(value: object) -> object:
    """Return a value of a list or an object, or one of a rarer kind, as JSON takes it."""
    match value:
        case None | str() | bool() | int():
            found: object = value
        case bytes():
            # Some writers mark no text as text.
            found = value.decode() if _is_text(value) else {"bytes": value.hex()}
        case dict():
            found = {str(key): _jsonable(one) for key, one in value.items()}
        case list() | tuple():
            found = [_jsonable(one) for one in value]
        case Decimal():
            found = f"{value:f}"
        case date() | time():
            found = value.isoformat()
        case _:
            found = repr(value) if isinstance(value, float) else str(value)
    return found


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _instant(ticks: int | None, kind: Any) -> str | None:
    """Write a timestamp as RFC 3339, cut to microseconds; with an offset if its column has a zone."""
    if ticks is None:
        return None
    microseconds = ticks * _MICROSECONDS // _UNITS_PER_SECOND[kind.unit]
    try:
        text = (_EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=None).isoformat()
    except OverflowError:
        return f"{ticks} {kind.unit} since 1970"
    return f"{text}Z" if kind.tz else text


def _line_of_json(row: dict[str, object]) -> str:
    try:
        return msgspec.json.encode(row).decode()
    except UnicodeEncodeError:  # bytes that are no UTF-8, as the row is about to be refused for
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"))
