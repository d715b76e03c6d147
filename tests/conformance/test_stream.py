"""The meter event stream through stripe-python."""

from collections.abc import Iterator
from datetime import datetime

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


def stream(desk: SdkDesk, token: str, event_name: str, events: int) -> None:
    """Send events of value 1 in one batch, with identifiers that begin with the event name."""
    desk.client.v2.billing.meter_event_stream.create(
        {
            "events": [
                {
                    "event_name": event_name,
                    "identifier": f"{event_name}-{number}",
                    "payload": {"stripe_customer_id": CUSTOMER, "value": "1"},
                }
                for number in range(events)
            ]
        },
        {"api_key": token},
    )


def open_session(desk: SdkDesk) -> stripe.v2.billing.MeterEventSession:
    """Open a session for the stream."""
    return desk.client.v2.billing.meter_event_session.create()


def test_a_session_lives_for_15_minutes(desk: SdkDesk) -> None:
    """The session comes back in the client's type, with its token and its end."""
    session = open_session(desk)
    assert isinstance(session, stripe.v2.billing.MeterEventSession)
    assert (session.object, session.livemode) == ("v2.billing.meter_event_session", False)
    assert session.id
    assert session.authentication_token
    created, expires = (datetime.fromisoformat(text) for text in (session.created, session.expires_at))
    assert (expires - created).total_seconds() == 15 * 60


def test_a_batch_of_a_hundred_counts(desk: SdkDesk) -> None:
    """The answer says nothing, and summaries show what came."""
    meter = desk.meter("batch")
    stream(desk, open_session(desk).authentication_token, "batch", 100)
    (summary,) = desk.client.v1.billing.meters.event_summaries.list(
        meter.id, {"customer": CUSTOMER, "start_time": START, "end_time": START + DAY}
    )
    assert summary.aggregated_value == 100.0


@pytest.mark.parametrize("events", [0, 101])
def test_a_batch_has_1_to_100_events(desk: SdkDesk, events: int) -> None:
    """No event and one too many are refused, and none counts."""
    desk.meter(f"size {events}")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stream(desk, open_session(desk).authentication_token, f"size {events}", events)
    assert caught.value.http_status == 400


def test_a_duplicate_in_the_stream_counts_once_without_a_word(desk: SdkDesk) -> None:
    """The stream answers every batch alike; an identifier counts once."""
    desk.meter("twice")
    token = open_session(desk).authentication_token
    for _ in range(2):
        stream(desk, token, "twice", 1)
    record = desk.simulator.ledger(identifiers=True)["identifiers"]["twice-0"]
    assert record == {"arrivals": 2, "counted": 1}


def test_an_expired_session_has_its_own_error(desk: SdkDesk) -> None:
    """A second before its end the token is good; at its end the client raises its typed error."""
    desk.meter("expired")
    token = open_session(desk).authentication_token
    desk.simulator.advance("899s")
    stream(desk, token, "expired", 1)
    desk.simulator.advance("1s")
    with pytest.raises(stripe.TemporarySessionExpiredError) as caught:
        stream(desk, token, "expired", 1)
    assert (caught.value.http_status, caught.value.code) == (401, "billing_meter_event_session_expired")


@pytest.mark.parametrize("token", ["nonsense", "sk_test_conformance"])
def test_the_stream_takes_tokens_alone(desk: SdkDesk, token: str) -> None:
    """Neither an API key nor anything else opens the stream."""
    with pytest.raises(stripe.StripeError) as caught:
        stream(desk, token, "anything", 1)
    assert caught.value.http_status == 401
