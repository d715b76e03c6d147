"""The account, and what holds for every call: keys, versions, headers, retries, raw requests."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from support.sdk_desk import SdkDesk, send

PAYLOAD = {"stripe_customer_id": "cus_A", "value": "1"}
MAX_POLLS = 1_000  # far more than it takes a request to arrive


@pytest.fixture(scope="module")
def desk() -> Iterator[SdkDesk]:
    """Start one simulator for the tests of this file; each test uses names of its own."""
    with SdkDesk() as running:
        yield running


def test_the_account_of_a_key(desk: SdkDesk) -> None:
    """The client reads the account of its key, and of the Stripe-Account header."""
    account = desk.client.v1.accounts.retrieve_current()
    assert isinstance(account, stripe.Account)
    assert (account.object, account.id) == ("account", "acct_simulator")
    assert (account.country, account.default_currency) == ("US", "usd")
    assert desk.connect(account="acct_2").v1.accounts.retrieve_current().id == "acct_2"


def test_connected_accounts_are_apart(desk: SdkDesk) -> None:
    """A meter of one account is unknown to another."""
    meter = desk.meter("apart")
    other = desk.connect(account="acct_other")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        other.v1.billing.meters.retrieve(meter.id)
    assert caught.value.http_status == 404


def test_an_account_without_access_is_a_permission_error(desk: SdkDesk) -> None:
    """A Stripe-Account that names no account raises the client's PermissionError."""
    with pytest.raises(stripe.PermissionError) as caught:
        desk.connect(account="nonsense").v1.accounts.retrieve_current()
    assert caught.value.http_status == 403


def test_a_wrong_key_is_an_authentication_error(desk: SdkDesk) -> None:
    """The refusal shows the key's ends and hides the rest."""
    with pytest.raises(stripe.AuthenticationError, match=r"Invalid API Key provided: \S+\*+0001") as caught:
        desk.connect("nonsense-key-of-somebody-0001").v1.accounts.retrieve_current()
    assert caught.value.http_status == 401


@pytest.mark.parametrize(
    ("key", "livemode"),
    [("sk_live_a", True), ("rk_live_a", True), ("sk_test_a", False), ("rk_test_a", False)],
)
def test_kinds_of_keys(desk: SdkDesk, key: str, *, livemode: bool) -> None:
    """Live keys see live mode, and restricted keys are taken too."""
    meter = desk.connect(key).v1.billing.meters.create(
        {"display_name": key, "event_name": key, "default_aggregation": {"formula": "sum"}}
    )
    assert meter.livemode is livemode
    assert meter.id.startswith("mtr_test_") is not livemode


def test_the_version_is_echoed(desk: SdkDesk) -> None:
    """Every answer repeats the request's Stripe-Version, and has an id."""
    client = desk.connect(version="2025-03-31.basil")
    response = client.v1.accounts.retrieve_current().last_response
    assert response is not None
    assert response.headers["Stripe-Version"] == "2025-03-31.basil"
    assert response.request_id is not None
    assert response.request_id.startswith("req_")


def test_raw_requests(desk: SdkDesk) -> None:
    """The client's raw_request reads and writes, and its answers become the client's types."""
    client = desk.client
    created = client.raw_request(
        "post",
        "/v1/billing/meters",
        display_name="Raw",
        event_name="raw",
        default_aggregation={"formula": "count"},
    )
    meter = client.deserialize(created, api_mode="V1")
    assert isinstance(meter, stripe.billing.Meter)
    read = client.raw_request("get", f"/v1/billing/meters/{meter.id}")
    assert (read.code, read.data) == (200, created.data)


def test_an_unknown_path_and_a_wrong_method(desk: SdkDesk) -> None:
    """A path that is not there is a 404 in Stripe's shape, and so is the 405 of a wrong method."""
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL") as caught:
        desk.client.raw_request("get", "/v1/billing/analytics/meter_usage", customer="cus_A")
    assert caught.value.http_status == 404
    with pytest.raises(stripe.APIError, match="Unrecognized request URL") as wrong:
        desk.client.raw_request("delete", "/v1/account")
    assert wrong.value.http_status == 405


def test_expand_is_taken_everywhere(desk: SdkDesk) -> None:
    """The client's indexed expand parameters are no unknown parameters, in a query and in a form."""
    meter = desk.meter("expanded")
    assert desk.client.v1.billing.meters.list({"limit": 1, "expand": ["data.id"]}).data
    assert desk.client.v1.billing.meters.retrieve(meter.id, {"expand": ["id"]}).id == meter.id
    renamed = desk.client.v1.billing.meters.update(meter.id, {"display_name": "E", "expand": ["id"]})
    assert renamed.display_name == "E"


def test_a_rate_limit_is_not_retried() -> None:
    """Beyond the limit the client raises its RateLimitError, with Stripe's reason, and does not try again."""
    with SdkDesk("--limit", "1") as limited:
        limited.meter("limited")
        patient = limited.connect(retries=2)
        with pytest.raises(stripe.RateLimitError) as caught:
            send_many(patient, "limited", 20)
        arrivals = limited.simulator.ledger(identifiers=True)["identifiers"]
    error = caught.value
    assert error.http_status == 429
    assert error.error is not None
    assert error.error.code == "rate_limit"
    assert error.headers is not None
    assert error.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert error.headers["Stripe-Should-Retry"] == "false"
    assert {record["arrivals"] for record in arrivals.values()} == {1}


def test_a_lock_timeout_is_retried() -> None:
    """While a call of a customer and meter is open the next is refused; one that retries gets through."""
    with SdkDesk("--latency", "1s") as slow, ThreadPoolExecutor(2) as pool:
        slow.meter("locked")
        opened = pool.submit(send, slow.connect(), "locked", PAYLOAD, identifier="open")
        for _ in range(MAX_POLLS):
            if slow.simulator.ledger(identifiers=True)["identifiers"]:
                break
        patient = pool.submit(send, slow.connect(retries=6), "locked", PAYLOAD, identifier="patient")
        with pytest.raises(stripe.RateLimitError) as caught:
            send(slow.connect(), "locked", PAYLOAD, identifier="refused")
        answered = [opened.result().identifier, patient.result().identifier]
        records = slow.simulator.ledger(identifiers=True)["identifiers"]
    assert answered == ["open", "patient"]
    assert caught.value.error is not None
    assert caught.value.error.code == "lock_timeout"
    assert caught.value.headers is not None
    assert caught.value.headers["Stripe-Should-Retry"] == "true"
    assert "Stripe-Rate-Limited-Reason" not in caught.value.headers
    assert records["refused"]["counted"] == 0
    assert records["patient"]["counted"] == 1
    assert records["patient"]["arrivals"] > 1


def send_many(client: stripe.StripeClient, event_name: str, events: int) -> None:
    """Send a number of events as fast as the client can."""
    for number in range(events):
        send(client, event_name, PAYLOAD, identifier=f"{event_name}-{number}")
