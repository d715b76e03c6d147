"""Alerts on usage through stripe-python."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import stripe

from support.sdk_desk import CUSTOMER, START, SdkDesk

if TYPE_CHECKING:
    from stripe.params.billing import AlertCreateParams

TRIGGERED = "billing.alert.triggered"


@pytest.fixture(scope="module")
def desk() -> Iterator[SdkDesk]:
    """Start one simulator for the tests of this file; each test uses meters of its own."""
    with SdkDesk() as running:
        yield running


def make_alert(
    desk: SdkDesk, meter_id: str, gte: int, *, customer: str | None = None
) -> stripe.billing.Alert:
    """Make an alert for one customer, or for all."""
    params: AlertCreateParams = {
        "alert_type": "usage_threshold",
        "title": f"Above {gte}",
        "usage_threshold": {"meter": meter_id, "gte": gte, "recurrence": "one_time"},
    }
    if customer is not None:
        params["usage_threshold"]["filters"] = [{"type": "customer", "customer": customer}]
    return desk.client.v1.billing.alerts.create(params)


def triggered(desk: SdkDesk, alert_id: str) -> list[stripe.Event]:
    """Return the events that tell of an alert, the newest first."""
    events = desk.client.v1.events.list({"types": [TRIGGERED], "limit": 100})
    return [event for event in events if event.data.object["alert"]["id"] == alert_id]


def test_an_alert_comes_back_as_it_was_made(desk: SdkDesk) -> None:
    """The threshold and its filter come back in the client's type."""
    meter = desk.meter("made")
    alert = make_alert(desk, meter.id, 100, customer=CUSTOMER)
    assert isinstance(alert, stripe.billing.Alert)
    assert (alert.object, alert.alert_type, alert.status) == ("billing.alert", "usage_threshold", "active")
    assert (alert.title, alert.livemode) == ("Above 100", False)
    threshold = alert.usage_threshold
    assert threshold is not None
    assert (threshold.gte, threshold.meter, threshold.recurrence) == (100, meter.id, "one_time")
    assert threshold.filters is not None
    assert [(each.type, each.customer) for each in threshold.filters] == [("customer", CUSTOMER)]
    assert desk.client.v1.billing.alerts.retrieve(alert.id).to_dict() == alert.to_dict()


def test_an_alert_through_its_life(desk: SdkDesk) -> None:
    """An alert is deactivated, activated and archived, and is listed under its meter."""
    meter = desk.meter("life")
    made = [make_alert(desk, meter.id, 100 + number).id for number in range(3)]
    alerts = desk.client.v1.billing.alerts
    assert alerts.deactivate(made[0]).status == "inactive"
    assert alerts.activate(made[0]).status == "active"
    assert alerts.archive(made[0]).status == "archived"
    listed = alerts.list({"meter": meter.id, "alert_type": "usage_threshold", "limit": 2})
    assert [alert.id for alert in listed.auto_paging_iter()][:2] == made[:0:-1]


def test_an_alert_fires_once_for_a_customer(desk: SdkDesk) -> None:
    """Usage from before counts, new usage fires it, and it never fires again for that customer."""
    meter = desk.meter("fires")
    desk.send("fires", "60")
    alert = make_alert(desk, meter.id, 50)
    assert triggered(desk, alert.id) == []
    desk.send("fires", "1")
    (event,) = triggered(desk, alert.id)
    assert isinstance(event, stripe.Event)
    assert (event.object, event.type, event.created) == ("event", TRIGGERED, START)
    told = event.data.object
    assert told["object"] == "billing.alert_triggered"
    assert (told["customer"], told["value"], told["livemode"]) == (CUSTOMER, 61, False)
    desk.send("fires", "100")
    assert len(triggered(desk, alert.id)) == 1
    desk.send("fires", "70", customer="cus_TestBeta")
    assert [each.data.object["customer"] for each in triggered(desk, alert.id)] == ["cus_TestBeta", CUSTOMER]


@pytest.mark.parametrize("gte", [0, -1, 1.5])
def test_a_threshold_is_a_whole_number(desk: SdkDesk, gte: float) -> None:
    """A threshold that is no integer above zero is refused by its name."""
    meter = desk.meter(f"threshold {gte}")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        make_alert(desk, meter.id, gte)  # type: ignore[arg-type] # the point of the test
    assert caught.value.param == "usage_threshold[gte]"


def test_a_meter_takes_25_alerts_of_a_customer(desk: SdkDesk) -> None:
    """The 26th alert for one customer on one meter is refused."""
    meter = desk.meter("many")
    for number in range(25):
        make_alert(desk, meter.id, number + 1, customer=CUSTOMER)
    with pytest.raises(stripe.InvalidRequestError):
        make_alert(desk, meter.id, 26, customer=CUSTOMER)


def test_an_unknown_meter_or_alert(desk: SdkDesk) -> None:
    """A meter that does not exist is refused by its parameter, an alert that does not is a 404."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        make_alert(desk, "mtr_none", 1)
    assert (caught.value.code, caught.value.param) == ("resource_missing", "usage_threshold[meter]")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.client.v1.billing.alerts.retrieve("alrt_none")
    assert caught.value.http_status == 404
