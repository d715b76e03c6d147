"""Input files: opened, hashed and recognized, or refused with what is wrong and what to do."""

import bz2
import hashlib
import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from meterledger.errors import ExitCode, InputError, UsageError
from meterledger.readers import InputFormat, delimiter_of, files, open_input
from meterledger.readers.compression import COMPRESSION_SUFFIXES, Compression
from meterledger.readers.growing_file import Form, GrowingStream
from support.files import CSV_HEADER, csv_row, rows_of
from support.packing import PACK

CSV = CSV_HEADER + csv_row("r1")
JSONL = b'{"request_id":"r1"}\n'
zipped = PACK[Compression.GZIP]


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
        (b"\xd0\xcf\x11\xe0rest", "Excel"),
        (b" <!DOCTYPE HTML><html>", "HTML"),
        (b"<html>", "HTML"),
        (b"<?xml version='1.0'?>", "XML"),
        (CSV.decode().encode("utf-16-le"), "UTF-16"),
        (zipped(CSV), "gzip"),
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

    refused = refusal(path)
    assert word in refused.message
    assert ("iconv -f utf-16" in refused.hint) is (word == "UTF-16")


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


@pytest.mark.parametrize("name", ["usage.json", "usage", "usage.log"])
@pytest.mark.parametrize("content", [b'[{"request_id":"r1"}]', b" \n [\n {}]", b"\xef\xbb\xbf[]"])
def test_one_json_array_is_a_format(tmp_path: Path, name: str, content: bytes) -> None:
    """A file that begins with a bracket is one JSON array."""
    path = tmp_path / name
    path.write_bytes(content)
    with open_input(str(path)) as file:
        assert file.input_format is InputFormat.JSON


@pytest.mark.parametrize(
    ("content", "words", "hint"),
    [
        (b'{\n "events": [\n  {"id": 1}\n ]\n}\n', "a list under 'events'", "jq -c '.events[]'"),
        (b'{"object":"list","data":[\n{"id":1},\n{"id":2}]}\n', "a list under 'data'", "jq -c '.data[]'"),
        (b'{\n  "id": 1\n}\n{\n  "id": 2\n}\n', "over several lines", "jq -c ."),
        (b"a,b\r1,2\r3,4\r", "old Mac", "tr "),
    ],
)
def test_text_that_only_begins_like_a_format_is_named(
    tmp_path: Path, content: bytes, words: str, hint: str
) -> None:
    """Pretty-printed JSON, a list within an object and old line ends are told, with the way out."""
    path = tmp_path / "usage"
    path.write_bytes(content)
    error = refusal(path)

    assert words in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("content", "is_refused"),
    [
        (b'{"events":[{"id":1}]}\n', True),
        (b'{"total":1,"events":[ {"id":"' + b"x" * 2_000_000 + b'"}]}\n', True),
        (b'{"request_id":"r1","events":[{"id":1}]}\n', False),
        (b'{"events":[{"id":1}],"request_id":"r1"}\n', False),
        (b'{"events":[1]}\n', False),
        (b'{"events":[{"id":"\xff"}]}\n', True),
    ],
)
def test_a_list_in_an_object_on_one_line_is_told_from_a_row(content: bytes, *, is_refused: bool) -> None:
    """An object that holds nothing but a list is no row; one with a wanted field is."""
    if not is_refused:
        assert len(rows_of(content, InputFormat.JSONL)) == 1
        return
    with pytest.raises(InputError) as refused:
        rows_of(content, InputFormat.JSONL)
    assert "a list under 'events'" in refused.value.message


