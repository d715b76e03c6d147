"""A file that grows: its complete rows, whatever a writer has written so far."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meterledger.domain.meter import Catalogue, Meter
from meterledger.domain.row_mapping import RowMapping
from meterledger.domain.source import Source
from meterledger.errors import InputError
from meterledger.readers import InputFormat, RawRow, Wanted, read_rows
from meterledger.readers.growing_file import READ_BYTES, Form, GrowingFile, GrowingInput, GrowingStream
from meterledger.readers.lines import MAX_ROW_BYTES
from meterledger.readers.rotation import missed_names
from support.files import CSV_HEADER, csv_row, outline, rows_of
from support.properties import quick

MAPPING = RowMapping(Source(name="tests"), Catalogue((Meter(event_name="tests", features=("tests",)),)))
WANTED = Wanted(MAPPING.names, MAPPING.required)
MALFORMED, TOO_LONG = "malformed_row", "row_too_long"


class Log:
    """A file that is written, and read as it grows."""

    def __init__(self, path: Path, content: bytes = b"", declared: InputFormat | None = None) -> None:
        self.path = path
        path.write_bytes(content)
        self.file = GrowingFile(str(path), str(path), Form(input_format=declared))

    def add(self, content: bytes) -> None:
        """Add to it."""
        with self.path.open("ab") as file:
            file.write(content)

    def rows(self, *, final: bool = False) -> list[tuple[int, str | None]]:
        """Take all rows that are complete: their lines, and ids or reasons."""
        return outline(list(taken(self.file, final=final)))


def taken(source: GrowingInput, *, final: bool = False) -> Iterator[RawRow]:
    """Yield the rows that can be taken now."""
    while (rows := source.read(final=final)) is not None:
        yield from read_rows(rows, WANTED)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """Return a file with a header."""
    log = Log(tmp_path / "u.csv", CSV_HEADER)
    with closing(log.file):
        yield log


def test_rows_are_taken_once_with_their_lines(log: Log) -> None:
    """Each reading goes on behind the last one, and lines are counted over the whole file."""
    assert log.rows() == []
    log.add(csv_row("r1") + b"\n" + csv_row("r2") + b"r3,")
    assert log.rows() == [(2, "r1"), (4, "r2")]
    assert log.file.left_bytes == 3
    log.add(csv_row("")[1:])
    assert log.rows() == [(5, "r3")]


def test_a_quoted_field_holds_its_row_back_until_it_is_closed(log: Log) -> None:
    """Lines inside quotes are no rows: the row is complete when its quote is closed."""
    log.add(b'r1,"cus_1\n' + csv_row("looks_like_a_row"))
    assert log.rows() == []
    log.add(b'",api_calls,1,2026-10-01T00:00:00Z\n')
    assert log.rows() == [(2, "r1")]


def test_a_quote_that_never_closes_does_not_hold_rows_for_ever(log: Log) -> None:
    """Once more is inside the quotes than a row may have, its first line is malformed, as in a whole file."""
    log.add(b'r1,"cus_1\n')
    row = csv_row("r")
    rows = MAX_ROW_BYTES // len(row)
    log.add(row * (rows - 1))
    assert log.rows() == []
    log.add(row * 3)
    found = log.rows()
    assert found[0] == (2, MALFORMED)
    assert found[1:] == [(line, "r") for line in range(3, rows + 5)]
    log.add(csv_row("next"))
    assert log.rows() == [(rows + 5, "next")]


@pytest.mark.parametrize("length", [MAX_ROW_BYTES + 1, READ_BYTES - 1, READ_BYTES, 3 * READ_BYTES + 7])
@pytest.mark.parametrize("input_format", [InputFormat.CSV, InputFormat.JSONL])
def test_a_line_that_is_too_long_is_one_refused_row(
    tmp_path: Path, length: int, input_format: InputFormat
) -> None:
    """However long it is, and wherever its end comes, it is refused once, and the rows behind it are read."""
    is_csv = input_format is InputFormat.CSV
    log = Log(tmp_path / "u.log", CSV_HEADER if is_csv else b'{"request_id":"r0"}\n', input_format)
    with closing(log.file):
        assert log.rows() == ([] if is_csv else [(1, "r0")])
        log.add(b"x" * length)
        assert log.rows() == []
        log.add(b"\n" + csv_row("r1"))
        assert log.rows() == [(2, TOO_LONG), (3, "r1" if is_csv else MALFORMED)]
        assert log.file.left_bytes == 0
        assert log.file.sha256 == hashlib.sha256(log.path.read_bytes()).hexdigest()


def test_a_line_that_is_too_long_and_has_no_end_is_taken_when_nothing_can_follow(log: Log) -> None:
    """At the end of a file that was rotated away such a line is a refused row too."""
    log.add(b"x" * (READ_BYTES + 5))
    assert log.rows(final=True) == [(2, TOO_LONG)]
    assert log.rows(final=True) == []


def test_nul_padding_is_one_malformed_row(log: Log) -> None:
    """A file that was truncated under its writer has a hole: the row behind it is refused, and no more."""
    log.add(b"\0" * 5000 + csv_row("r1") + csv_row("r2"))
    assert log.rows() == [(2, MALFORMED), (3, "r2")]


def test_a_file_with_space_in_reserve_is_read_as_it_fills(tmp_path: Path) -> None:
    """A writer may reserve space as NUL bytes and fill it: what is not written yet is no row."""
    log = Log(tmp_path / "u.csv", CSV_HEADER + b"\0" * 3 * READ_BYTES)
    with closing(log.file):
        assert log.rows() == []
        with log.path.open("r+b") as file:
            file.seek(len(CSV_HEADER))
            file.write(csv_row("r1") + b"r2,")
        assert log.rows() == [(2, "r1")]


def test_the_last_row_needs_no_end_when_nothing_can_follow(log: Log) -> None:
    """What stands behind the last line feed is a row when the file is at its end for good."""
    log.add(csv_row("r1") + csv_row("r2")[:-1])
    assert log.rows() == [(2, "r1")]
    assert log.rows(final=True) == [(3, "r2")]


def test_a_byte_order_mark_and_blank_lines_may_stand_above_the_header(tmp_path: Path) -> None:
    """The header is the first line with something in it; nothing is taken before it is complete."""
    log = Log(tmp_path / "u.csv", b"\xef\xbb\xbf\n\n" + CSV_HEADER[:5])
    with closing(log.file):
        assert log.rows() == []
        assert log.file.place.bytes_taken == 0
        log.add(CSV_HEADER[5:] + csv_row("r1"))
        assert log.rows() == [(4, "r1")]
        log.add(csv_row("r2"))
        assert log.rows() == [(5, "r2")]


def test_reading_goes_on_at_a_place(log: Log) -> None:
    """A place is enough to go on: header, lines and all."""
    log.add(csv_row("r1"))
    log.rows()
    log.add(csv_row("r2"))
    again = GrowingFile(str(log.path), str(log.path), Form())
    with closing(again):
        assert again.resume(log.file.place)
        assert outline(list(taken(again))) == [(3, "r2")]


@pytest.mark.parametrize("content", [CSV_HEADER, b"", CSV_HEADER + csv_row("r1") + csv_row("x2")])
def test_a_file_whose_content_changed_is_not_gone_on_with(log: Log, content: bytes) -> None:
    """The same file by number, but shorter, or with another head: it has to be read from its start."""
    log.add(csv_row("r1") + csv_row("r2"))
    log.rows()
    log.path.write_bytes(content)
    again = GrowingFile(str(log.path), str(log.path), Form())
    with closing(again):
        assert log.file.is_rewritten
        assert not again.resume(log.file.place)
        assert again.place.bytes_taken == 0


def test_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    """What has no size and no place is not followed; opening it does not wait."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no plain file"):
        GrowingFile("pipe", str(tmp_path / "pipe"), Form())
    with pytest.raises(InputError, match="is a folder"):
        GrowingFile("folder", str(tmp_path), Form())


