"""Trying a source: the first rows of a file as import would take them; nothing is written."""

import json
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

from meterledger.config import Source
from meterledger.domain.instant import to_text, to_text_or_none
from meterledger.domain.meter import Catalogue
from meterledger.domain.quantity import decimal_text
from meterledger.domain.row_rules import RowRules
from meterledger.domain.usage import Rejection, UsageEvent
from meterledger.errors import InputError
from meterledger.readers import InputFile
from meterledger.usecases.mapping_hint import in_words_of_preset, mapping_hint
from meterledger.usecases.parsing import ParsedChunk, parsed_chunks


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedRow:
    """One usage row as a source reads it; a rejected one has a reason, and what could be read."""

    line: int
    request_id: str | None
    customer_id: str | None
    subscription_id: str | None = None
    feature: str | None
    quantity: str | None = None
    event_time: str | None
    received_at: str | None = None
    dimensions: dict[str, str]
    reason: str | None = None
    message: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it with the keys of reports."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The first rows of a file by their lines, and what to map where all of them lack the same fields."""

    rows: list[TriedRow]
    hint: str = ""


def try_source(file: InputFile, source: Source, catalogue: Catalogue, rows: int) -> Tried:
    """Read the first rows of a file; raises InputError where import would."""
    rules = RowRules(source=source, catalogue=catalogue)
    chunk = _first_chunk(file, rules)
    if chunk is None:
        return Tried(rows=[])
    tried = [*map(_accepted, chunk.usage), *map(_rejected, chunk.rejections)]
    return Tried(
        rows=sorted(tried, key=attrgetter("line"))[:rows],
        hint=mapping_hint(file.name, file.input_format, chunk, rules),
    )


def _first_chunk(file: InputFile, rules: RowRules) -> ParsedChunk | None:
    try:
        return next(parsed_chunks(file, rules), None)
    except InputError as error:
        raise in_words_of_preset(error, rules.source) from error


def _accepted(event: UsageEvent) -> TriedRow:
    return TriedRow(
        line=event.line,
        request_id=event.request_id,
        customer_id=event.customer_id,
        subscription_id=event.subscription_id,
        feature=event.feature,
        quantity=decimal_text(event.units, event.scale),
        event_time=to_text(event.event_time),
        received_at=to_text_or_none(event.received_at),
        dimensions=json.loads(event.dimensions) if event.dimensions else {},
    )


def _rejected(rejection: Rejection) -> TriedRow:
    return TriedRow(
        line=rejection.line,
        request_id=rejection.request_id,
        customer_id=rejection.customer_id,
        feature=rejection.feature,
        event_time=to_text_or_none(rejection.event_time),
        dimensions={},
        reason=rejection.reason.value,
        message=rejection.message,
    )
