"""Input files made in a test: rows read from bytes, without a file system."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from meterledger.domain.meter import Catalogue, Meter
from meterledger.domain.row_mapping import RowMapping
from meterledger.domain.source import Source
from meterledger.readers import InputFile, InputFormat, RawRow, RowProblem, Wanted, read_rows

CSV_HEADER = b"request_id,customer_id,feature,quantity,event_time\n"


def input_file(content: bytes, input_format: InputFormat = InputFormat.CSV, **fields: Any) -> InputFile:
    """Return content as an input file at its first byte."""
    return InputFile(
        name="usage",
        file=io.BytesIO(content),
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        input_format=input_format,
        **fields,
    )


def rows_of(
    content: bytes,
    input_format: InputFormat = InputFormat.CSV,
    columns: Mapping[str, str] | None = None,
    dimensions: Sequence[str] = (),
    **fields: Any,
) -> list[RawRow]:
    """Return every row of some content."""
    meter = Meter(event_name="tests", features=("tests",), dimensions=tuple(dimensions))
    mapping = RowMapping(Source(name="tests", columns=columns or {}), Catalogue((meter,)))
    return list(
        read_rows(input_file(content, input_format, **fields), Wanted(mapping.names, mapping.required))
    )


def outline(rows: Sequence[RawRow]) -> list[tuple[int, str | None]]:
    """Return the line of each row with its request_id, or with the reason why it cannot be read."""
    return [
        (line, found.reason.value if isinstance(found, RowProblem) else found[0]) for line, found, _ in rows
    ]


def csv_row(request_id: str) -> bytes:
    """Return one good row below ``CSV_HEADER``."""
    return f"{request_id},cus_1,api_calls,1,2026-10-01T00:00:00Z\n".encode()
