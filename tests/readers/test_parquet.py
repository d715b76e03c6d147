"""Parquet files: columns as text, rows by their number, in the words of the other formats."""

import datetime as dt
import io
import json
import subprocess
import sys
from decimal import Decimal
from itertools import islice
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from meterledger.errors import IncompleteInputError, InputError
from meterledger.readers import InputFormat, RawRow, RowProblem, Wanted, read_rows
from support.files import input_file, outline, rows_of

NAMES = ("customer_id", "feature", "quantity", "event_time")
NOON = dt.datetime(2026, 10, 1, 12, 0, 0, 123456)  # noqa: DTZ001 # the column has the zone, or none
INSTANT = "2026-10-01T12:00:00.123456"


def table(**columns: Any) -> pa.Table:
    """Return a table with the columns that a file must have, and others."""
    some = next(iter(columns.values()), ["r1"])
    texts = {name: pa.array(["x"] * len(some)) for name in ("request_id", *NAMES)}
    return pa.table(texts | columns)


def written(content: pa.Table, **options: Any) -> bytes:
    """Return a table as a Parquet file."""
    out = io.BytesIO()
    parquet.write_table(content, out, **options)
    return out.getvalue()


def read(content: bytes, columns: dict[str, str] | None = None) -> list[RawRow]:
    """Return every row of a Parquet file."""
    return rows_of(content, InputFormat.PARQUET, columns)


def read_value(column: pa.Array, name: str = "request_id") -> str | None:
    """Return what is read of a column with one value."""
    key = name.partition(".")[0]
    ((_, found, _),) = read(written(table(**{key: column})), {"request_id": name})
    assert not isinstance(found, RowProblem), found
    return found[0]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["Zo\u00eb \U0001f600"]), "Zo\u00eb \U0001f600"),
        (pa.array(["x"], pa.large_string()), "x"),
        (pa.array([b"marked as no text"]), "marked as no text"),
        (pa.array(["x"]).dictionary_encode(), "x"),
        (pa.array([None], pa.string()), None),
        (pa.array([None]), None),
        (pa.array([-5], pa.int8()), "-5"),
        (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
        (pa.array([Decimal("1.50")], pa.decimal128(20, 2)), "1.50"),
        (pa.array([Decimal("12345678901234567890123456789.012345678")], pa.decimal256(40, 9)),
         "12345678901234567890123456789.012345678"),
        (pa.array([0.1]), "0.1"),
        (pa.array([1e22]), "1e+22"),
        (pa.array([float("nan")]), "nan"),
        (pa.array([True]), "true"),
        (pa.array([NOON], pa.timestamp("us")), INSTANT),
        (pa.array([NOON], pa.timestamp("us", "UTC")), INSTANT + "Z"),
        (pa.array([NOON], pa.timestamp("us", "Europe/Berlin")), INSTANT + "Z"),
        (pa.array([1_790_856_000_123_456_789], pa.timestamp("ns", "UTC")), "2026-10-01T12:00:00.123456Z"),
        (pa.array([1_790_856_000], pa.timestamp("s")), "2026-10-01T12:00:00"),
        (pa.array([2**60], pa.timestamp("ms", "UTC")), f"{2**60} ms since 1970"),
        (pa.array([dt.date(2026, 10, 1)]), "2026-10-01"),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)  # fmt: skip
def test_values_are_text_without_loss(column: pa.Array, expected: str | None) -> None:
    """Numbers are exact, times RFC 3339 with an offset where the column has a zone."""
    assert read_value(column) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [({"tokens": Decimal("2.50")}, "2.50"), ({"tokens": None}, None), (None, None)]
)
def test_fields_of_structs_are_reached_by_their_path(value: object, expected: str | None) -> None:
    """A name with dots leads into a struct, as in JSON."""
    column = pa.array([value], pa.struct([("tokens", pa.decimal128(9, 2))]))

    assert read_value(column, "data.tokens") == expected


