"""`/v1/events` through stripe-python."""

from collections.abc import Iterator

import pytest
import stripe

from support.sdk_billing import Billed, billed
from support.sdk_desk import DAY, HOUR, START, SdkDesk

NEXT_MONTH = START + 30 * DAY  # 2026-12-01T00:00:00Z


@pytest.fixture(scope="module")
def desk() -> Iterator[SdkDesk]:
    """Start a simulator whose clock only goes on, with one customer who is billed."""
    with SdkDesk() as running:
        yield running


@pytest.fixture(scope="module")
def made(desk: SdkDesk) -> Billed:
    """Let a month of one customer go by, and the hour after it."""
    made = billed(desk)
    desk.simulator.set_clock("2026-12-01T02:00:00Z")
    return made


def test_a_months_end_is_told(desk: SdkDesk, made: Billed) -> None:
    """A draft and its finalization are events of the instants at which they happened."""
    events = desk.client.v1.events.list({"types": ["invoice.created", "invoice.finalized"], "limit": 2})
    final, created = events.data
    assert isinstance(final, stripe.Event)
    assert (final.object, final.type, final.created) == ("event", "invoice.finalized", NEXT_MONTH + HOUR)
    assert (created.type, created.created) == ("invoice.created", NEXT_MONTH)
    assert created.data.object["object"] == "invoice"
    assert created.data.object["status"] == "draft"
    assert created.data.object["customer"] == made.customer.id
    assert final.data.object["id"] == created.data.object["id"]
    assert (final.livemode, final.api_version is None) == (False, False)


def test_an_event_is_read_by_its_id(desk: SdkDesk, made: Billed) -> None:
    """An event reads as it was listed; an unknown one is a 404."""
    assert made.subscription.id
    (newest,) = desk.client.v1.events.list({"limit": 1}).data
    assert desk.client.v1.events.retrieve(newest.id).to_dict() == newest.to_dict()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.client.v1.events.retrieve("evt_none")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")


def test_events_are_filtered_and_paged(desk: SdkDesk, made: Billed) -> None:
    """A type with a star and a range of time filter; auto-paging finds every event once."""
    assert made.subscription.id
    since = desk.client.v1.events.list({"type": "invoice.*", "created": {"gte": NEXT_MONTH}})
    assert {event.created for event in since} <= {NEXT_MONTH, NEXT_MONTH + HOUR}
    assert all(event.type.startswith("invoice.") for event in since)
    listed = [event.id for event in desk.client.v1.events.list({"limit": 1}).auto_paging_iter()]
    assert len(listed) == len(set(listed)) >= len(since.data) > 0
