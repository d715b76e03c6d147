"""Input files: opened, hashed and recognized, or refused with what is wrong and what to do."""

import gzip
import hashlib
import io
import os
import sys
from pathlib import Path

import pytest

from meterledger.errors import ExitCode, InputError
from meterledger.readers import InputFormat, open_input
from support.files import CSV_HEADER, csv_row

CSV = CSV_HEADER + csv_row("r1")
JSONL = b'{"request_id":"r1"}\n'


def refusal(path: Path | str, declared: InputFormat | None = None) -> InputError:
    """Return the error that opening a file ends with."""
    with pytest.raises(InputError) as refused, open_input(str(path), declared):
        pass
    assert refused.value.exit_code is ExitCode.INPUT
    return refused.value


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("usage.csv", CSV, InputFormat.CSV),
        ("usage.CSV", CSV, InputFormat.CSV),
        ("usage.jsonl", JSONL, InputFormat.JSONL),
        ("usage.ndjson", JSONL, InputFormat.JSONL),
        ("usage.log", JSONL, InputFormat.JSONL),
        ("usage", CSV, InputFormat.CSV),
        ("usage.jsonl", b"\xef\xbb\xbf\n  " + JSONL, InputFormat.JSONL),
        ("usage.csv", b"\xef\xbb\xbf" + CSV, InputFormat.CSV),
    ],
)
def test_a_file_is_recognized_hashed_and_at_its_first_byte(
    tmp_path: Path, name: str, content: bytes, expected: InputFormat
) -> None:
    """The name or the content tells the format; the digest and size are those of every byte."""
    path = tmp_path / name
    path.write_bytes(content)
    with open_input(str(path)) as file:
        read = file.file.read()

    assert expected is file.input_format
    assert (read, file.name, file.size_bytes) == (content, str(path), len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that leads to nothing says so with the path."""
    assert refusal(tmp_path / "none.csv").message == f"{tmp_path / 'none.csv'} does not exist"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """A folder says what it is, and how its files are named."""
    error = refusal(tmp_path)

    assert "is a folder" in error.message
    assert "/*.csv" in error.hint


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    """What the system cannot open is an input error with the system's words, no crash."""
    (tmp_path / "a.csv").write_bytes(CSV)

    assert "cannot be read" in refusal(tmp_path / "a.csv" / "b.csv").message


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """A name that no file system takes is an input error like any other."""
    assert "cannot be read" in refusal(tmp_path / ("x" * 300)).message


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """A file that this user may not read says so."""
    path = tmp_path / "a.csv"
    path.write_bytes(CSV)
    path.chmod(0)

    assert "may not be read" in refusal(path).message


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """Zero bytes are more likely a failed export than a quiet day, and are refused."""
    path = tmp_path / "a.csv"
    path.touch()

    assert refusal(path).message == f"{path} is empty"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (gzip.compress(CSV, mtime=0), "gzip"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"\x28\xb5\x2f\xfdrest", "zstandard"),
        (b"PAR1rest", "Parquet"),
        (b"SQLite format 3\x00", "SQLite"),
        (CSV.decode().encode("utf-16"), "UTF-16"),
        (CSV.decode().encode("utf-16-be").join((b"\xfe\xff", b"")), "UTF-16"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_files_of_another_kind_are_named(tmp_path: Path, content: bytes, word: str) -> None:
    """What is packed, binary or in another encoding is refused by what it is, whatever it is called."""
    path = tmp_path / "usage.csv"
    path.write_bytes(content)

    assert word in refusal(path).message


@pytest.mark.parametrize(
    ("name", "content", "declared", "hint"),
    [
        ("usage.csv", JSONL, None, "--input-format jsonl"),
        ("usage.jsonl", CSV, None, "--input-format csv"),
        ("usage.txt", CSV, InputFormat.JSONL, "--input-format csv"),
    ],
)
def test_content_that_contradicts_what_is_said_is_refused(
    tmp_path: Path, name: str, content: bytes, declared: InputFormat | None, hint: str
) -> None:
    """A file that is not what its name or the command says is refused before a row is read."""
    path = tmp_path / name
    path.write_bytes(content)

    assert hint in refusal(path, declared).hint


def test_a_declared_format_is_stronger_than_the_name(tmp_path: Path) -> None:
    """What the command says of a file goes before what its name says."""
    path = tmp_path / "usage.csv"
    path.write_bytes(JSONL)
    with open_input(str(path), InputFormat.JSONL) as file:
        assert file.input_format is InputFormat.JSONL


@pytest.mark.parametrize("name", ["usage.json", "usage.jsonl", "usage"])
@pytest.mark.parametrize("content", [b'[{"request_id":"r1"}]', b" \n [\n {}]", b"\xef\xbb\xbf[]"])
def test_one_json_array_is_refused_with_the_way_out(tmp_path: Path, name: str, content: bytes) -> None:
    """A JSON array is no JSONL, and the hint turns it into it."""
    path = tmp_path / name
    path.write_bytes(content)
    error = refusal(path)

    assert "array" in error.message
    assert "jq" in error.hint


@pytest.mark.parametrize("content", [b"\n\n", b" \r\n\t\n"])
def test_a_jsonl_file_of_blank_lines_has_no_rows(tmp_path: Path, content: bytes) -> None:
    """Blank lines are no rows, and they contradict no format."""
    path = tmp_path / "usage.jsonl"
    path.write_bytes(content)
    with open_input(str(path)) as file:
        assert file.input_format is InputFormat.JSONL


class PipedInput:
    """Standard input that brings some bytes and cannot be read twice."""

    def __init__(self, content: bytes) -> None:
        self.buffer = _Pipe(content)


class _Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False

    def seek(self, _offset: int, _whence: int = 0, /) -> int:
        raise io.UnsupportedOperation("a pipe cannot be read twice")


@pytest.mark.parametrize(
    ("content", "expected"),
    [(CSV, InputFormat.CSV), (JSONL, InputFormat.JSONL), (CSV * 20_000, InputFormat.CSV)],
)
def test_standard_input_is_read_like_a_file(
    monkeypatch: pytest.MonkeyPatch, content: bytes, expected: InputFormat
) -> None:
    """A pipe is hashed, recognized and read whole, and it is left open."""
    piped = PipedInput(content)
    monkeypatch.setattr(sys, "stdin", piped)
    with open_input("-") as file:
        read = file.file.read()

    assert expected is file.input_format
    assert (read, file.name, file.size_bytes) == (content, "-", len(content))
    assert not piped.buffer.closed


def test_an_empty_pipe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that brings nothing is an empty input, as when the program before it failed."""
    monkeypatch.setattr(sys, "stdin", PipedInput(b""))

    assert refusal("-").message == "- is empty"


def test_a_closed_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a program is started without standard input, asking for it is an input error."""
    monkeypatch.setattr(sys, "stdin", None)

    assert refusal("-").message


def test_a_named_pipe_is_read_once() -> None:
    """A path that is a pipe, as from a shell's <(...), is read like standard input."""
    reading, writing = os.pipe()
    os.write(writing, CSV)
    os.close(writing)
    try:
        with open_input(f"/dev/fd/{reading}") as file:
            assert file.file.read() == CSV
    finally:
        os.close(reading)
