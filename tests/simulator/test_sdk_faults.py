"""What Stripe's own Python client makes of faults, with the simulator as a process."""

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from support.simulator_process import SimulatorProcess

EVENT_NAME = "sdk_faults"


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    """Start one simulator for the tests of this file; each begins with a reset."""
    with SimulatorProcess("--clock", "2026-11-01T00:00:00Z", "--freeze") as process:
        yield process


@pytest.fixture
def client(simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch) -> stripe.StripeClient:
    """Return the official client, that does not retry, before a simulator with one meter and no faults."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    simulator.reset()
    client = connect(simulator, retries=0)
    client.v1.billing.meters.create(
        {"display_name": EVENT_NAME, "event_name": EVENT_NAME, "default_aggregation": {"formula": "sum"}}
    )
    return client


def connect(simulator: SimulatorProcess, *, retries: int) -> stripe.StripeClient:
    """Return the official client that retries so many times."""
    return stripe.StripeClient(
        "sk_test_faults", base_addresses={"api": simulator.url}, max_network_retries=retries
    )


def send(client: stripe.StripeClient, identifier: str = "x") -> stripe.billing.MeterEvent:
    """Send one event under its identifier as the key."""
    payload = {"stripe_customer_id": "cus_A", "value": "1"}
    return client.v1.billing.meter_events.create(
        {"event_name": EVENT_NAME, "payload": payload, "identifier": identifier},
        {"idempotency_key": identifier},
    )


def arrived(simulator: SimulatorProcess) -> Any:
    """Return how often each identifier arrived and was counted."""
    return simulator.ledger(identifiers=True)["identifiers"]


def test_a_lost_answer_is_a_connection_error(
    client: stripe.StripeClient, simulator: SimulatorProcess
) -> None:
    """The client cannot tell what became of the event; the same key finds out, and it counts once."""
    simulator.set_faults({"kind": "answer_lost"})
    with pytest.raises(stripe.APIConnectionError):
        send(client)
    assert arrived(simulator) == {"x": {"arrivals": 1, "counted": 1}}
    assert send(client).identifier == "x"
    assert arrived(simulator) == {"x": {"arrivals": 2, "counted": 1}}


@pytest.mark.usefixtures("client")
def test_the_client_retries_what_was_lost(simulator: SimulatorProcess) -> None:
    """With retries a lost request and a lost answer pass unnoticed, and the event counts once."""
    simulator.set_faults({"kind": "request_lost"}, {"kind": "answer_lost"})
    assert send(connect(simulator, retries=2)).identifier == "x"
    assert arrived(simulator) == {"x": {"arrivals": 3, "counted": 1}}
    kinds = [strike["kind"] for strike in simulator.faults()["log"]]
    assert kinds == ["answer_lost", "request_lost"]


def test_a_reset_in_mid_body_is_a_connection_error(
    client: stripe.StripeClient, simulator: SimulatorProcess
) -> None:
    """Half an answer is no answer to the client, and one that it does not retry by itself."""
    simulator.set_faults({"kind": "reset", "times": 2})
    for retrying in (client, connect(simulator, retries=2)):
        with pytest.raises(stripe.APIConnectionError):
            send(retrying)
    assert arrived(simulator) == {"x": {"arrivals": 2, "counted": 1}}


def test_a_server_error_stays_with_its_key(client: stripe.StripeClient, simulator: SimulatorProcess) -> None:
    """A stored 500 is an APIError for as often as its key comes, with the client's own retries too."""
    simulator.set_faults({"kind": "server_error", "counted": True})
    for retrying in (client, connect(simulator, retries=1)):
        with pytest.raises(stripe.APIError) as caught:
            send(retrying)
        assert caught.value.http_status == 500
    assert arrived(simulator)["x"]["counted"] == 1


def test_a_rate_limit_and_a_lock_differ(client: stripe.StripeClient, simulator: SimulatorProcess) -> None:
    """Both are the client's RateLimitError; the reason stands in a header, and only a lock is retried."""
    simulator.set_faults({"kind": "rate_limited", "reason": "global-rate"})
    with pytest.raises(stripe.RateLimitError) as limited:
        send(connect(simulator, retries=2))
    assert limited.value.headers is not None
    assert limited.value.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert arrived(simulator)["x"]["arrivals"] == 1
    simulator.set_faults({"kind": "rate_limited", "reason": "none"})
    with pytest.raises(stripe.RateLimitError) as locked:
        send(client, "y")
    assert locked.value.headers is not None
    assert "Stripe-Rate-Limited-Reason" not in locked.value.headers
    simulator.set_faults({"kind": "rate_limited", "reason": "none"})
    assert send(connect(simulator, retries=1), "z").identifier == "z"


def test_a_conflict_is_retried(client: stripe.StripeClient, simulator: SimulatorProcess) -> None:
    """Without retries a 409 is an APIError with the key's code; with one the client gets through."""
    simulator.set_faults({"kind": "conflict", "times": 2})
    with pytest.raises(stripe.StripeError) as caught:
        send(client)
    assert caught.value.error is not None
    assert (caught.value.http_status, caught.value.error.code) == (409, "idempotency_key_in_use")
    assert send(connect(simulator, retries=1)).identifier == "x"


def test_another_sites_page_is_refused(simulator: SimulatorProcess) -> None:
    """Before the real process too, an Origin from elsewhere gets a 403."""
    assert simulator.status("/_simulator/clock") == 200
    assert simulator.status("/_simulator/clock", Origin="https://evil.example") == 403
    assert simulator.status("/_simulator/clock", Host="evil.example") == 403


def test_a_malformed_plan_is_refused_with_its_line(simulator: SimulatorProcess) -> None:
    """The process answers a malformed plan with 400 as any other request."""
    assert simulator.status("/_simulator/faults", body=b"{\n,") == 400
