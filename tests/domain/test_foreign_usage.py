"""What is foreign: windows, the ranges that are read, and surplus beyond what a float can tell."""

from decimal import Decimal

import pytest

from meterledger.domain.foreign_usage import (
    counted,
    is_foreign,
    plain,
    read_spans,
    window_length,
    window_start,
)
from meterledger.domain.instant import DAY, HOUR
from meterledger.domain.meter import Aggregation, EventTimeWindow, Meter

SUM = Meter(event_name="m", features=("f",))
COUNT = Meter(event_name="m", features=("f",), aggregation=Aggregation.COUNT)
LAST = Meter(event_name="m", features=("f",), aggregation=Aggregation.LAST)
BY_DAY = Meter(event_name="m", features=("f",), event_time_window=EventTimeWindow.DAY)


@pytest.mark.parametrize(
    ("ledger", "stripe", "foreign"),
    [
        ("0", "0", False),
        ("0", "0.000001", True),
        ("0.3", "0.30000000000000004", False),
        ("999999999999999", "999999999999999.1", False),
        ("1000000000", "1000000001", True),
        ("5", "4", False),
        ("0", "-1", False),
        ("-2", "-1", True),
    ],
)
def test_a_surplus_is_foreign_and_rounding_is_not(ledger: str, stripe: str, *, foreign: bool) -> None:
    """Stripe tells floats: what lies below their last digits is no usage, all above it is."""
    found = is_foreign(SUM, ledger=Decimal(ledger), known_events=1, stripe=Decimal(stripe))
    assert found == foreign


@pytest.mark.parametrize("meter", [LAST, BY_DAY])
def test_where_values_replace_each_other_any_unknown_one_is_foreign(meter: Meter) -> None:
    """A larger value than ours may be our own, replaced; one where we have none is not."""
    assert not is_foreign(meter, ledger=Decimal(1), known_events=1, stripe=Decimal(9))
    assert is_foreign(meter, ledger=Decimal(0), known_events=0, stripe=Decimal(9))
    assert not is_foreign(meter, ledger=Decimal(0), known_events=0, stripe=Decimal(0))


def test_a_count_meter_counts_events() -> None:
    """The value is nothing to a meter that counts."""
    assert counted(COUNT, Decimal(50), 2) == 2
    assert counted(SUM, Decimal(50), 2) == 50


def test_windows_are_whole_hours_or_days() -> None:
    """An instant lies in the UTC window that begins at or before it."""
    assert (window_length(SUM), window_length(BY_DAY)) == (HOUR, DAY)
    assert window_start(5 * DAY + 3 * HOUR + 1, DAY) == 5 * DAY
    assert window_start(5 * DAY + 3 * HOUR, HOUR) == 5 * DAY + 3 * HOUR


def test_reads_cover_every_window_and_are_not_too_long() -> None:
    """A read begins at a window with usage and spans at most 100 of them."""
    starts = {0, 99 * HOUR, 100 * HOUR, 500 * HOUR}
    assert list(read_spans(starts, HOUR)) == [
        (0, 100 * HOUR),
        (100 * HOUR, 101 * HOUR),
        (500 * HOUR, 501 * HOUR),
    ]
    assert list(read_spans(set(), HOUR)) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [("25.0", "25"), ("1E+3", "1000"), ("0.10", "0.1"), ("-0.0", "0"), ("1e-7", "0.0000001")],
)
def test_decimals_are_written_plainly(value: str, text: str) -> None:
    """No exponent, no trailing zeros."""
    assert plain(Decimal(value)) == text
