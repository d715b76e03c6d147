"""Which columns were probably meant: near names and other programs' words, never a guess."""

import pytest

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
