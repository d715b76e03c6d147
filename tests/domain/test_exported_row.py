"""Rows of an export: whatever stands behind the reason columns comes back as it was."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.exported_row import REASON_COLUMNS, ExportedRow, RowForm, is_json_export
from support.properties import steady

JSON = RowForm(delimiter=None)
REASONS = dict(zip(REASON_COLUMNS, (12, "malformed_row", 'a "b", c', "a,\nb.csv", 7), strict=True))
TEXT = st.text(st.sampled_from([*'{}",:;\t \\ab1\n']), max_size=20)


@steady
@given(raw=TEXT, message=TEXT, file=TEXT, delimiter=st.sampled_from([",", ";", "\t", "|", None]))
def test_a_row_comes_back_as_it_was(raw: str, message: str, file: str, delimiter: str | None) -> None:
    """Whatever the row, the message and the file name hold, the row and what it names are read again."""
    form = RowForm(delimiter=delimiter)
    reasons = REASONS | {"meterledger_message": message, "meterledger_file": file}

    assert form.split(form.row(reasons, raw)) == ExportedRow(reject=12, file=file, line=7, raw=raw)


@steady
@given(raw=TEXT)
def test_a_row_that_is_no_json_object_does_not_become_one(raw: str) -> None:
    """The reason keys make no row readable that was not, and none unreadable that was an object with keys."""
    row = JSON.row(REASONS, raw)

    assert is_json_export(row)
    assert (_object(row) or {}).keys() - set(REASON_COLUMNS) == (_object(raw) or {}).keys()


def _object(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def test_an_open_quote_swallows_no_row_behind_it() -> None:
    """A row whose quote is left open ends at an error on its own line, not in the row behind it."""
    form = RowForm(delimiter=",")
    lines = [form.row(REASONS | {"meterledger_file": "a"}, raw) for raw in ('r1,"cus', 'r2,x"', "r3,x")]
    reader = csv.reader([f"{line}\n" for line in lines], strict=True)

    with pytest.raises(csv.Error, match="expected after"):
        next(reader)
    assert reader.line_num == 2


def test_what_a_spreadsheet_saved_is_still_recognized() -> None:
    """A program that leaves out quotes which are not needed changes nothing of what a row names."""
    form = RowForm(delimiter=",")

    assert form.own_header('"meterledger_reject",' + ",".join([*REASON_COLUMNS[1:], "a", "b"])) == "a,b"
    assert form.split("12,missing_field,fill it in,a.csv,7,x,y") == ExportedRow(
        reject=12, file="a.csv", line=7, raw="x,y"
    )


@pytest.mark.parametrize("raw", ["r1,cus_1,api_calls,1,2026-10-31T12:00:00Z,x", "", "{}", '{"a":1}', "1,2"])
@pytest.mark.parametrize("delimiter", [",", None])
def test_other_rows_name_nothing(raw: str, delimiter: str | None) -> None:
    """A row without reason columns in front is no row of an export."""
    form = RowForm(delimiter=delimiter)

    assert form.split(raw) is None
    assert form.own_header(raw) is None