@pytest.mark.parametrize("suffix", COMPRESSION_SUFFIXES)
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("usage.csv", CSV, InputFormat.CSV),
        ("usage.tsv", CSV.replace(b",", b"\t"), InputFormat.TSV),
        ("usage.TAB", CSV.replace(b",", b"\t"), InputFormat.TSV),
        ("usage.jsonl", JSONL, InputFormat.JSONL),
        ("usage.json", JSONL, InputFormat.JSONL),
        ("usage.json", b"[{}]", InputFormat.JSON),
        ("usage", JSONL, InputFormat.JSONL),
    ],
)
def test_a_packed_file_is_recognized_by_what_is_in_it(
    tmp_path: Path, suffix: str, name: str, content: bytes, expected: InputFormat
) -> None:
    """The format is that of the content, size and digest are those of the file, which is at its start."""
    path = tmp_path / (name + suffix)
    path.write_bytes(PACK[COMPRESSION_SUFFIXES[suffix]](content))
    with open_input(str(path)) as file:
        assert file.file.read() == path.read_bytes()
    assert (file.input_format, file.size_bytes) == (expected, path.stat().st_size)
    assert file.delimiter == ("\t" if expected is InputFormat.TSV else ",")
    assert file.compression is COMPRESSION_SUFFIXES[suffix]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("usage.csv.gz", CSV, "is said to be gzip but looks like CSV"),
        ("usage.csv.gz", b"[]", "is said to be gzip but looks like a JSON array"),
        ("usage.csv.gz", bz2.compress(CSV), "is said to be gzip but looks like bzip2"),
        ("usage.csv.gz", b"PK\x03\x04rest", "is said to be gzip but looks like a ZIP"),
        ("usage.csv", zipped(CSV), "is said to be CSV but looks like gzip"),
        ("usage.csv.gz", zipped(zipped(CSV)), "gzip with gzip in it"),
        ("usage.csv.gz", zipped(b"\0" * 257 + b"ustar"), "gzip with a tar archive in it"),
        ("usage.csv.gz", zipped(b""), "nothing in it"),
        ("usage.csv.gz", zipped(JSONL), "is said to be CSV but looks like JSONL"),
        ("usage.parquet.gz", zipped(b"PAR1rest"), "Parquet inside gzip"),
        ("usage.csv.gz", b"\x1f\x8b\x08\x00", "cut off"),
        ("usage.csv.xz", b"\xfd7zXZ\x00" + b"x" * 99, "damaged"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_name_that_says_another_packing_is_refused(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    """What a file is packed as is told by its content, and a name that says otherwise is named."""
    path = tmp_path / name
    path.write_bytes(content)

    assert words in refusal(path).message


def test_a_declared_format_is_that_of_what_is_packed(tmp_path: Path) -> None:
    """With --input-format a file may be packed whatever its name says."""
    path = tmp_path / "usage.csv"
    path.write_bytes(zipped(CSV))
    with open_input(str(path), InputFormat.CSV) as file:
        assert file.compression == "gzip"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("tab", "\t"), (";", ";"), ("SEMICOLON", ";"), ("bar", "|"), ("\x1f", "\x1f"), ("\u00a6", "\u00a6")],
)
def test_a_delimiter_is_a_character_or_a_word(text: str, expected: str) -> None:
    """Any one character can part fields, and those hard to type have names."""
    assert delimiter_of(text) == expected


@pytest.mark.parametrize("text", ["", ";;", '"', "\n", "\r", "\0", "dash"])
def test_what_is_no_delimiter_is_refused(text: str) -> None:
    """Nothing, two characters, quotes and line ends part no fields."""
    with pytest.raises(UsageError):
        delimiter_of(text)


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


def test_a_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device may never end: it is refused before a byte is read, by name and as standard input."""
    with Path("/dev/zero").open("rb") as zero:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=zero, closed=False))
        with pytest.raises(InputError) as followed:
            GrowingStream("-", zero.fileno(), Form())
        for refused in (refusal("/dev/zero"), refusal("-"), followed.value):
            assert refused.message.endswith("is a device, and no file")
            assert "import -" in (refused.hint or "")


def test_the_null_device_is_an_empty_file() -> None:
    """It is what a closed standard input is replaced by, and it ends at once."""
    assert refusal("/dev/null").message == "/dev/null is empty"


@pytest.mark.parametrize(("size", "is_refused"), [(len(CSV) * 3, False), (len(CSV) * 3 - 1, True)])
def test_what_comes_by_a_pipe_has_a_limit(
    monkeypatch: pytest.MonkeyPatch, size: int, *, is_refused: bool
) -> None:
    """What is kept aside is bounded, and the error names the bound."""
    monkeypatch.setattr(sys, "stdin", PipedInput(CSV * 3))
    monkeypatch.setattr(files, "MAX_PIPED_BYTES", size)
    if is_refused:
        assert refusal("-").message == f"- brings more than {size} bytes by a pipe"
    else:
        with open_input("-") as file:
            assert file.size_bytes == size


def test_a_terminal_as_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows may be typed in: a terminal is the one device that a person ends."""
    ours, theirs = os.openpty()
    os.write(ours, CSV + b"\x04")
    with open(theirs, "rb", buffering=0) as terminal:  # noqa: PTH123 # a descriptor
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=terminal, closed=False))
        with open_input("-") as file:
            assert file.file.read() == CSV
    os.close(ours)


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
