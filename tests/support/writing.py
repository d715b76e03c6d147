"""Rows written as a file of any format, by other writers than ours."""

import csv
import io
import json
from collections.abc import Sequence

import pyarrow as pa
from pyarrow import parquet

from meterledger.readers import InputFormat

NAMES = ("request_id", "customer_id", "feature", "quantity", "event_time")


def written(
    rows: Sequence[tuple[str, ...]], input_format: InputFormat, delimiter: str
) -> tuple[bytes, list[int]]:
    """Return rows as a file of a format, and the line on which each starts."""
    if input_format is InputFormat.PARQUET:
        out = io.BytesIO()
        columns = list(zip(*rows, strict=True)) or [()] * len(NAMES)
        arrays = [pa.array(column, pa.string()) for column in columns]
        parquet.write_table(pa.Table.from_arrays(arrays, list(NAMES)), out)
        return out.getvalue(), list(range(1, len(rows) + 1))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    is_json = input_format in {InputFormat.JSON, InputFormat.JSONL}
    if is_json:
        text.write("[\n" if input_format is InputFormat.JSON else "")
    else:
        writer.writerow(NAMES)
    lines = []
    for number, row in enumerate(rows, 1):
        lines.append(text.getvalue().count("\n") + 1)
        if is_json:
            is_last = number == len(rows) or input_format is InputFormat.JSONL
            text.write(json.dumps(dict(zip(NAMES, row, strict=True))) + ("" if is_last else ",") + "\n")
        else:
            writer.writerow(row)
    text.write("]" if input_format is InputFormat.JSON else "")
    return text.getvalue().encode(), lines
