"""Meters through stripe-python."""

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from support.sdk_desk import START, SdkDesk


@pytest.fixture(scope="module")
def desk() -> Iterator[SdkDesk]:
    """Start one simulator for the tests of this file; each test uses names of its own."""
    with SdkDesk() as running:
        yield running


def test_a_new_meter_has_stripes_defaults(desk: SdkDesk) -> None:
    """What is not sent gets Stripe's defaults, and every field arrives in the client's type."""
    meter = desk.meter("defaults")
    assert isinstance(meter, stripe.billing.Meter)
    assert (meter.object, meter.status, meter.livemode) == ("billing.meter", "active", False)
    assert (meter.created, meter.updated) == (START, START)
    assert meter.id.startswith("mtr_")
    assert (meter.event_name, meter.display_name) == ("defaults", "Meter of defaults")
    assert meter.default_aggregation.formula == "sum"
    assert meter.event_time_window is None
    assert meter.customer_mapping.type == "by_id"
    assert meter.customer_mapping.event_payload_key == "stripe_customer_id"
    assert meter.value_settings.event_payload_key == "value"
    assert meter.status_transitions.deactivated_at is None


def test_a_new_meter_has_what_was_sent(desk: SdkDesk) -> None:
    """Keys, formula and window come back as they were sent."""
    meter = desk.client.v1.billing.meters.create(
        {
            "display_name": "Gauge",
            "event_name": "gauge",
            "default_aggregation": {"formula": "last"},
            "event_time_window": "day",
            "customer_mapping": {"type": "by_id", "event_payload_key": "who"},
            "value_settings": {"event_payload_key": "how_much"},
        }
    )
    assert (meter.default_aggregation.formula, meter.event_time_window) == ("last", "day")
    assert meter.customer_mapping.event_payload_key == "who"
    assert meter.value_settings.event_payload_key == "how_much"
    assert desk.client.v1.billing.meters.retrieve(meter.id).to_dict() == meter.to_dict()


def test_a_meter_through_its_life(desk: SdkDesk) -> None:
    """A meter is renamed, deactivated and reactivated, and tells when."""
    meters, made = desk.client.v1.billing.meters, desk.meter("life")
    assert meters.update(made.id, {"display_name": "Other"}).display_name == "Other"
    inactive = meters.deactivate(made.id)
    assert (inactive.status, inactive.status_transitions.deactivated_at) == ("inactive", START)
    assert made.id in [meter.id for meter in meters.list({"status": "inactive"})]
    assert made.id not in [meter.id for meter in meters.list({"status": "active", "limit": 100})]
    active = meters.reactivate(made.id)
    assert (active.status, active.status_transitions.deactivated_at) == ("active", None)


def test_lists_are_paged_both_ways(desk: SdkDesk) -> None:
    """The client's auto-paging finds every meter once, newest first, and backwards from a cursor."""
    made = [desk.meter(f"paged_{number}").id for number in range(7)]
    meters = desk.client.v1.billing.meters
    first = meters.list({"limit": 3})
    assert (first.url, first.has_more) == ("/v1/billing/meters", True)
    assert [meter.id for meter in first] == made[:-4:-1]
    listed = [meter.id for meter in first.auto_paging_iter()]
    assert listed[:7] == made[::-1]
    assert len(listed) == len(set(listed))
    back = meters.list({"limit": 2, "ending_before": made[0]}).auto_paging_iter()
    assert [meter.id for meter in back] == made[1:]
    assert first.next_page().data[0].id == made[3]


def test_an_event_name_belongs_to_one_meter(desk: SdkDesk) -> None:
    """A second active meter of an event name is refused."""
    desk.meter("taken")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.meter("taken")
    assert caught.value.http_status == 400


def test_an_unknown_meter_is_404(desk: SdkDesk) -> None:
    """An id that nothing has is resource_missing with the parameter that named it."""
    with pytest.raises(stripe.InvalidRequestError, match="No such") as caught:
        desk.client.v1.billing.meters.retrieve("mtr_none")
    error = caught.value
    assert (error.http_status, error.code, error.param) == (404, "resource_missing", "id")


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"event_name": None}, "event_name", "parameter_missing"),
        ({"event_name": "x" * 101}, "event_name", None),
        ({"display_name": "x" * 251}, "display_name", None),
        ({"default_aggregation": {"formula": "max"}}, "default_aggregation[formula]", None),
        ({"event_time_window": "week"}, "event_time_window", None),
        ({"color": "red"}, "color", "parameter_unknown"),
    ],
)
def test_a_bad_parameter_is_named(
    desk: SdkDesk, change: dict[str, Any], param: str, code: str | None
) -> None:
    """A parameter that is missing, wrong or unknown is refused by its name."""
    params = {
        "display_name": "Bad",
        "event_name": "bad",
        "default_aggregation": {"formula": "sum"},
        **change,
    }
    given: Any = {name: value for name, value in params.items() if value is not None}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.client.v1.billing.meters.create(given)
    assert (caught.value.http_status, caught.value.param) == (400, param)
    assert code in (None, caught.value.code)
