"""Damaged files: whatever is cut off or overwritten, nothing crashes and no line is lost or doubled."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.errors import InputError
from meterledger.readers import InputFormat, RawRow, RowProblem, Wanted, open_input, read_rows
from meterledger.readers.compression import Compression
from support.files import CSV_HEADER, input_file
from support.packing import PACK
from support.properties import steady
from support.writing import NAMES, written

WANTED = Wanted(NAMES, {name: name for name in NAMES})
ROWS = [(f"r{number}", "cus_1", "api,calls", "1", 'a "b"\n') for number in range(3)]
TEXT = [InputFormat.CSV, InputFormat.TSV, InputFormat.JSONL, InputFormat.JSON]


def read(path: Path) -> tuple[list[RawRow], InputError | None]:
    """Read a file as an import does; any error but an input error is a bug."""
    rows: list[RawRow] = []
    try:
        with open_input(str(path)) as source:
            rows += read_rows(source, WANTED)  # what came before an error stays
    except InputError as error:
        return rows, error
    return rows, None


def check_order(rows: list[RawRow]) -> None:
    """Rows come in the order of their lines, which begin with 1."""
    lines = [line for line, _, _ in rows]
    assert all(one <= other for one, other in pairwise([1, *lines]))


@pytest.mark.parametrize("input_format", TEXT)
@pytest.mark.parametrize("packing", [None, *Compression])
def test_a_text_file_may_be_cut_off_at_any_byte(
    tmp_path: Path, input_format: InputFormat, packing: Compression | None
) -> None:
    """
    Wherever a file ends, the rows before are read, and what was cut is a rejection or an error.

    Packed content is cut where nobody knows whether a line was whole, so there only whole ones are rows.
    """
    content = written(ROWS, input_format, "\t" if input_format is InputFormat.TSV else ",")[0]
    packed = PACK[packing](content) if packing else content
    path = tmp_path / f"usage.{input_format}"
    path = path.with_name(
        path.name + {None: "", "gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstandard": ".zst"}[packing]
    )
    for end in range(len(packed)):
        path.write_bytes(packed[:end])
        rows, error = read(path)
        check_order(rows)
        whole = [tuple(values) for _, values, _ in rows if not isinstance(values, RowProblem)]
        if packing:
            assert error is not None
            assert whole == ROWS[: len(whole)]
        else:
            assert whole[:-1] == ROWS[: max(len(whole) - 1, 0)]
            assert error or is_accounted_for(content[:end], rows, input_format)


def is_accounted_for(content: bytes, rows: list[RawRow], input_format: InputFormat) -> bool:
    """Tell whether every line of a text, but for a header or what is between elements, is in a row."""
    text = content.decode(errors="surrogateescape")
    if input_format in {InputFormat.CSV, InputFormat.TSV}:
        text = text.partition("\n")[2]
    if input_format is InputFormat.JSON:
        return len(rows) > 0
    return "".join(text.split()) == "".join("".join(raw.split()) for _, _, raw in rows)


def test_a_parquet_file_may_be_cut_off_at_any_byte(tmp_path: Path) -> None:
    """Parquet has its index at the end: a file that is cut off is an error."""
    content = written(ROWS, InputFormat.PARQUET, ",")[0]
    path = tmp_path / "usage.parquet"
    for end in range(0, len(content), 7):
        path.write_bytes(content[:end])

        assert read(path)[1] is not None


@pytest.mark.parametrize("input_format", InputFormat)
@pytest.mark.parametrize("packing", [None, *Compression])
def test_any_byte_may_be_overwritten(
    tmp_path: Path, input_format: InputFormat, packing: Compression | None
) -> None:
    """Files in which bytes were overwritten by chance are read or refused, in order, without a crash."""
    chance = random.Random(f"{input_format} {packing}")  # noqa: S311 # the same damage on every run
    content = written(ROWS, input_format, "\t" if input_format is InputFormat.TSV else ",")[0]
    packed = PACK[packing](content) if packing else content
    path = tmp_path / "usage"
    for _ in range(150):
        damaged = bytearray(packed)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.choice(
                (0, 10, 13, 34, 44, 91, 92, 123, 255, chance.randrange(256))
            )
        path.write_bytes(damaged)

        check_order(read(path)[0])


@steady
@given(
    lines=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters='"\r\n')).map(str.encode)
        | st.binary(max_size=8),
        max_size=8,
    ),
    input_format=st.sampled_from([InputFormat.CSV, InputFormat.JSONL]),
)
def test_each_line_without_quotes_is_one_row(lines: list[bytes], input_format: InputFormat) -> None:
    """Whatever stands on a line, each that is not blank is in exactly one row, with its own number."""
    content = b"\n".join(line.translate(None, b'"\n') for line in lines)
    is_csv = input_format is InputFormat.CSV
    source = input_file((CSV_HEADER if is_csv else b"x\n") + content, input_format)
    found = [(line, raw.rstrip("\n")) for line, _, raw in read_rows(source, WANTED)]
    texts = content.decode(errors="surrogateescape").split("\n")

    assert found[not is_csv :] == [(at, text) for at, text in enumerate(texts, 2) if text.strip()]
