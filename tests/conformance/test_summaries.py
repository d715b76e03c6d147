"""Event summaries through stripe-python."""

from collections.abc import Iterator

import pytest
import stripe
from stripe.params.billing import MeterEventSummaryListParams

from support.sdk_desk import CUSTOMER, DAY, HOUR, MINUTE, START, SdkDesk


@pytest.fixture(scope="module")
def desk() -> Iterator[SdkDesk]:
    """Start one simulator for the tests of this file; each test uses meters of its own."""
    with SdkDesk() as running:
        yield running


def test_a_range_has_one_summary(desk: SdkDesk) -> None:
    """Without a window the client gets one summary of the range, its value a float."""
    meter = desk.meter("range")
    desk.send("range", "40", timestamp=START)
    desk.send("range", "2.5", timestamp=START)
    page = desk.client.v1.billing.meters.event_summaries.list(
        meter.id, {"customer": CUSTOMER, "start_time": START, "end_time": START + HOUR}
    )
    assert page.has_more is False
    assert page.url == f"/v1/billing/meters/{meter.id}/event_summaries"
    (summary,) = page.data
    assert isinstance(summary, stripe.billing.MeterEventSummary)
    assert (summary.object, summary.meter) == ("billing.meter_event_summary", meter.id)
    assert (summary.start_time, summary.end_time) == (START, START + HOUR)
    assert isinstance(summary.aggregated_value, float)
    assert (summary.aggregated_value, summary.livemode) == (42.5, False)


@pytest.mark.parametrize(("formula", "expected"), [("sum", 6.0), ("count", 3.0), ("last", 3.0)])
def test_every_formula(desk: SdkDesk, formula: str, expected: float) -> None:
    """A sum adds, a count counts, a last keeps the latest."""
    meter = desk.meter(f"formula_{formula}", formula)  # type: ignore[arg-type] # pytest's parameters are str
    for minute, value in enumerate(("1", "2", "3")):
        desk.send(meter.event_name, value, timestamp=START - HOUR + minute * MINUTE)
    (summary,) = desk.client.v1.billing.meters.event_summaries.list(
        meter.id, {"customer": CUSTOMER, "start_time": START - HOUR, "end_time": START}
    )
    assert summary.aggregated_value == expected


def test_windows_come_newest_first_and_in_pages_of_ten(desk: SdkDesk) -> None:
    """One page has ten hours unless more are asked for; auto-paging finds them all once."""
    meter = desk.meter("hours")
    for hour in range(25):
        desk.send("hours", str(hour + 1), timestamp=START - (hour + 1) * HOUR)
    asked: MeterEventSummaryListParams = {
        "customer": CUSTOMER,
        "start_time": START - 2 * DAY,
        "end_time": START,
        "value_grouping_window": "hour",
    }
    summaries = desk.client.v1.billing.meters.event_summaries
    first = summaries.list(meter.id, asked)
    assert (len(first.data), first.has_more) == (10, True)
    every = list(first.auto_paging_iter())
    assert [summary.aggregated_value for summary in every] == [float(hour + 1) for hour in range(25)]
    assert [summary.end_time - summary.start_time for summary in every] == [HOUR] * 25
    assert len({summary.id for summary in every}) == 25
    assert len(summaries.list(meter.id, {**asked, "limit": 100}).data) == 25


def test_days_are_utc_days(desk: SdkDesk) -> None:
    """A day's window begins at midnight UTC."""
    meter = desk.meter("days")
    desk.send("days", "1", timestamp=START - 1)
    desk.send("days", "2", timestamp=START)
    listed = desk.client.v1.billing.meters.event_summaries.list(
        meter.id,
        {
            "customer": CUSTOMER,
            "start_time": START - DAY,
            "end_time": START + DAY,
            "value_grouping_window": "day",
        },
    )
    assert [(summary.start_time, summary.aggregated_value) for summary in listed] == [
        (START, 2.0),
        (START - DAY, 1.0),
    ]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"start_time": START + 1}, "start_time"),
        ({"end_time": START + HOUR + 1}, "end_time"),
        ({"end_time": START + HOUR + MINUTE, "value_grouping_window": "hour"}, "end_time"),
        ({"start_time": START - HOUR, "value_grouping_window": "day"}, "start_time"),
        ({"end_time": START}, "end_time"),
        ({"limit": 101}, "limit"),
        ({"customer": "nobody"}, "customer"),
    ],
)
def test_a_range_that_cannot_be_summed_is_refused(
    desk: SdkDesk, change: MeterEventSummaryListParams, param: str
) -> None:
    """Misaligned, empty and oversized requests are refused by the parameter at fault."""
    asked: MeterEventSummaryListParams = {
        "customer": CUSTOMER,
        "start_time": START,
        "end_time": START + HOUR,
        **change,
    }
    meter = desk.meter(f"refused {change}")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.client.v1.billing.meters.event_summaries.list(meter.id, asked)
    assert (caught.value.http_status, caught.value.param) == (400, param)


def test_an_unknown_meter_is_404(desk: SdkDesk) -> None:
    """Summaries of a meter that does not exist are resource_missing."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.client.v1.billing.meters.event_summaries.list(
            "mtr_none", {"customer": CUSTOMER, "start_time": START, "end_time": START + HOUR}
        )
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
