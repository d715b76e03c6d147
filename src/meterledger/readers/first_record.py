"""The first record of a file as it stands there: the header of a CSV file, the first row of another."""

import csv

from meterledger.readers.files import InputFile, InputFormat, reading_errors
from meterledger.readers.lines import PhysicalLines


def first_record(source: InputFile) -> str | None:
    """Return the text of the first record that is not blank, and go back to the start; None if unreadable."""
    with reading_errors(source.name):
        try:
            text = _first(source)
            text.encode()
        except (csv.Error, UnicodeEncodeError):
            return None
        finally:
            source.file.seek(0)
    return text.rstrip("\r\n")


def _first(source: InputFile) -> str:
    lines = PhysicalLines(source.file)
    is_csv = source.input_format is InputFormat.CSV
    for _ in csv.reader(lines, strict=True) if is_csv else lines:
        if (text := lines.take()).strip():
            return text
    return ""
