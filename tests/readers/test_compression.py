"""Packed files: unpacked whole, or up to where they are damaged, and never beyond a limit."""

import io
import lzma
import os
import struct
from pathlib import Path

import pytest

from meterledger.errors import IncompleteInputError
from meterledger.readers import InputFile, InputFormat, RawRow, Wanted, compression, open_input, read_rows
from meterledger.readers.compression import Compression
from support.files import CSV_HEADER, csv_row, input_file, outline, rows_of
from support.packing import PACK

ROWS = [csv_row(f"r{number}") for number in range(4_000)]
CONTENT = CSV_HEADER + b"".join(ROWS)
WANTED = Wanted(("request_id", "quantity"), {})
each_compression = pytest.mark.parametrize("packing", Compression)


def read_to_the_break(source: InputFile) -> tuple[list[RawRow], IncompleteInputError]:
    """Return the rows that a file brings before it cannot be read on, and the error."""
    rows: list[RawRow] = []
    with pytest.raises(IncompleteInputError) as ended:
        rows += read_rows(source, WANTED)  # what came before the error stays
    return rows, ended.value


def packed_file(content: bytes, packing: Compression) -> InputFile:
    """Return packed content as an input file."""
    return input_file(content, compression=packing)


@each_compression
def test_packed_content_is_read_as_it_was(packing: Compression) -> None:
    """Rows of packed content, and their lines, are those of the content."""
    assert rows_of(PACK[packing](CONTENT), compression=packing) == rows_of(CONTENT)


@each_compression
@pytest.mark.parametrize("padding", [b"", b"\0" * 8, b"\0" * 100_000])
def test_members_behind_one_another_are_one_content(packing: Compression, padding: bytes) -> None:
    """Files that were joined after they were packed are read to their end, over any padding of zeros."""
    cut = len(CONTENT) // 2
    content = PACK[packing](CONTENT[:cut]) + padding + PACK[packing](CONTENT[cut:]) + padding

    assert rows_of(content, compression=packing) == rows_of(CONTENT)


def test_a_frame_that_readers_skip_may_come_first() -> None:
    """Some writers of zstandard begin with a frame of their own."""
    frame = struct.pack("<II", 0x184D2A50, 4) + b"mine"
    content = frame + PACK[Compression.ZSTANDARD](CONTENT) + frame

    assert compression.compression_of(content) is Compression.ZSTANDARD
    assert rows_of(content, compression=Compression.ZSTANDARD) == rows_of(CONTENT)


@each_compression
def test_what_follows_the_packed_content_is_named(packing: Compression) -> None:
    """All rows are brought, and then it is said that something else stands behind them."""
    rows, error = read_to_the_break(packed_file(PACK[packing](CONTENT) + b"something else", packing))

    assert len(rows) == len(ROWS)
    assert "something else follows" in error.message
    assert f"up to line {len(ROWS) + 1}:" in error.message


def test_what_came_before_a_cut_is_brought() -> None:
    """Of a file that was cut off every whole line is a row, and the line that was cut is none."""
    for packing, content in ((one, PACK[one](CONTENT)) for one in Compression):
        rows, error = read_to_the_break(packed_file(content[: len(content) * 3 // 4], packing))

        assert [raw.encode() for _, _, raw in rows] == ROWS[: len(rows)]
        how_far = f"up to line {len(rows) + 1}" if rows else "not be read from its first line on"
        assert f"{how_far}: its {packing} content is cut off" in error.message
        assert error.hint


def test_a_stray_quote_before_a_cut_costs_its_own_line() -> None:
    """Lines that a stray quote has swallowed up to the cut are read all the same."""
    content = CSV_HEADER + b'"stray,cus_1,api,1,0\n' + csv_row("r2") + b"cut"
    damaged = PACK[Compression.GZIP](content)[:-8]
    rows, error = read_to_the_break(packed_file(damaged, Compression.GZIP))

    assert outline(rows) == [(2, "malformed_row"), (3, "r2")]
    assert "up to line 3" in error.message


def test_a_bomb_is_read_up_to_the_limit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Content that grows out of all proportion is given up, with the limit and what to do."""
    monkeypatch.setattr(compression, "EXPANSION_FREE_BYTES", 1024 * 1024)
    content = PACK[Compression.ZSTANDARD](CSV_HEADER + csv_row("r1") * 1_000_000)
    rows, error = read_to_the_break(packed_file(content, Compression.ZSTANDARD))

    assert 0 < len(rows) < 200_000
    assert "250 times its size and 1 MiB" in error.message
    assert "unpack it first" in error.hint


def test_a_dictionary_that_takes_too_much_memory_is_refused() -> None:
    """A file of a few bytes cannot make the program ask for a gigabyte."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 28}]
    compressor = lzma.LZMACompressor(filters=filters)
    content = compressor.compress(CONTENT) + compressor.flush()
    rows, error = read_to_the_break(packed_file(content, Compression.XZ))

    assert rows == []
    assert "damaged" in error.message


class Failing(io.BytesIO):
    """A file whose disk fails after some bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, or fail as a disk does."""
        if self.tell() >= 100_000:
            raise OSError(5, "Input/output error")
        return super().read(min(size or 0, 50_000))


@pytest.mark.parametrize("input_format", [InputFormat.CSV, InputFormat.JSONL, InputFormat.JSON])
def test_a_disk_that_fails_ends_reading_with_the_rows_before(input_format: InputFormat) -> None:
    """An error of the system in mid-file is an incomplete input, not a crash."""
    content = CONTENT if input_format is InputFormat.CSV else b"[\n" + b'{"request_id":"r1"},\n' * 9_000
    source = InputFile(
        name="usage", file=Failing(content), sha256="", size_bytes=0, input_format=input_format
    )
    rows, error = read_to_the_break(source)

    assert len(rows) > 1_000
    assert "Input/output error" in error.message
    assert f"up to line {rows[-1][0]}:" in error.message


@pytest.mark.parametrize("change", ["grows", "shrinks", "is written anew"])
@pytest.mark.parametrize("packing", [None, Compression.GZIP])
def test_a_file_that_changes_while_it_is_read_is_named(
    tmp_path: Path, change: str, packing: Compression | None
) -> None:
    """What is read of a file that does not stay as it was hashed is not called whole."""
    path = tmp_path / "usage"
    content = CONTENT * 40
    path.write_bytes(PACK[packing](content) if packing else content)
    with open_input(str(path)) as source:
        rows = read_rows(source, WANTED)
        next(rows)
        with path.open("r+b") as file:
            match change:
                case "grows":
                    file.seek(0, os.SEEK_END)
                    file.write(b"more\n")
                case "shrinks":
                    file.truncate(20)
                case _:
                    file.write(b"REQ")
        os.utime(path, ns=(1, 1))
        with pytest.raises(IncompleteInputError, match="changed while it was read"):
            list(rows)
