"""The first record of a file, as it stands there."""

import pytest

from meterledger.readers import InputFormat, first_record
from support.files import input_file


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b\n1,2\n", "a,b"),
        (b"\xef\xbb\xbfa,b\r\n1,2\r\n", "a,b"),
        (b"\n \na,b\n", "a,b"),
        (b'"a\nb",c\n1,2\n', '"a\nb",c'),
        (b"a,b", "a,b"),
        (b'"a,b\n1,2\n', None),
        (b"\xe9,b\n", r"\xe9,b"),
        (b"\n\n", ""),
    ],
)
def test_the_header_of_a_csv_file(content: bytes, expected: str | None) -> None:
    """Blank lines, a byte order mark and the line end are no part of it; line breaks in quotes are."""
    file = input_file(content)

    assert first_record(file) == expected
    assert file.file.read() == content


def test_the_first_row_of_a_json_file() -> None:
    """A quote in JSON has nothing to do with one in CSV."""
    assert first_record(input_file(b'\n{"a": "x"\n{}\n', InputFormat.JSONL)) == '{"a": "x"'
