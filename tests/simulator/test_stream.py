"""Stream sessions and the stream of meter events."""

from typing import Any, Literal

import pytest

from meterledger.simulator.rules import Readings, Rules
from simulator.conversation import KEY
from simulator.v2_conversation import SESSIONS, STREAM, V2_EVENTS, V2Conversation, v2_fields


@pytest.fixture
def talk() -> V2Conversation:
    """Return a conversation with one sum meter."""
    talk = V2Conversation()
    talk.meter()
    return talk


def test_a_session_has_stripes_shape(talk: V2Conversation) -> None:
    """A session lives 15 minutes and says so."""
    reply = talk.v2(SESSIONS, {})
    token = reply.document.pop("authentication_token")
    assert reply.document == {
        "object": "v2.billing.meter_event_session",
        "id": "mes_test_1",
        "livemode": False,
        "created": "2026-11-01T00:00:00.000Z",
        "expires_at": "2026-11-01T00:15:00.000Z",
    }
    assert token.startswith("tok_sess_")
    assert talk.session() != token


def test_a_session_takes_no_parameters(talk: V2Conversation) -> None:
    """An empty body is as good as an empty object; anything in it is refused."""
    headers = {"Stripe-Version": "2026-10-28.endive"}
    assert talk.call("POST", SESSIONS, headers=headers).status == 200
    assert talk.v2(SESSIONS, {"life": 3600}).error["code"] == "parameter_unknown"


def test_a_batch_is_counted_and_answered_with_nothing(talk: V2Conversation) -> None:
    """The answer is an empty object, and every good event of the batch counts."""
    events = [v2_fields("2", identifier=f"x{number}") for number in range(100)]
    reply = talk.stream(talk.session(), *events)
    assert (reply.status, reply.document) == (200, {})
    assert talk.counted() == {"cus_A": "200"}
    assert talk.identifiers()["x99"] == {"arrivals": 1, "counted": 1}


def test_a_token_is_bound_to_its_account_and_mode() -> None:
    """What a live session of a connected account brings counts there and nowhere else."""
    talk = V2Conversation()
    live = {"Authorization": "Bearer sk_live_abc", "Stripe-Account": "acct_other"}
    fields = {"display_name": "M", "event_name": "api_requests", "default_aggregation[formula]": "sum"}
    assert talk.post("/v1/billing/meters", fields, **live).status == 200
    reply = talk.v2(SESSIONS, {}, **live)
    assert reply.document["livemode"] is True
    own = talk.session()
    assert own != reply.document["authentication_token"]
    assert talk.stream(reply.document["authentication_token"], v2_fields()).status == 200
    (row,) = talk.get("/_simulator/ledger").document["usage"]
    assert (row["account"], row["livemode"]) == ("acct_other", True)


@pytest.mark.parametrize("reading", ["401", "400"])
def test_a_session_ends_after_15_minutes(reading: Literal["401", "400"]) -> None:
    """A second before the token is good, then it is expired in Stripe's words, and long after unknown."""
    talk = V2Conversation(Rules(readings=Readings(session_expired=reading)))
    token = talk.session()
    talk.clock.advance(15 * 60 - 1)
    assert talk.stream(token, v2_fields()).status == 200
    talk.clock.advance(1)
    reply = talk.stream(token, v2_fields())
    assert reply.status == int(reading)
    assert reply.document == {
        "error": {
            "type": "temporary_session_expired",
            "code": "billing_meter_event_session_expired",
            "message": "Session token has expired.",
            "doc_url": "https://docs.stripe.com/error-codes",
        }
    }
    talk.clock.advance(2 * 86_400)
    talk.session()
    assert "Invalid API Key" in talk.stream(token, v2_fields()).error["message"]


def test_keys_and_tokens_do_not_stand_for_each_other(talk: V2Conversation) -> None:
    """An API key on the stream, a token elsewhere, an unknown token and none at all are 401."""
    token = talk.session()
    assert talk.stream(KEY, v2_fields()).status == 401
    assert talk.stream("tok_sess_x", v2_fields()).status == 401
    assert talk.v2(V2_EVENTS, v2_fields(), Authorization=f"Bearer {token}").status == 401
    assert talk.call("GET", "/v1/account", headers={"Authorization": f"Bearer {token}"}).status == 401
    assert talk.v2(STREAM, {"events": [v2_fields()]}, Authorization="none").status == 401
    assert talk.stream(token, v2_fields(), Stripe_Version="").status == 400


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"events": []}, "parameter_invalid"),
        ({"events": [v2_fields()] * 101}, "parameter_invalid"),
        ({"events": v2_fields()}, "parameter_invalid"),
        ({}, "parameter_missing"),
        ([], "parameter_invalid"),
        ({"events": [v2_fields()], "more": 1}, "parameter_unknown"),
        ({"events": [v2_fields(more=1)]}, "parameter_unknown"),
        ({"events": [v2_fields(), v2_fields(5)]}, "parameter_invalid"),
    ],
)
def test_a_batch_of_another_form_is_refused_whole(talk: V2Conversation, document: Any, code: str) -> None:
    """No list, none or over 100 events, unknown fields and numbers are a 400, and nothing counts."""
    reply = talk.v2(STREAM, document, Authorization=f"Bearer {talk.session()}")
    assert (reply.status, reply.error["code"]) == (400, code)
    assert talk.counted() == {}
    assert talk.reports() == []


def test_bad_events_are_reported_and_duplicates_dropped(talk: V2Conversation) -> None:
    """Each event stands for itself: the good ones count, a duplicate leaves no trace, the others a report."""
    talk.event(identifier="used")
    reply = talk.stream(
        talk.session(),
        v2_fields("2", identifier="good"),
        v2_fields("3", identifier="used"),
        v2_fields("3", identifier="good"),
        v2_fields("-4", identifier="bad"),
        v2_fields("5", event_name="nothing", identifier="lost"),
        v2_fields("6", timestamp="0001-01-01T00:00:00+23:59", identifier="old"),
    )
    assert reply.document == {}
    assert talk.counted() == {"cus_A": "3"}
    assert talk.identifiers()["used"] == {"arrivals": 2, "counted": 1}
    assert talk.identifiers()["good"] == {"arrivals": 2, "counted": 1}
    lost, bad = talk.reports()
    assert (lost["type"], lost["data"]["reason"]["error_count"]) == ("v1.billing.meter.no_meter_found", 1)
    codes = [kind["code"] for kind in bad["data"]["reason"]["error_types"]]
    assert codes == ["meter_event_invalid_value", "timestamp_too_far_in_past"]


def test_a_batch_under_a_key_is_taken_once(talk: V2Conversation) -> None:
    """The same batch under the same key is replayed, and its identifiers are seen to have come again."""
    token = talk.session()
    for _ in range(2):
        assert talk.stream(token, v2_fields(), v2_fields(identifier="x"), Idempotency_Key="k").status == 200
    assert talk.counted() == {"cus_A": "2"}
    assert talk.identifiers()["x"] == {"arrivals": 2, "counted": 1}


def test_tokens_are_on_no_control_page(talk: V2Conversation) -> None:
    """The ledger page, with identifiers and all, does not show a token."""
    token = talk.session()
    talk.stream(token, v2_fields())
    assert token.encode() not in talk.get("/_simulator/ledger", identifiers=1).body


def test_the_same_calls_give_the_same_tokens() -> None:
    """Tokens follow from what was called, as all ids here do."""
    assert V2Conversation().session() == V2Conversation().session()
