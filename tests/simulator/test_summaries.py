"""Meter event summaries: ranges, windows, formulas, exactness and paging."""

from decimal import Decimal

import pytest

from meterledger.simulator.metering.tally import plain
from simulator.conversation import DAY, HOUR, METERS, MINUTE, START, Conversation


def values(talk: Conversation, meter_id: str, start: int, end: int, **more: object) -> list[float]:
    """Return the aggregated values of customer cus_A in a range."""
    return [row["aggregated_value"] for row in talk.summary(meter_id, start, end, **more).document["data"]]


def test_one_summary_without_a_window() -> None:
    """A range has exactly one summary, of zero where nothing was counted, as a JSON float."""
    talk = Conversation()
    meter_id = talk.meter()
    empty = talk.summary(meter_id, START - DAY, START)
    assert b'"aggregated_value":0.0' in empty.body
    talk.event("40", timestamp=START - 60)
    talk.event("2.5", timestamp=START - HOUR)
    talk.event("100", timestamp=START - 60, customer="cus_B")
    reply = talk.summary(meter_id, START - DAY, START).document
    (summary,) = reply["data"]
    assert summary.pop("id").startswith("mtrusg_test_")
    assert summary == {
        "object": "billing.meter_event_summary",
        "aggregated_value": 42.5,
        "start_time": START - DAY,
        "end_time": START,
        "livemode": False,
        "meter": meter_id,
    }
    assert reply["has_more"] is False


def test_the_end_is_exclusive_and_the_start_is_not() -> None:
    """An event on the start counts, one on the end belongs to the next range."""
    talk = Conversation()
    meter_id = talk.meter()
    talk.event("1", timestamp=START - HOUR)
    talk.event("2", timestamp=START - 1)
    talk.event("4", timestamp=START)
    assert values(talk, meter_id, START - HOUR, START) == [3]
    assert values(talk, meter_id, START, START + MINUTE) == [4]


def test_sums_are_exact() -> None:
    """A thousand tenths are exactly 100, large and small digits meet without loss, negatives subtract."""
    talk = Conversation()
    meter_id = talk.meter()
    for _ in range(1000):
        talk.event("0.1")
    assert values(talk, meter_id, START, START + MINUTE) == [100.0]
    for value in ("999999999999999", "0.000000000000001", "-999999999999999"):
        talk.event(value, customer="cus_B")
    totals = {row["customer"]: row["total"] for row in talk.get("/_simulator/ledger").document["usage"]}
    assert totals == {"cus_A": "100", "cus_B": "0.000000000000001"}


def test_a_float_is_the_nearest_one_to_the_exact_sum() -> None:
    """The value is rounded once, at the end, however many events made it."""
    talk = Conversation()
    meter_id = talk.meter()
    for _ in range(10):
        talk.event("900719925474099")
    talk.event("3")
    assert values(talk, meter_id, START, START + MINUTE) == [float(9_007_199_254_740_993)]
    assert talk.get("/_simulator/ledger").document["usage"][0]["total"] == "9007199254740993"


@pytest.mark.parametrize(
    ("given", "written"), [("1E+3", "1000"), ("1.50", "1.5"), ("-0", "0"), ("0.00", "0"), ("100", "100")]
)
def test_decimals_are_written_plainly(given: str, written: str) -> None:
    """Totals have no exponent, no zeros at the end and no negative zero."""
    assert plain(Decimal(given)) == written


def test_count_ignores_values() -> None:
    """A count meter counts events, with any value or none."""
    talk = Conversation()
    meter_id = talk.meter(formula="count")
    assert talk.event("1e9").status == 200
    assert talk.event(None).status == 200
    assert values(talk, meter_id, START, START + MINUTE) == [2]


def test_last_is_by_timestamp_then_by_receipt() -> None:
    """The latest timestamp stands, an older one arriving later does not, an equal one does."""
    talk = Conversation()
    meter_id = talk.meter(formula="last")
    for value, timestamp in (("5", START - 30), ("7", START - 40), ("1", START - 200)):
        talk.event(value, timestamp=timestamp)
    assert values(talk, meter_id, START - HOUR, START) == [5]
    talk.event("9", timestamp=START - 30)
    assert values(talk, meter_id, START - HOUR, START) == [9]
    assert values(talk, meter_id, START - HOUR, START - 120) == [1]


