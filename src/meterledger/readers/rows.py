"""Rows of an input file: the fields that are wanted of each, its line and its text."""

from collections.abc import Iterator

from meterledger.errors import InputError
from meterledger.readers.batches import Batch, row_batches
from meterledger.readers.content import Content
from meterledger.readers.csv_batches import csv_batches
from meterledger.readers.csv_rows import Header, csv_rows, read_header
from meterledger.readers.files import InputFile
from meterledger.readers.formats import InputFormat
from meterledger.readers.json_array import JsonArray, element_reader
from meterledger.readers.json_batches import jsonl_batches
from meterledger.readers.json_rows import JsonLines
from meterledger.readers.lines import MAX_ROW_BYTES, PhysicalLines
from meterledger.readers.parquet_rows import parquet_rows
from meterledger.readers.raw_rows import RawRow, Wanted

DELIMITED = frozenset({InputFormat.CSV, InputFormat.TSV})


class Rows:
    """The rows of one file, read lazily, once."""

    def __init__(self, source: InputFile, wanted: Wanted) -> None:
        self.header: str | None = None
        """The header of CSV and TSV as it stands, without its line end, once the first row was asked for."""
        self._source = source
        self._wanted = wanted
        self._rows = self._read()

    def __iter__(self) -> Iterator[RawRow]:
        return self._rows

    def __next__(self) -> RawRow:
        return next(self._rows)

    def batches(self, at_most: int) -> Iterator[Batch]:
        """Read them so many at a time, by columns where that is quicker; raises what reading them raises."""
        source = self._source
        match source.input_format:
            case InputFormat.CSV | InputFormat.TSV:
                content = self._content()
                lines, header = self._begin(content)
                yield from csv_batches(lines, header, source.delimiter, at_most)
                content.raise_damage(source.name, lines.taken)
            case InputFormat.JSONL:
                content = self._content()
                lines = PhysicalLines(content, source.lines_before)
                reader = JsonLines(source.name, lines, self._wanted.names)
                yield from jsonl_batches(lines, reader, at_most)
                content.raise_damage(source.name, lines.taken)
            case InputFormat.JSON | InputFormat.PARQUET:
                yield from row_batches(self._rows, at_most)

    def _read(self) -> Iterator[RawRow]:
        source, content = self._source, self._content()
        match source.input_format:
            case InputFormat.CSV | InputFormat.TSV:
                lines, header = self._begin(content)
                yield from csv_rows(lines, header, source.delimiter)
                content.raise_damage(source.name, lines.taken)
            case InputFormat.JSONL:
                lines = PhysicalLines(content, source.lines_before)
                reader = JsonLines(source.name, lines, self._wanted.names)
                while texts := lines.take_block(1):
                    yield from reader.rows(texts, lines.taken)
                content.raise_damage(source.name, lines.taken)
            case InputFormat.JSON if source.is_element:
                raw = content.read(MAX_ROW_BYTES).decode(errors="surrogateescape")
                yield 1, element_reader(self._wanted.names)(raw), raw
            case InputFormat.JSON:
                array = JsonArray(content, self._wanted.names)
                yield from array.rows()
                content.raise_damage(source.name, array.line)
            case InputFormat.PARQUET:
                line = 0
                for line, values, raw in parquet_rows(source, self._wanted):
                    yield line, values, raw
                content.raise_damage(source.name, line)

    def _content(self) -> Content:
        source = self._source
        return Content(
            source.file,
            compression=source.compression,
            size_bytes=source.size_bytes,
            modified_ns=source.modified_ns,
        )

    def _begin(self, content: Content) -> tuple[PhysicalLines, Header]:
        """Read the header of CSV or TSV."""
        lines = PhysicalLines(content, self._source.lines_before)
        try:
            header = read_header(self._source.name, lines, self._wanted, self._source.delimiter)
        except InputError:
            content.raise_damage(self._source.name, lines.taken)
            raise
        self.header = header.raw
        return lines, header


def read_rows(source: InputFile, wanted: Wanted) -> Rows:
    """
    Read the rows of a file, lazily.

    Raises, as rows are asked for:
        InputError: A column that is required is missing, or a wanted one is there twice.
        IncompleteInputError: It cannot be read on; every row before was brought.
    """
    return Rows(source, wanted)
