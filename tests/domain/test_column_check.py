"""Checking by columns and checking row by row say the same, wherever columns say anything."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.column_check import ColumnCheck, Shape
from meterledger.domain.customers import SINCE_EVER, BookEntry, CustomerBook, CustomerStatus, Standing
from meterledger.domain.meter import Aggregation, Catalogue, Meter
from meterledger.domain.row_check import RowCheck
from meterledger.domain.source import Source
from meterledger.domain.usage import CANONICAL_FIELDS, UsageEvent
from support.properties import steady

LONG = "x" * 256
CANCELED_AT = 1_790_812_800_000_000
FULL_WIDTH = "\uff11\uff12"
CATALOGUE = Catalogue(
    (
        Meter(event_name="api_requests", features=("api_calls",)),
        Meter(event_name="egress", features=("egress_gb",), decimal_places=3, dimensions=("region", "tier")),
        Meter(event_name="builds", features=("build",), aggregation=Aggregation.COUNT),
    ),
    frozenset({"support"}),
)
CHECKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "zone": {"source": Source(name="tests", time_zone="Europe/Berlin")},
    "identifiers": {"source": Source(name="tests", keeps_identifier=True)},
    "composed": {"source": Source(name="tests", key=("request_id", "feature", "subscription_id"))},
    "iso8601": {"source": Source(name="tests", time_format="iso8601")},
    "customers": {
        "customers": CustomerBook(
            [
                BookEntry("cus_1", SINCE_EVER, Standing("", "cus_1", "pro", CustomerStatus.ACTIVE)),
                BookEntry("cus_2", SINCE_EVER, Standing("sub_1", "cus_2", None, CustomerStatus.ACTIVE)),
                BookEntry("cus_2", SINCE_EVER, Standing("sub_2", "cus_3", None, CustomerStatus.ACTIVE)),
                BookEntry("c", SINCE_EVER, Standing("", "cus_9", "pro", CustomerStatus.ACTIVE)),
                BookEntry("c", CANCELED_AT, Standing("", "cus_9", "pro", CustomerStatus.CANCELED)),
            ]
        ),
        "plans": {"pro": frozenset({"api_calls", "egress_gb", "support"})},
    },
}

request_ids = st.one_of(
    st.sampled_from(["r1", " r2 ", "a:b", "a\\", "", LONG[:100], LONG[:255], LONG]), st.text(max_size=3)
)
customers = st.sampled_from(["cus_1", "cus_2\t", "c", LONG])
features = st.sampled_from(["api_calls", "egress_gb", "build", "support", " api_calls", "unknown", ""])
quantities = st.sampled_from(
    ["1", "1.0", " 2", "0.125", "1.2345", "-1", "1e3", FULL_WIDTH, "9" * 15, "9" * 16, ""]
)
times = st.sampled_from(
    [
        "2026-10-01T00:00:00Z", "2026-10-01T00:00:59Z", "2026-10-01 00:01:00Z", "2026-10-01T00:00:60Z",
        "2026-10-01T00:00:00.123456789Z", "2026-10-01T02:00:00+02:00", "2026-10-01T00:00:00", "1790812800",
        "1790812800123", "2026-10-25T02:30:00", "2026-13-01T00:00:00Z", "2026-10-01T00:00:00z",
        " 1790812800 ", "9999-01-01T00:00:00Z", "soon", "",
        "20261031T235959.123Z", "2026-304T235959.123Z", "2026W446T235959.123Z", "20261031T235959,123Z",
        "2026-10-31T24:00:00Z", "2026-10-31T24:00:30Z", "2026-10-31T23:59Z",
    ]
)  # fmt: skip
optional = st.sampled_from([None, "", " ", "sub_1", " sub_2", LONG])
received = st.sampled_from([None, "", "2026-10-01T00:00:05Z", "soon"])
dimensions = st.sampled_from([None, "", " eu ", "us", 'q"', LONG])
any_row = st.tuples(
    request_ids, customers, optional, features, quantities, times, received, dimensions, dimensions
)
good_row = st.tuples(
    st.text("abc:\\ ", min_size=1).map(lambda text: f"r{text}"),
    st.sampled_from(["cus_1", " cus_2"]),
    st.sampled_from([None, "", "sub_1"]),
    st.sampled_from(["api_calls", "egress_gb", "support "]),
    st.sampled_from(["1", "2.0", " 30"]),
    st.sampled_from(
        ["2026-10-01T00:00:00Z", "2026-10-01T00:00:59Z", "2026-10-01 00:00:59.5+02:00", "1790812800"]
    ),
    st.sampled_from([None, "2026-10-01T00:00:05Z"]),
    st.sampled_from([None, "eu", "us "]),
    st.sampled_from([None, "gold"]),
)


def row_check(name: str) -> RowCheck:
    """Return a new check of that name."""
    return RowCheck(CATALOGUE, **{"source": Source(name="tests"), **CHECKS[name]})


def one_by_one(check: RowCheck, rows: Sequence[Sequence[str | None]]) -> list[object]:
    """Return what each row becomes by itself."""
    return [check.check(line, row, "raw\n") for line, row in enumerate(rows, 2)]


def by_columns(check: RowCheck, rows: Sequence[Sequence[str | None]]) -> list[object] | None:
    """Return what all rows become together; None if the columns do not say."""
    found = ColumnCheck(check).check(list(zip(*rows, strict=True)), range(2, 2 + len(rows)), Shape())
    return None if found is None else list(found)


@pytest.mark.parametrize("name", CHECKS)
@given(rows=st.lists(any_row, min_size=1, max_size=5))
@steady
def test_what_columns_say_is_what_rows_say(name: str, rows: list[tuple[str | None, ...]]) -> None:
    """Whatever the rows hold: by columns they are what they are one by one, or they are not judged."""
    found = by_columns(row_check(name), rows)

    assert found is None or found == one_by_one(row_check(name), rows)


@pytest.mark.parametrize("name", [name for name in CHECKS if name != "iso8601"])
@given(rows=st.lists(good_row, min_size=1, max_size=5))
@steady
def test_good_rows_are_judged_by_columns(name: str, rows: list[tuple[str | None, ...]]) -> None:
    """Rows that are all good never need the slow way, however their fields are written."""
    expected = one_by_one(row_check(name), rows)
    assert all(isinstance(one, UsageEvent) for one in expected)

    assert by_columns(row_check(name), rows) == expected


def test_an_absent_required_column_is_for_the_rows_to_say() -> None:
    """A field that no row has is a missing field of each row, or nothing if it is optional."""
    columns: list[Sequence[str] | None] = [
        ["r1"],
        ["cus_1"],
        None,
        ["api_calls"],
        ["1"],
        ["1790812800"],
        None,
    ]
    columns += [None, None]
    check = ColumnCheck(row_check("plain"))

    found = check.check(columns, [2], Shape())
    assert found is not None
    assert next(iter(found)).subscription_id is None
    for at, field in enumerate(CANONICAL_FIELDS):
        if columns[at] is not None:
            assert (
                check.check([None if n == at else column for n, column in enumerate(columns)], [2], Shape())
                is None
            ), field


def test_a_minute_is_only_a_minute_where_the_format_says_so() -> None:
    """A pattern that looks like RFC 3339 and has seconds before minutes is read as the pattern says."""
    swapped = Source(name="tests", time_format="%Y-%m-%dT%H:%S:%MZ", time_zone="UTC")
    row = ["r1", "cus_1", None, "api_calls", "1", "2026-10-01T05:10:20Z", None, None, None]

    assert by_columns(RowCheck(CATALOGUE, swapped), [row]) == one_by_one(RowCheck(CATALOGUE, swapped), [row])
