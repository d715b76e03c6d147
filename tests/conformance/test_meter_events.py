"""Meter events over v1 through stripe-python."""

from collections.abc import Iterator

import pytest
import stripe

from support.sdk_desk import CUSTOMER, DAY, MINUTE, START, START_TEXT, SdkDesk, send


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


def test_an_event_comes_back_as_it_was_sent(desk: SdkDesk) -> None:
    """The client gets its own type, with the payload's further keys and no id."""
    desk.meter("echo")
    payload = {"stripe_customer_id": CUSTOMER, "value": "12.5", "region": "eu west"}
    event = send(desk.client, "echo", payload, identifier="echo-1", timestamp=START - 60)
    assert isinstance(event, stripe.billing.MeterEvent)
    assert (event.object, event.livemode) == ("billing.meter_event", False)
    assert (event.event_name, event.identifier) == ("echo", "echo-1")
    assert (event.created, event.timestamp) == (START, START - 60)
    assert event.payload.to_dict() == payload
    assert "id" not in event


def test_what_is_not_sent_is_given(desk: SdkDesk) -> None:
    """Without an identifier and a timestamp each event gets an identifier of its own and the present."""
    desk.meter("given")
    first, second = desk.send("given"), desk.send("given")
    assert first.identifier
    assert first.identifier != second.identifier
    assert first.timestamp == START


@pytest.mark.parametrize("value", ["0", "-3", "0.000000000001", "123456789012345", "-12.75"])
def test_decimals_and_negatives_are_taken(desk: SdkDesk, value: str) -> None:
    """Values of up to 15 digits are taken as they are."""
    event_name = f"value {value}"
    desk.meter(event_name)
    assert desk.send(event_name, value).payload["value"] == value


def test_a_duplicate_is_refused_for_24_hours(desk: SdkDesk) -> None:
    """The refusal has no code and is not to be retried; 24 hours after receipt the event counts again."""
    desk.meter("duplicate")
    desk.send("duplicate", identifier="dup")
    desk.simulator.advance("86399s")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.send("duplicate", identifier="dup")
    error = caught.value
    assert error.user_message == "An event already exists with identifier dup."
    assert (error.http_status, error.code, error.param) == (400, None, None)
    assert error.headers is not None
    assert error.headers["Stripe-Should-Retry"] == "false"
    assert error.request_id is not None
    assert error.request_id.startswith("req_")
    desk.simulator.advance("1s")
    desk.send("duplicate", identifier="dup")
    counted = desk.simulator.ledger(identifiers=True)["identifiers"]["dup"]
    assert counted == {"arrivals": 3, "counted": 2}


def test_an_idempotency_key_replays_its_answer(desk: SdkDesk) -> None:
    """The same key answers again without counting, until 24 hours have passed."""
    desk.meter("replay")
    first = desk.send("replay", identifier="replay-1", idempotency_key="key-replay")
    again = desk.send("replay", identifier="replay-1", idempotency_key="key-replay")
    assert again.to_dict() == first.to_dict()
    assert (first.last_response, again.last_response) != (None, None)
    assert "Idempotent-Replayed" not in headers(first)
    assert headers(again)["Idempotent-Replayed"] == "true"
    assert headers(again)["Idempotency-Key"] == "key-replay"
    desk.simulator.advance("24h")
    later = desk.send("replay", identifier="replay-1", idempotency_key="key-replay")
    assert "Idempotent-Replayed" not in headers(later)


def test_a_replayed_refusal_stays_a_refusal(desk: SdkDesk) -> None:
    """A refusal that was stored under a key is replayed, also when the reason is gone."""
    with pytest.raises(stripe.InvalidRequestError):
        desk.send("late_meter", identifier="late-1", idempotency_key="key-late")
    desk.meter("late_meter")
    with pytest.raises(stripe.InvalidRequestError, match="No active meter") as caught:
        desk.send("late_meter", identifier="late-1", idempotency_key="key-late")
    assert caught.value.headers is not None
    assert caught.value.headers["Idempotent-Replayed"] == "true"
    assert desk.send("late_meter", identifier="late-1", idempotency_key="key-other").identifier == "late-1"


def test_a_key_with_other_parameters_is_an_idempotency_error(desk: SdkDesk) -> None:
    """The same key for something else raises the client's IdempotencyError."""
    desk.meter("mismatch")
    desk.send("mismatch", "1", idempotency_key="key-mismatch")
    with pytest.raises(stripe.IdempotencyError) as caught:
        desk.send("mismatch", "2", idempotency_key="key-mismatch")
    assert caught.value.http_status == 400


def test_an_unknown_and_an_inactive_meter_are_alike(desk: SdkDesk) -> None:
    """Neither takes events, and the message names the event name."""
    meter = desk.meter("inactive")
    desk.client.v1.billing.meters.deactivate(meter.id)
    for event_name in ("inactive", "nowhere"):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            desk.send(event_name)
        assert caught.value.user_message == f'No active meter found for event name "{event_name}".'
        assert caught.value.http_status == 400


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        (-35 * DAY - 1, "The event timestamp cannot be more than 35 days in past."),
        (5 * MINUTE + 1, "5 minutes in the future"),
    ],
)
def test_a_timestamp_out_of_range_is_refused(desk: SdkDesk, offset: int, message: str) -> None:
    """A second too old or too far ahead is refused, the last good second is taken."""
    event_name = f"time {offset}"
    desk.meter(event_name)
    with pytest.raises(stripe.InvalidRequestError, match=message) as caught:
        desk.send(event_name, timestamp=START + offset)
    assert caught.value.param == "timestamp"
    inside = offset + 1 if offset < 0 else offset - 1
    assert desk.send(event_name, timestamp=START + inside).timestamp == START + inside


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"value": "1"}, "Customer mapping key stripe_customer_id not found in payload."),
        ({"stripe_customer_id": CUSTOMER}, "not found in payload"),
        ({"stripe_customer_id": CUSTOMER, "value": "many"}, "many"),
        ({"stripe_customer_id": CUSTOMER, "value": "1234567890123456"}, "can have at most 15 digits"),
        ({"stripe_customer_id": "nobody", "value": "1"}, "No such customer: 'nobody'"),
    ],
)
def test_a_bad_payload_is_refused(desk: SdkDesk, payload: dict[str, str], message: str) -> None:
    """A payload without its keys, or with a bad value or customer, is a 400 that says so."""
    event_name = f"payload {message}"
    desk.meter(event_name)
    with pytest.raises(stripe.InvalidRequestError, match=message) as caught:
        send(desk.client, event_name, payload)
    assert caught.value.http_status == 400


def test_a_nested_payload_is_refused(desk: SdkDesk) -> None:
    """A map inside the payload is refused by its bracketed name."""
    desk.meter("nested")
    payload = {"stripe_customer_id": CUSTOMER, "value": {"amount": "1"}}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        send(desk.client, "nested", payload)  # type: ignore[arg-type] # the point of the test
    assert caught.value.param == "payload[value][amount]"


def test_too_long_texts_are_refused(desk: SdkDesk) -> None:
    """Identifiers and event names have at most 100 characters."""
    desk.meter("long")
    assert desk.send("long", identifier="i" * 100).identifier == "i" * 100
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.send("long", identifier="i" * 101)
    assert caught.value.param == "identifier"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.send("e" * 101)
    assert caught.value.param == "event_name"


def headers(event: stripe.billing.MeterEvent) -> dict[str, str]:
    """Return the headers that an event was answered with."""
    assert event.last_response is not None
    return dict(event.last_response.headers)
