"""Which columns were probably meant: near names and other programs' words, never a guess."""

from pathlib import Path

import pytest

from meterledger.errors import InputError
from meterledger.readers import Wanted, open_input, read_rows
from meterledger.readers.columns import likely_columns

FIELDS = ("request_id", "customer_id", "feature", "quantity", "event_time")


@pytest.mark.parametrize(
    ("header", "pairs"),
    [
        ("id,account,used,calls,bytes_out", "request_id = 'id', customer_id = 'account', feature = …"),
        ("requestId,CustomerID,Feature,Quantity,Event Time", "customer_id = 'CustomerID'"),
        ("event_id,org_id,event_name,units,created_at", "feature = 'event_name', quantity = 'units'"),
        ("transaction_id,tenantId,metric,usage_count,ts", "customer_id = 'tenantId'"),
        ("uuid,user_name,product_count,usage_date", "quantity = 'product_count', event_time = 'usage_date'"),
        ("job_id,kind,finished_at", "request_id = …, customer_id = …, feature = 'kind'"),
    ],
)
def test_a_hint_names_the_columns_that_are_near(header: str, pairs: str) -> None:
    """Spelling and known synonyms are hinted at; what is near nothing is left to the reader."""
    hint = likely_columns([(field, field) for field in FIELDS], header.split(","))

    assert pairs in hint


def test_no_hint_names_a_column_that_is_not_there_or_one_twice() -> None:
    """Where nothing is near, nothing is named; one column is offered for one field alone."""
    missing = [(field, field) for field in FIELDS]

    assert likely_columns(missing, ["foo", "bar"]).count("…") == len(FIELDS)
    assert likely_columns(missing, ["id"]).count("'id'") == 1
    assert likely_columns([("api_calls", "calls")], ["foo"]).endswith("columns]")


@pytest.mark.parametrize(
    ("first_line", "hint"),
    [
        ("r1,cus_1,api_calls,1,2026-10-31T00:00:00Z", "put a header in front of it"),
        ("sep=;", "take it out, and say the --delimiter"),
        ("foo,bar", "map the columns"),
    ],
)
def test_a_first_line_that_is_no_header_is_told_as_one(tmp_path: Path, first_line: str, hint: str) -> None:
    """A row in the header's place, and the line that a spreadsheet writes for itself, need no mapping."""
    path = tmp_path / "usage.csv"
    path.write_bytes(b"\xef\xbb\xbf" + first_line.encode() + b"\r\nr1,1\r\n")
    wanted = Wanted(FIELDS, dict(zip(FIELDS, FIELDS, strict=True)))
    with open_input(str(path)) as file, pytest.raises(InputError) as caught:
        list(read_rows(file, wanted).batches(10))

    assert hint in caught.value.hint
