"""Stripe's rate limits of live and of test mode."""

from collections.abc import Callable
from itertools import count

import pytest

from meterledger.simulator.rules import Rules
from simulator.conversation import METERS, Reply
from simulator.v2_conversation import V2Conversation, v2_fields

CONNECTED = {"Stripe-Account": "acct_other"}


def started(rules: Rules) -> V2Conversation:
    """Return a conversation with one sum meter, a second after it was made."""
    talk = V2Conversation(rules)
    talk.meter()
    talk.stopwatch.seconds += 1
    return talk


def taken(call: Callable[[], Reply], most: int) -> int:
    """Return how many calls at once are answered before the first is limited, `most` at the most."""
    for number in range(most):
        if call().status == 429:
            return number
    return most


def test_there_is_no_limit_by_default() -> None:
    """Without being told the simulator takes whatever comes."""
    talk = started(Rules())
    assert taken(lambda: talk.get(METERS), 300) == 300
    assert taken(talk.event, 300) == 300


def test_test_mode_counts_everything_together() -> None:
    """25 calls a second, meter events, batches and reads alike, and no more until time has passed."""
    talk = started(Rules(limits="test"))
    token = talk.session()
    steps = (
        lambda: talk.get(METERS),
        talk.event,
        lambda: talk.stream(token, *[v2_fields()] * 100),
        talk.v2_event,
    )
    numbers = count()

    def step() -> Reply:
        """Make the next call of the round."""
        return steps[next(numbers) % len(steps)]()

    assert taken(step, 100) == 24
    limited = talk.event()
    assert (limited.status, limited.error["code"]) == (429, "rate_limit")
    assert limited.error["type"] == "invalid_request_error"
    assert limited.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert limited.headers["Stripe-Should-Retry"] == "false"
    talk.clock.advance(3600)
    assert talk.event().status == 429
    talk.stopwatch.seconds += 0.04
    assert [talk.event().status, talk.event().status] == [200, 429]


def test_live_meter_events_have_a_limit_of_their_own() -> None:
    """1,000 calls a second by v1 and v2 together, beside the general limit."""
    talk = started(Rules(limits="live"))
    turns = count()
    assert taken(lambda: talk.event() if next(turns) % 2 else talk.v2_event(), 2000) == 1000
    assert talk.event().headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert talk.get(METERS).status == 200


def test_the_live_stream_counts_events() -> None:
    """10,000 events a second, so 100 full batches; one event less leaves room for one more."""
    talk = started(Rules(limits="live"))
    token = talk.session()
    full = [v2_fields()] * 100
    assert taken(lambda: talk.stream(token, *full), 99) == 99
    assert talk.stream(token, *full[:99]).status == 200
    limited = talk.stream(token, *full[:2])
    assert (limited.status, limited.error["type"]) == (429, "rate_limit")
    assert limited.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert talk.stream(token, v2_fields()).status == 200
    assert talk.stream(token, v2_fields()).status == 429


def test_live_endpoints_have_25_and_all_100() -> None:
    """Each endpoint takes 25 calls a second, four of them use up the account's 100."""
    talk = started(Rules(limits="live"))
    paths = [METERS, f"{METERS}/mtr_test_1", "/v1/customers", "/v1/account"]
    for path in paths:
        assert taken(lambda: talk.get(path), 25) == 25  # noqa: B023 - called within the turn
    assert talk.get(METERS).headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert talk.core_events().headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert talk.event().status == 200
    talk.stopwatch.seconds += 1
    assert [talk.get(path).status for path in paths] == [200] * 4


def test_connected_accounts_have_the_ordinary_limit() -> None:
    """With Stripe-Account meter events are held to 100 a second, and the own account is not touched."""
    talk = started(Rules(limits="live"))
    assert taken(lambda: talk.post("/v1/billing/meter_events", {}, **CONNECTED), 200) == 100
    assert talk.event().status == 200


def test_a_refused_call_takes_nothing_from_other_limits() -> None:
    """Calls beyond one endpoint's limit do not use up the account's."""
    talk = started(Rules(limits="live"))
    assert taken(lambda: talk.get(METERS), 25) == 25
    for _ in range(100):
        assert talk.get(METERS).status == 429
    assert talk.get("/v1/account").status == 200


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_429_is_never_stored(version: str) -> None:
    """Under an idempotency key a limited call is carried out when it comes again."""
    talk = started(Rules(limits="test"))
    assert taken(lambda: talk.get(METERS), 25) == 25

    def send() -> Reply:
        """Send one event under the key."""
        if version == "v2":
            return talk.v2_event(identifier="x", key="k")
        fields = {"event_name": "api_requests", "identifier": "x", "payload[stripe_customer_id]": "cus_A"}
        return talk.post("/v1/billing/meter_events", {**fields, "payload[value]": "1"}, Idempotency_Key="k")

    assert send().status == 429
    talk.stopwatch.seconds += 1
    again = send()
    assert (again.status, "Idempotent-Replayed" in again.headers) == (200, False)
    assert talk.identifiers() == {"x": {"arrivals": 2, "counted": 1}}


def test_both_kinds_of_limits_hold() -> None:
    """The simulator's own limit on meter events stands beside Stripe's."""
    talk = started(Rules(limits="test", events_per_second=3))
    assert taken(talk.v2_event, 10) == 3
    assert taken(lambda: talk.get(METERS), 100) == 22
