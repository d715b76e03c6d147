"""Reading the kept text of refused rows again, by today's config, as an import of their own."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from meterledger import __version__
from meterledger.config import Settings, Source
from meterledger.domain.preset import Preset
from meterledger.domain.row_rules import RowRules
from meterledger.domain.source import source_of_preset
from meterledger.domain.usage import Reason, Rejection, UsageEvent, is_cut, original_bytes
from meterledger.errors import InputError
from meterledger.ledger.database import Row
from meterledger.ledger.imports import Provenance
from meterledger.readers import InputFile, InputFormat
from meterledger.usecases.parsing import parsed_chunks

WITH_HEADER = ("csv", "tsv")
"""The formats whose rows need the header of their file; a row of any other is kept as a JSON object."""


@dataclass(slots=True)
class ReadAgain:
    """What one kept row is by today's rules: usage events and rejections, on its own line of its own file."""

    events: list[UsageEvent] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


def why_not(row: Row) -> str | None:
    """Tell why the kept text of a refused row cannot be read again; None if it can."""
    if is_cut(row["raw"]):
        return "only the first 64 KiB of the row are kept: mend it in its file, and import that"
    if row["header"] is None and row["input_format"] in WITH_HEADER:
        return "the header of its file is not on record: import the file again with --again"
    if row["voided_at"] is not None:
        return "its import was taken back: import the file again"
    return None


def read_again(row: Row, rules: RowRules) -> ReadAgain:
    """
    Read the kept text of a refused row.

    Raises:
        InputError: The header of its file lacks a column that the source's mapping names today.
    """
    found = ReadAgain()
    for chunk in parsed_chunks(_file_of(row), rules):
        found.events += [event._replace(line=row["line"]) for event in chunk.usage]
        found.rejections += [replace(one, line=row["line"], raw=row["raw"]) for one in chunk.rejections]
    if not (found.events or found.rejections):
        found.rejections.append(
            Rejection(
                line=row["line"],
                reason=Reason.MALFORMED_ROW,
                message="its text holds no row; mend the row",
                raw=row["raw"],
            )
        )
    return found


def source_of(row: Row, settings: Settings) -> Source:
    """Return the source of a refused row as the config has it today; else as its import had it."""
    name = row["source"]
    if name in settings.sources:
        return settings.sources[name]
    preset = json.loads(row["mapping"] or "{}").get("preset")
    return source_of_preset(Preset(preset), name) if preset else Source(name=name)


def provenance_of(row: Row, settings: Settings) -> Provenance:
    """Return what an import that reads a refused row again keeps: its file, and how it was imported."""
    return Provenance(
        source=row["source"],
        file=row["file"],
        path=row["path"],
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        input_format=row["input_format"],
        compression=row["compression"],
        delimiter=row["delimiter"],
        header=row["header"],
        mapping=row["mapping"],
        config_digest=settings.import_digest(source_of(row, settings)),
        program_version=__version__,
        backfill=bool(row["backfill"]),
        already_billed=bool(row["already_billed"]),
        keeps_identifier=bool(row["keeps_identifier"]),
        first_of_source=bool(row["first_of_source"]),
        retry_of=row["import"],
    )


def _file_of(row: Row) -> InputFile:
    content = original_bytes(row["raw"], row["reason"])
    input_format = InputFormat(row["input_format"])
    match input_format:
        case InputFormat.CSV | InputFormat.TSV:
            content = (row["header"] or "").encode() + b"\n" + content + b"\n"
        case InputFormat.JSON:
            pass  # read as the element it is
        case InputFormat.JSONL | InputFormat.PARQUET:
            input_format = InputFormat.JSONL
    return InputFile(
        name=row["file"],
        file=io.BytesIO(content),
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        input_format=input_format,
        delimiter=row["delimiter"] or ",",
        is_element=input_format is InputFormat.JSON,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Refused rows that could not be read again, and why."""

    ids: tuple[int, ...]
    because: str


class Unreadable:
    """Collects refused rows that cannot be read again, by why."""

    def __init__(self) -> None:
        self._ids: dict[str, list[int]] = {}

    def add(self, reject: int, because: str) -> None:
        """Leave one out."""
        self._ids.setdefault(because, []).append(reject)

    def __iter__(self) -> Iterator[Unread]:
        """Yield what was left out, in the order in which the reasons came up."""
        return (Unread(ids=tuple(ids), because=because) for because, ids in self._ids.items())


def read_each(rows: Mapping[int, Row], rules: RowRules, unread: Unreadable) -> dict[int, ReadAgain]:
    """Read refused rows again, one for each line of their file; what cannot be read is left out."""
    found: dict[int, ReadAgain] = {}
    by_line: dict[tuple[int, str], ReadAgain] = {}
    for number, row in rows.items():
        place = (row["line"], row["raw"])
        try:
            if place not in by_line:
                by_line[place] = read_again(row, rules)
            found[number] = by_line[place]
        except InputError as error:
            unread.add(number, f"{error.message}; {error.hint}" if error.hint else error.message)
    return found