@pytest.mark.parametrize(("window", "seconds"), [("hour", HOUR), ("day", DAY)])
def test_in_a_windowed_meter_the_last_received_wins(window: str, seconds: int) -> None:
    """Each UTC window holds only the event received last, even with an older timestamp; windows add up."""
    talk = Conversation()
    meter_id = talk.meter(event_time_window=window)
    opens = START - 2 * seconds
    for value, timestamp in (("5", opens + 100), ("3", opens + 50), ("10", opens + seconds)):
        talk.event(value, timestamp=timestamp)
    talk.event("1000", timestamp=opens + 100, customer="cus_B")
    assert values(talk, meter_id, opens, START) == [13]
    assert values(talk, meter_id, opens, START, value_grouping_window=window) == [10, 3]


def test_a_windowed_count_counts_windows() -> None:
    """A pre-aggregated count has one per window, as only one event in it stands."""
    talk = Conversation()
    meter_id = talk.meter(formula="count", event_time_window="hour")
    for timestamp in (START - 10, START - 20, START - HOUR - 10):
        talk.event(timestamp=timestamp)
    assert values(talk, meter_id, START - DAY, START) == [2]


def test_grouped_summaries_come_newest_first() -> None:
    """Grouping gives one aligned summary for each window with usage, and none for empty ones."""
    talk = Conversation()
    meter_id = talk.meter()
    for value, timestamp in (("1", START - 3 * HOUR), ("2", START - 3 * HOUR + 5), ("4", START - 60)):
        talk.event(value, timestamp=timestamp)
    rows = talk.summary(meter_id, START - DAY, START, value_grouping_window="hour").document["data"]
    assert [(row["start_time"], row["end_time"], row["aggregated_value"]) for row in rows] == [
        (START - HOUR, START, 4),
        (START - 3 * HOUR, START - 2 * HOUR, 3),
    ]
    assert values(talk, meter_id, START - DAY, START, value_grouping_window="day") == [7]


def test_summaries_page() -> None:
    """Ten a page unless asked for up to 100; cursors walk forwards and backwards without loss."""
    talk = Conversation()
    meter_id = talk.meter()
    for hours in range(1, 25):
        talk.event(str(hours), timestamp=START - hours * HOUR)
    span = (meter_id, START - DAY, START)
    first = talk.summary(*span, value_grouping_window="hour").document
    assert [row["aggregated_value"] for row in first["data"]] == list(range(1, 11))
    assert first["has_more"] is True
    last_id = first["data"][-1]["id"]
    second = talk.summary(*span, value_grouping_window="hour", limit=100, starting_after=last_id).document
    assert [row["aggregated_value"] for row in second["data"]] == list(range(11, 25))
    assert second["has_more"] is False
    back = talk.summary(*span, value_grouping_window="hour", limit=2, ending_before=last_id).document
    assert [row["aggregated_value"] for row in back["data"]] == [8, 9]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"start_time": START - 61}, "start_time"),
        ({"end_time": START + 1}, "end_time"),
        ({"end_time": START - DAY}, "end_time"),
        ({"value_grouping_window": "hour", "start_time": START - MINUTE}, "start_time"),
        ({"value_grouping_window": "day", "end_time": START + HOUR}, "end_time"),
        ({"value_grouping_window": "week"}, "value_grouping_window"),
        ({"customer": "A"}, "customer"),
        ({"limit": 101}, "limit"),
        ({"starting_after": "mtrusg_none"}, "starting_after"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_ranges(change: dict[str, object], param: str) -> None:
    """Misaligned, empty and otherwise bad ranges are a 400 that names the parameter."""
    talk = Conversation()
    reply = talk.summary(talk.meter(), **{"start": START - DAY, "end": START, **change})  # type: ignore[arg-type]
    assert (reply.status, reply.error["param"]) == (400, param)


def test_required_parameters_of_summaries() -> None:
    """Customer, start and end are required."""
    talk = Conversation()
    path = f"{METERS}/{talk.meter()}/event_summaries"
    query: dict[str, object] = {"customer": "cus_A", "start_time": START - DAY, "end_time": START}
    for name in query:
        reply = talk.get(path, **{key: query[key] for key in query if key != name})
        assert (reply.error["code"], reply.error["param"]) == ("parameter_missing", name)


def test_an_inactive_meter_still_shows_its_past() -> None:
    """Deactivation hides nothing that was counted."""
    talk = Conversation()
    meter_id = talk.meter()
    talk.event("8")
    talk.post(f"{METERS}/{meter_id}/deactivate", {})
    assert values(talk, meter_id, START, START + MINUTE) == [8]