def test_only_rotated_names_that_are_newer_count_as_missed(tmp_path: Path) -> None:
    """An older rotated file was read, or was there before anybody followed; other files are other files."""
    for number, name in enumerate(("u.csv.3", "u.csv.2", "u.csv.1", "u.csv", "v.csv.1")):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (number, number))
    status = (tmp_path / "u.csv.2").stat()
    known = {(str(status.st_dev), str(status.st_ino))}

    assert missed_names(str(tmp_path / "u.csv"), status.st_mtime_ns, known) == [str(tmp_path / "u.csv.1")]


class Pipe:
    """Standard input, as a pipe that a test writes into."""

    def __init__(self) -> None:
        reading, self._writing = os.pipe()
        self._reading = reading
        os.set_blocking(self._writing, False)
        self.stream = GrowingStream("-", reading, Form())

    def send(self, content: bytes) -> list[tuple[int, str | None]]:
        """Write, and take what is complete."""
        found: list[RawRow] = []
        while content:
            content = content[os.write(self._writing, content[:65536]) :]
            found += taken(self.stream)
        return outline(found)

    def end(self) -> list[tuple[int, str | None]]:
        """Close the writing end, and take the rest."""
        os.close(self._writing)
        found = outline(list(taken(self.stream)))
        assert self.stream.is_at_end
        os.close(self._reading)
        return found


