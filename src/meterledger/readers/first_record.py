"""The first record of a file as it stands there: the header of a CSV file, the first row of another."""

import csv

from meterledger.readers.files import InputFile, InputFormat, reading_errors
from meterledger.readers.lines import PhysicalLines, foreign_bytes_shown


def first_record(source: InputFile) -> str | None:
    r"""
    Return the text of the first record that is not blank, and go back to the start of the file.

    Bytes that are no UTF-8 stand as ``\xff``; None if it is no CSV. An empty text if there is none.
    """
    with reading_errors(source.name):
        try:
            text = _first(source)
        except csv.Error:
            return None
        finally:
            source.file.seek(0)
    return foreign_bytes_shown(text.rstrip("\r\n"))


def _first(source: InputFile) -> str:
    lines = PhysicalLines(source.file)
    is_csv = source.input_format is InputFormat.CSV
    for _ in csv.reader(lines, strict=True) if is_csv else lines:
        if (text := lines.take()).strip():
            return text
    return ""
