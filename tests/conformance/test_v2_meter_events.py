"""Meter events over v2 through stripe-python."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import stripe

from support.sdk_desk import CUSTOMER, SdkDesk

if TYPE_CHECKING:
    from stripe.params.v2.billing import MeterEventCreateParams


@pytest.fixture(scope="module")
def desk() -> Iterator[SdkDesk]:
    """Start one simulator for the tests of this file; each test uses names of its own."""
    with SdkDesk() as running:
        yield running


def send(
    desk: SdkDesk,
    event_name: str,
    payload: dict[str, str],
    *,
    identifier: str | None = None,
    key: str | None = None,
) -> stripe.v2.billing.MeterEvent:
    """Send one event over v2; what is None is not sent."""
    params: MeterEventCreateParams = {"event_name": event_name, "payload": payload}
    if identifier is not None:
        params["identifier"] = identifier
    return desk.client.v2.billing.meter_events.create(params, {} if key is None else {"idempotency_key": key})


def test_an_event_comes_back_as_it_was_sent(desk: SdkDesk) -> None:
    """The client gets its own type, with RFC 3339 timestamps."""
    desk.meter("echo")
    payload = {"stripe_customer_id": CUSTOMER, "value": "12", "region": "eu"}
    event = desk.client.v2.billing.meter_events.create(
        {
            "event_name": "echo",
            "payload": payload,
            "identifier": "echo-1",
            "timestamp": "2026-10-31T23:00:00.000Z",
        }
    )
    assert isinstance(event, stripe.v2.billing.MeterEvent)
    assert (event.object, event.livemode) == ("v2.billing.meter_event", False)
    assert (event.event_name, event.identifier) == ("echo", "echo-1")
    assert event.created == "2026-11-01T00:00:00.000Z"
    assert event.timestamp == "2026-10-31T23:00:00.000Z"
    assert event.payload.to_dict() == payload
    assert "id" not in event


def test_what_is_not_sent_is_given(desk: SdkDesk) -> None:
    """Without an identifier and a timestamp an event gets one of its own and the present."""
    desk.meter("given")
    event = send(desk, "given", {"stripe_customer_id": CUSTOMER, "value": "1"})
    assert event.identifier
    assert event.timestamp == "2026-11-01T00:00:00.000Z"


def test_an_identifier_is_unique_over_v1_and_v2(desk: SdkDesk) -> None:
    """What v1 counted is a duplicate on v2, whose refusal has a code."""
    desk.meter("both")
    desk.send("both", identifier="both-1")
    with pytest.raises(stripe.InvalidRequestError, match="already exists with identifier both-1") as caught:
        send(desk, "both", {"stripe_customer_id": CUSTOMER, "value": "1"}, identifier="both-1")
    assert (caught.value.http_status, caught.value.code) == (400, "duplicate_meter_event")


@pytest.mark.parametrize(
    ("event_name", "payload", "code"),
    [
        ("nowhere", {"stripe_customer_id": CUSTOMER, "value": "1"}, "no_meter"),
        ("archived", {"stripe_customer_id": CUSTOMER, "value": "1"}, "archived_meter"),
        ("refusals", {"value": "1"}, "payload_no_customer_defined"),
        ("refusals", {"stripe_customer_id": CUSTOMER}, "payload_no_value_defined"),
        ("refusals", {"stripe_customer_id": CUSTOMER, "value": "1.5"}, "payload_invalid_value"),
        ("refusals", {"stripe_customer_id": CUSTOMER, "value": "-1"}, "payload_invalid_value"),
        ("refusals", {"stripe_customer_id": CUSTOMER, "value": "many"}, "payload_invalid_value"),
    ],
)
def test_refusals_have_codes(desk: SdkDesk, event_name: str, payload: dict[str, str], code: str) -> None:
    """Each refusal raises InvalidRequestError with v2's code."""
    known = {meter.event_name for meter in desk.client.v1.billing.meters.list({"limit": 100})}
    if not {"archived", "refusals"} <= known:
        desk.meter("refusals")
        desk.client.v1.billing.meters.deactivate(desk.meter("archived").id)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        send(desk, event_name, payload)
    assert (caught.value.http_status, caught.value.code) == (400, code)


def test_a_number_as_value_is_refused(desk: SdkDesk) -> None:
    """The client sends a JSON number as it is given; the API wants strings."""
    desk.meter("number")
    payload: Any = {"stripe_customer_id": CUSTOMER, "value": 5}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        send(desk, "number", payload)
    assert caught.value.http_status == 400


def test_a_key_replays_a_success_and_runs_a_failure_again(desk: SdkDesk) -> None:
    """A success under a key counts once; a failure is carried out again, unlike on v1."""
    payload = {"stripe_customer_id": CUSTOMER, "value": "1"}
    with pytest.raises(stripe.InvalidRequestError):
        send(desk, "again", payload, identifier="again-1", key="key-again")
    desk.meter("again")
    first = send(desk, "again", payload, identifier="again-1", key="key-again")
    assert send(desk, "again", payload, identifier="again-1", key="key-again").to_dict() == first.to_dict()
    record = desk.simulator.ledger(identifiers=True)["identifiers"]["again-1"]
    assert record == {"arrivals": 3, "counted": 1}


def test_a_key_with_other_parameters_is_an_idempotency_error(desk: SdkDesk) -> None:
    """The same key for something else raises the client's IdempotencyError."""
    desk.meter("mismatch")
    send(desk, "mismatch", {"stripe_customer_id": CUSTOMER, "value": "1"}, key="key-mismatch")
    with pytest.raises(stripe.IdempotencyError):
        send(desk, "mismatch", {"stripe_customer_id": CUSTOMER, "value": "2"}, key="key-mismatch")


def test_a_wrong_key_is_an_authentication_error(desk: SdkDesk) -> None:
    """Keys are looked at on v2 as on v1."""
    wrong = desk.connect("nonsense").v2.billing.meter_events
    with pytest.raises(stripe.AuthenticationError):
        wrong.create({"event_name": "x", "payload": {"stripe_customer_id": CUSTOMER, "value": "1"}})