@pytest.mark.parametrize("column", [pa.array([[1]]), pa.array([b"\xff"]), pa.array([{"a": 1}])])
def test_what_is_no_text_or_number_is_refused_where_it_is_wanted(column: pa.Array) -> None:
    """Lists, structs and bytes are no fields; in columns that nobody reads they may stand."""
    assert outline(read(written(table(request_id=column)))) == [(1, "malformed_row")]
    assert outline(read(written(table(other=column)))) == [(1, "x")]


def test_rows_are_numbered_over_row_groups_and_kept_as_json() -> None:
    """A row's line is its number in the file, and its text one line of JSON."""
    content = written(table(request_id=[f"r{n}" for n in range(20_000)]), row_group_size=3_000)
    rows = read(content)

    assert outline(rows) == [(n + 1, f"r{n}") for n in range(20_000)]
    assert json.loads(rows[7][2])["request_id"] == "r7"
    assert "\n" not in rows[7][2]


def test_text_that_is_none_is_refused_with_its_row() -> None:
    """A string column can hold bytes that are no UTF-8; the row is refused, not the file."""
    buffers = pa.array([b"r1", b"\xff", b"r3"]).buffers()
    column = pa.StringArray.from_buffers(3, buffers[1], buffers[2])

    assert outline(read(written(table(request_id=column)))) == [(1, "r1"), (2, "not_utf8"), (3, "r3")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (written(pa.table({"request_id": ["r1"], "Customer ID": ["c"]})), "customer_id, feature"),
        (written(table(Received_At=["x"])), "'Received_At'"),
        (
            written(pa.Table.from_arrays([pa.array(["x"])] * 6, ["request_id", "request_id", *NAMES])),
            "more than once",
        ),
        (written(table())[:-9], "cannot be read as Parquet"),
        (b"PAR1PAR1", "cannot be read as Parquet"),
        (b"PAR1" + b"x" * 99, "cannot be read as Parquet"),
        (written(table(other=["x"])).replace(b"other", b"\xffther"), "cannot be read as Parquet"),
    ],
    ids=["missing", "spelling", "twice", "cut off", "empty", "no index", "no text"],
)
def test_a_file_that_cannot_do_is_refused(content: bytes, words: str) -> None:
    """A missing or repeated column, and a file that is damaged as a whole, are errors with their words."""
    with pytest.raises(InputError) as refused:
        read(content)
    assert words in refused.value.message


def test_damage_in_the_middle_keeps_the_rows_before() -> None:
    """Where a row group is damaged, what came before it was brought, and the error says how far."""
    groups = [table(request_id=[f"r{n}-{m}" for m in range(100)]) for n in range(3)]
    content = bytearray(written(pa.concat_tables(groups), row_group_size=100, compression="gzip"))
    start = (
        parquet.ParquetFile(io.BytesIO(bytes(content))).metadata.row_group(2).column(0).dictionary_page_offset
    )
    content[start : start + 60] = b"\xff" * 60
    rows = read_rows(input_file(bytes(content), InputFormat.PARQUET), Wanted(("request_id",), {}))
    found = list(islice(rows, 200))

    assert [line for line, _, _ in found] == list(range(1, 201))
    with pytest.raises(IncompleteInputError, match="up to row 200"):
        next(rows)


def test_without_pyarrow_the_extra_is_named() -> None:
    """Who has no pyarrow is told which extra brings it, and everything else is read."""
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from support.files import *\n"
        "assert len(rows_of(CSV_HEADER + csv_row('r1'))) == 1\n"
        "try:\n    rows_of(b'PAR1', InputFormat.PARQUET)\n"
        "except Exception as error:\n    print(type(error).__name__, error.hint)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                           env={"PYTHONPATH": ":".join(sys.path)})  # fmt: skip

    assert "InputError pip install 'meterledger[arrow]'" in ended.stdout
