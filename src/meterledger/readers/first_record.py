"""The first record of a file as it stands there: the header of a CSV file, the first line of JSON."""

import csv

from meterledger.readers.content import Content
from meterledger.readers.files import InputFile, reading_errors
from meterledger.readers.formats import InputFormat
from meterledger.readers.lines import PhysicalLines, foreign_bytes_shown
from meterledger.readers.rows import DELIMITED


def first_record(source: InputFile) -> str | None:
    r"""
    Return the text of the first record that is not blank, and go back to the start of the file.

    Bytes that are no UTF-8 stand as ``\xff``; None if it is no CSV. An empty text if there is none, as in
    formats whose rows are no lines.
    """
    if source.input_format not in DELIMITED and source.input_format is not InputFormat.JSONL:
        return ""
    with reading_errors(source.name):
        try:
            text = _first(source)
        except csv.Error:
            return None
        finally:
            source.file.seek(0)
    return foreign_bytes_shown(text.rstrip("\r\n"))


def _first(source: InputFile) -> str:
    content = Content(source.file, compression=source.compression, size_bytes=source.size_bytes)
    lines = PhysicalLines(content)
    has_header = source.input_format in DELIMITED
    for _ in csv.reader(lines, strict=True, delimiter=source.delimiter) if has_header else lines:
        if (text := lines.take()).strip():
            return text
    return ""
