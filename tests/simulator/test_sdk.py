"""Stripe's own Python client against the simulator as a process."""

from collections.abc import Iterator

import pytest
import stripe

from simulator.conversation import DAY, HOUR, START
from support.simulator_process import SimulatorProcess


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    """Start one simulator for the tests of this file; each test uses names of its own."""
    with SimulatorProcess("--clock", "2026-11-01T00:00:00Z", "--freeze") as process:
        yield process


@pytest.fixture
def client(simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch) -> stripe.StripeClient:
    """Return the official client, pointed at the simulator, its clock at the start of November."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    simulator.set_clock("2026-11-01T00:00:00Z")
    return connect(simulator.url)


def connect(url: str, key: str = "sk_test_sdk") -> stripe.StripeClient:
    """Return the official client for a key."""
    return stripe.StripeClient(key, base_addresses={"api": url}, max_network_retries=0)


def make_meter(client: stripe.StripeClient, event_name: str) -> str:
    """Make a sum meter and return its id."""
    meter = client.v1.billing.meters.create(
        {"display_name": event_name, "event_name": event_name, "default_aggregation": {"formula": "sum"}}
    )
    return meter.id


def send(
    client: stripe.StripeClient, event_name: str, value: str, *, identifier: str, key: str | None = None
) -> stripe.billing.MeterEvent:
    """Send one event of customer cus_A, under an idempotency key if one is given."""
    return client.v1.billing.meter_events.create(
        {
            "event_name": event_name,
            "payload": {"stripe_customer_id": "cus_A", "value": value},
            "identifier": identifier,
        },
        {"idempotency_key": key} if key else {},
    )


def send_many(client: stripe.StripeClient, event_name: str, events: int) -> None:
    """Send a number of events as fast as the client can."""
    for number in range(events):
        send(client, event_name, "1", identifier=f"{event_name}-{number}")


def test_account(client: stripe.StripeClient) -> None:
    """The client reads the account, its own and a connected one."""
    assert client.v1.accounts.retrieve_current().id == "acct_simulator"
    assert client.v1.accounts.retrieve_current(options={"stripe_account": "acct_2"}).id == "acct_2"


def test_meters(client: stripe.StripeClient) -> None:
    """Every meter call of the client works, auto-paging included."""
    meters = client.v1.billing.meters
    made = [make_meter(client, f"sdk_meter_{number}") for number in range(12)]
    assert meters.retrieve(made[0]).event_name == "sdk_meter_0"
    assert meters.update(made[0], {"display_name": "Other"}).display_name == "Other"
    assert meters.deactivate(made[0]).status == "inactive"
    assert made[0] in [meter.id for meter in meters.list({"status": "inactive"}).data]
    assert meters.reactivate(made[0]).status == "active"
    listed = [meter.id for meter in meters.list({"limit": 5}).auto_paging_iter()]
    assert set(made) <= set(listed)
    assert len(listed) == len(set(listed))


def test_customers(client: stripe.StripeClient) -> None:
    """The client makes, reads and lists customers."""
    made = client.v1.customers.create({"name": "Alpha", "metadata": {"plan": "pro"}})
    assert client.v1.customers.retrieve(made.id).to_dict()["metadata"] == {"plan": "pro"}
    assert made.id in [customer.id for customer in client.v1.customers.list().data]


def test_events_and_summaries(client: stripe.StripeClient) -> None:
    """Events sent by the client come back as summaries, in total and by hour."""
    meter_id = make_meter(client, "sdk_events")
    event = send(client, "sdk_events", "40", identifier="sdk-1")
    assert (event.created, event.identifier, event.livemode) == (START, "sdk-1", False)
    send(client, "sdk_events", "2.5", identifier="sdk-2")
    summaries = client.v1.billing.meters.event_summaries
    (total,) = summaries.list(
        meter_id, {"customer": "cus_A", "start_time": START, "end_time": START + HOUR}
    ).data
    assert total.aggregated_value == 42.5
    (hour,) = summaries.list(
        meter_id,
        {
            "customer": "cus_A",
            "start_time": START - DAY,
            "end_time": START + DAY,
            "value_grouping_window": "hour",
        },
    ).auto_paging_iter()
    assert (hour.start_time, hour.aggregated_value) == (START, 42.5)


def test_errors_become_the_clients_own(client: stripe.StripeClient, simulator: SimulatorProcess) -> None:
    """Duplicates, wrong keys, reused idempotency keys and unknown ids raise the client's typed errors."""
    make_meter(client, "sdk_errors")
    send(client, "sdk_errors", "1", identifier="sdk-dup", key="sdk-key")
    with pytest.raises(stripe.InvalidRequestError, match="already exists with identifier sdk-dup") as caught:
        send(client, "sdk_errors", "1", identifier="sdk-dup")
    assert caught.value.code is None
    assert caught.value.headers is not None
    assert caught.value.headers["Stripe-Should-Retry"] == "false"
    with pytest.raises(stripe.IdempotencyError):
        send(client, "sdk_errors", "2", identifier="sdk-dup", key="sdk-key")
    assert send(client, "sdk_errors", "1", identifier="sdk-dup", key="sdk-key").created == START
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.billing.meters.retrieve("mtr_none")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided"):
        connect(simulator.url, "nonsense").v1.accounts.retrieve_current()


def test_24_hours_and_the_ledger(client: stripe.StripeClient, simulator: SimulatorProcess) -> None:
    """A resend a second before 24 hours is refused, one a second after counts again, and the page says so."""
    make_meter(client, "sdk_day")
    send(client, "sdk_day", "3", identifier="sdk-day")
    simulator.advance("86399s")
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        send(client, "sdk_day", "3", identifier="sdk-day")
    simulator.advance("2s")
    send(client, "sdk_day", "3", identifier="sdk-day")
    page = simulator.ledger(identifiers=True)
    assert page["identifiers"]["sdk-day"] == {"arrivals": 3, "counted": 2}
    assert [row["total"] for row in page["usage"] if row["event_name"] == "sdk_day"] == ["6"]


def test_a_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond --limit the client raises its rate limit error with Stripe's reason header."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    with SimulatorProcess("--limit", "1", "--freeze") as limited:
        client = connect(limited.url)
        make_meter(client, "sdk_limit")
        with pytest.raises(stripe.RateLimitError) as caught:
            send_many(client, "sdk_limit", 20)
    assert caught.value.headers is not None
    assert caught.value.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
