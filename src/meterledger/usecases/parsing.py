"""From a file to chunks of checked rows, in this process or beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from meterledger.domain.row_check import RowCheck
from meterledger.domain.row_mapping import RowMapping
from meterledger.domain.row_rules import RowRules
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


def parsed_chunks(file: InputFile, rules: RowRules) -> Iterator[ParsedChunk]:
    """Read, check and cut a file into chunks; raises InputError if it is not readable as its format."""
    check = RowCheck(
        rules.catalogue,
        zone=rules.source.zone,
        key=rules.source.key,
        customers=rules.customers,
        plans=rules.plans,
    ).check
    mapping = RowMapping(rules.source, rules.catalogue)
    rows = read_rows(file, Wanted(mapping.names, mapping.required))
    while True:
        events: list[EventFields] = []
        rejections: list[Rejection] = []
        for line, values, raw in islice(rows, CHUNK_ROWS):
            if isinstance(values, RowProblem):
                rejections.append(
                    Rejection(line=line, reason=values.reason, message=values.message, raw=kept_raw(raw))
                )
                continue
            checked = check(line, values, raw)
            if isinstance(checked, Rejection):
                rejections.append(checked)
            else:
                events.append(checked)
        if not events and not rejections:
            return
        yield ParsedChunk(events, rejections, file.file.tell())
