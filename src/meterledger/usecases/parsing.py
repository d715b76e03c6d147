"""From a file to chunks of checked rows, in this process or beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from meterledger.domain.meter import Catalogue
from meterledger.domain.row_check import RowCheck, Unmapped, Values
from meterledger.domain.row_mapping import RowMapping
from meterledger.domain.source import Source
from meterledger.domain.usage import EventFields, Rejection, kept_raw
from meterledger.readers import InputFile, RowProblem, Wanted, read_rows

CHUNK_ROWS = 20_000
"""Rows of one chunk: one transaction, and all that an import holds in memory."""


@dataclass(frozen=True, slots=True)
class ParsedChunk:
    """The rows of one chunk, checked, in file order within each list."""

    events: Sequence[EventFields]
    rejections: Sequence[Rejection]
    bytes_read: int
    """How far the file was read when the chunk was complete."""


MappedRow = tuple[int, Values | RowProblem | Unmapped, str]
"""The line a row starts on, its fields in canonical order or why there are none, and its text."""


def _mapped(rows: Iterator[MappedRow], mapping: RowMapping) -> Iterator[MappedRow]:
    """Yield the usage rows that each row of a source becomes."""
    for line, values, raw in rows:
        if isinstance(values, (RowProblem, Unmapped)):
            yield line, values, raw
        else:
            for row in mapping.rows(values):
                yield line, row, raw


def parsed_chunks(file: InputFile, source: Source, catalogue: Catalogue) -> Iterator[ParsedChunk]:
    """Read, check and cut a file into chunks; raises InputError if it is not readable as its format."""
    row_check = RowCheck(catalogue, source)
    check = row_check.check
    mapping = RowMapping(source, catalogue)
    rows: Iterator[MappedRow] = read_rows(file, Wanted(mapping.names, mapping.required))
    if not mapping.is_plain:
        rows = _mapped(rows, mapping)
    while True:
        events: list[EventFields] = []
        rejections: list[Rejection] = []
        for line, values, raw in islice(rows, CHUNK_ROWS):
            if isinstance(values, RowProblem):
                rejections.append(
                    Rejection(line=line, reason=values.reason, message=values.message, raw=kept_raw(raw))
                )
                continue
            if isinstance(values, Unmapped):
                rejections.append(row_check.refuse(line, values, raw))
                continue
            checked = check(line, values, raw)
            if isinstance(checked, Rejection):
                rejections.append(checked)
            else:
                events.append(checked)
        if not events and not rejections:
            return
        yield ParsedChunk(events, rejections, file.file.tell())
