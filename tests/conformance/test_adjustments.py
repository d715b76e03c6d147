"""Cancelations of events through stripe-python, over v1 and v2."""

from collections.abc import Iterator

import pytest
import stripe

from support.sdk_desk import CUSTOMER, DAY, START, START_TEXT, SdkDesk


@pytest.fixture(scope="module")
def running() -> Iterator[SdkDesk]:
    """Start one simulator for the tests of this file; each test uses names of its own."""
    with SdkDesk() as started:
        yield started


@pytest.fixture
def desk(running: SdkDesk) -> SdkDesk:
    """Return the simulator with its clock back at the start."""
    running.simulator.set_clock(START_TEXT)
    return running


def test_a_canceled_event_counts_no_longer(desk: SdkDesk) -> None:
    """The adjustment comes back in the client's type, without an id, and summaries leave the event out."""
    meter = desk.meter("canceled")
    desk.send("canceled", "40", identifier="keep")
    desk.send("canceled", "2", identifier="cancel")
    adjustment = desk.client.v1.billing.meter_event_adjustments.create(
        {"event_name": "canceled", "type": "cancel", "cancel": {"identifier": "cancel"}}
    )
    assert isinstance(adjustment, stripe.billing.MeterEventAdjustment)
    assert adjustment.object == "billing.meter_event_adjustment"
    assert (adjustment.event_name, adjustment.type, adjustment.livemode) == ("canceled", "cancel", False)
    assert adjustment.status in ("pending", "complete")
    assert adjustment.cancel is not None
    assert adjustment.cancel.identifier == "cancel"
    assert "id" not in adjustment
    (summary,) = desk.client.v1.billing.meters.event_summaries.list(
        meter.id, {"customer": CUSTOMER, "start_time": START - DAY, "end_time": START + DAY}
    )
    assert summary.aggregated_value == 40.0


def test_v2_has_the_same_with_an_id(desk: SdkDesk) -> None:
    """Over v2 the adjustment has an id and says when it was made."""
    desk.meter("canceled_v2")
    desk.send("canceled_v2", identifier="cancel-v2")
    adjustment = desk.client.v2.billing.meter_event_adjustments.create(
        {"event_name": "canceled_v2", "type": "cancel", "cancel": {"identifier": "cancel-v2"}}
    )
    assert isinstance(adjustment, stripe.v2.billing.MeterEventAdjustment)
    assert adjustment.object == "v2.billing.meter_event_adjustment"
    assert adjustment.created == "2026-11-01T00:00:00.000Z"
    assert adjustment.cancel.identifier == "cancel-v2"
    assert adjustment.id


def test_an_unknown_event_cannot_be_canceled(desk: SdkDesk) -> None:
    """Both versions refuse; v2 has a code for it."""
    desk.meter("unknown_event")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.client.v1.billing.meter_event_adjustments.create(
            {"event_name": "unknown_event", "type": "cancel", "cancel": {"identifier": "never"}}
        )
    assert caught.value.http_status == 400
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.client.v2.billing.meter_event_adjustments.create(
            {"event_name": "unknown_event", "type": "cancel", "cancel": {"identifier": "never"}}
        )
    assert caught.value.code == "invalid_cancel_configuration"


def test_an_event_can_be_canceled_for_24_hours_from_its_receipt(desk: SdkDesk) -> None:
    """The time of receipt decides, not the event's timestamp."""
    desk.meter("late_cancel")
    desk.send("late_cancel", identifier="early", timestamp=START - 10 * DAY)
    desk.send("late_cancel", identifier="late", timestamp=START)
    desk.simulator.advance("86399s")
    cancel = desk.client.v1.billing.meter_event_adjustments.create
    cancel({"event_name": "late_cancel", "type": "cancel", "cancel": {"identifier": "early"}})
    desk.simulator.advance("2s")
    with pytest.raises(stripe.InvalidRequestError):
        cancel({"event_name": "late_cancel", "type": "cancel", "cancel": {"identifier": "late"}})