def test_a_stream_is_taken_as_it_comes_and_to_its_end() -> None:
    """Rows come out as they are complete; the end of the stream completes the last one."""
    pipe = Pipe()

    assert pipe.send(CSV_HEADER[:9]) == []
    assert pipe.send(CSV_HEADER[9:] + csv_row("r1") + b"r2,") == [(2, "r1")]
    assert pipe.stream.left_bytes == 3
    assert pipe.send(csv_row("")[1:] + csv_row("r3")[:-1]) == [(3, "r2")]
    assert pipe.end() == [(4, "r3")]


def test_a_line_of_a_stream_that_is_too_long_is_one_refused_row() -> None:
    """It is not kept in memory, but its bytes count, and rows go on behind it."""
    pipe = Pipe()
    content = CSV_HEADER + b"x" * (3 * READ_BYTES) + b"\n" + csv_row("r1")

    assert pipe.send(content) == [(2, TOO_LONG), (3, "r1")]
    assert pipe.stream.bytes_taken == len(content)
    assert pipe.stream.sha256 == hashlib.sha256(content).hexdigest()
    assert pipe.end() == []


PIECES = st.lists(
    st.sampled_from(
        [b"\n", b"\r\n", b'"', b",", b"x", b'"a"', b'"\n', b"\xff", b"\0", csv_row("r"), b"\xc3\xa9"]
    ),
    max_size=30,
).map(b"".join)


@quick
@given(content=PIECES, cuts=st.lists(st.integers(0, 200), max_size=6), restarts=st.sets(st.integers(0, 6)))
@example(content=b'"\n"x\nr', cuts=[2], restarts=set())
def test_any_content_cut_anywhere_gives_the_rows_of_the_whole(
    content: bytes, cuts: list[int], restarts: set[int]
) -> None:
    """However a file grows, and whenever its reader begins anew, its rows are those of the whole."""
    whole = CSV_HEADER + content
    ends = sorted({0, *(min(cut, len(whole)) for cut in cuts), len(whole)})
    found: list[tuple[int, str | None]] = []
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder) / "u.csv", whole[: ends[0]])
        for number, (start, end) in enumerate(pairwise(ends)):
            log.add(whole[start:end])
            found += log.rows()
            if number in restarts:
                place = log.file.place
                log.file.close()
                log.file = GrowingFile("u.csv", str(log.path), Form())
                assert log.file.resume(place)
        found += log.rows(final=True)
        log.file.close()

    assert found == outline(rows_of(whole))
