"""Error reports and other thin events through stripe-python's `/v2/core/events`."""

from collections.abc import Iterator

import pytest
import stripe
from stripe.events import (
    V1BillingMeterCreatedEvent,
    V1BillingMeterErrorReportTriggeredEvent,
    V1BillingMeterNoMeterFoundEvent,
)

from support.sdk_desk import SdkDesk

REPORT = "v1.billing.meter.error_report_triggered"
NO_METER = "v1.billing.meter.no_meter_found"


@pytest.fixture
def desk() -> Iterator[SdkDesk]:
    """Start a simulator for each test: its clock runs ahead until the reports are there."""
    with SdkDesk() as running:
        yield running


def stream(desk: SdkDesk, event_name: str, customer: str, events: int) -> None:
    """Send events over the stream, which looks at them later."""
    token = desk.client.v2.billing.meter_event_session.create().authentication_token
    desk.client.v2.billing.meter_event_stream.create(
        {
            "events": [
                {
                    "event_name": event_name,
                    "identifier": f"{event_name}-{number}",
                    "payload": {"stripe_customer_id": customer, "value": "1"},
                }
                for number in range(events)
            ]
        },
        {"api_key": token},
    )


def test_a_report_tells_what_failed(desk: SdkDesk) -> None:
    """A window of 10 seconds is reported with its count, its codes and samples, in the client's type."""
    meter = desk.meter("reported")
    stream(desk, "reported", "nobody", 3)
    desk.simulator.advance("30s")
    (event,) = desk.client.v2.core.events.list({"object_id": meter.id, "types": [REPORT]}).data
    assert isinstance(event, V1BillingMeterErrorReportTriggeredEvent)
    assert event.object == "v2.core.event"
    assert event.related_object.id == meter.id
    assert event.related_object.url == f"/v1/billing/meters/{meter.id}"
    assert event.fetch_related_object().id == meter.id
    assert event.data.validation_start == "2026-11-01T00:00:00.000Z"
    assert event.data.validation_end == "2026-11-01T00:00:10.000Z"
    assert event.data.developer_message_summary
    assert event.data.reason.error_count == 3
    (kind,) = event.data.reason.error_types
    assert (kind.code, kind.error_count) == ("meter_event_customer_not_found", 3)
    assert 1 <= len(kind.sample_errors) <= 3
    assert kind.sample_errors[0].error_message
    assert kind.sample_errors[0].request.identifier.startswith("reported-")


def test_an_unknown_meter_is_reported_without_an_object(desk: SdkDesk) -> None:
    """Events of no meter are reported by a type of their own."""
    stream(desk, "nowhere", "cus_A", 2)
    desk.simulator.advance("30s")
    (event,) = desk.client.v2.core.events.list({"types": [NO_METER]}).data
    assert isinstance(event, V1BillingMeterNoMeterFoundEvent)
    assert "related_object" not in event or event["related_object"] is None
    assert event.data.reason.error_count == 2
    assert event.data.reason.error_types[0].code == "no_meter"


def test_events_are_listed_by_pages(desk: SdkDesk) -> None:
    """Auto-paging follows the relative links to every event once, the newest first."""
    for number in range(5):
        stream(desk, f"page_{number}", "cus_A", 1)
        desk.simulator.advance("30s")
    first = desk.client.v2.core.events.list({"types": [NO_METER], "limit": 2})
    assert len(first.data) == 2
    assert first.next_page_url is not None
    assert first.next_page_url.startswith("/v2/core/events?page=")
    every = list(first.auto_paging_iter())
    assert len({event.id for event in every}) == len(every) == 5
    assert [event.created for event in every] == sorted((event.created for event in every), reverse=True)


def test_events_are_found_by_time_and_by_id(desk: SdkDesk) -> None:
    """The range of creation filters; one event can be read by its id until it is 30 days old."""
    stream(desk, "early", "cus_A", 1)
    desk.simulator.advance("1h")
    stream(desk, "later", "cus_A", 1)
    desk.simulator.advance("30s")
    events = desk.client.v2.core.events
    (event,) = events.list({"types": [NO_METER], "created": {"gte": "2026-11-01T00:30:00.000Z"}}).data
    assert events.retrieve(event.id).to_dict() == event.to_dict()
    desk.simulator.advance("31d")
    assert events.list({"types": [NO_METER]}).data == []
    with pytest.raises(stripe.InvalidRequestError) as caught:
        events.retrieve(event.id)
    assert caught.value.http_status == 404


def test_at_most_20_types(desk: SdkDesk) -> None:
    """A list takes 20 types, and no more."""
    types = [f"v1.billing.meter.kind_{number}" for number in range(21)]
    assert desk.client.v2.core.events.list({"types": types[:20]}).data == []
    with pytest.raises(stripe.InvalidRequestError):
        desk.client.v2.core.events.list({"types": types})


def test_a_meters_life_is_told(desk: SdkDesk) -> None:
    """A new meter is an event with the meter as its object."""
    meter = desk.meter("told")
    (event,) = desk.client.v2.core.events.list({"object_id": meter.id}).data
    assert isinstance(event, V1BillingMeterCreatedEvent)
    assert event.related_object.type == "billing.meter"
