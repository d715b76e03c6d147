"""Meter events through v2: what is taken, what is refused and in which words."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.simulator.protocol.wire import Call
from meterledger.simulator.rules import Readings, Rules
from simulator.conversation import DAY, KEY, START, event_fields
from simulator.v2_conversation import (
    SESSIONS,
    V2_ADJUSTMENTS,
    V2_EVENTS,
    VERSION,
    V2Conversation,
    v2_fields,
)


def started(**readings: Any) -> V2Conversation:
    """Return a conversation with one sum meter, under the readings given."""
    talk = V2Conversation(Rules(readings=Readings(**readings)))
    talk.meter()
    return talk


@pytest.fixture
def talk() -> V2Conversation:
    """Return a conversation with one sum meter."""
    return started()


def test_an_accepted_event_has_stripes_shape(talk: V2Conversation) -> None:
    """The answer has every field of Stripe's, instants to the millisecond, and the event counts."""
    reply = talk.v2_event(
        "12", identifier="ul1-7f3c9a", timestamp="2026-10-31T23:00:00Z", customer="cus_TestAlpha"
    )
    assert reply.status == 200
    assert reply.document == {
        "object": "v2.billing.meter_event",
        "created": "2026-11-01T00:00:00.000Z",
        "livemode": False,
        "identifier": "ul1-7f3c9a",
        "event_name": "api_requests",
        "timestamp": "2026-10-31T23:00:00.000Z",
        "payload": {"stripe_customer_id": "cus_TestAlpha", "value": "12"},
    }
    assert talk.counted() == {"cus_TestAlpha": "12"}
    assert talk.identifiers() == {"ul1-7f3c9a": {"arrivals": 1, "counted": 1}}


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("2026-11-01T01:00:00.123456+01:00", "2026-11-01T00:00:00.123Z"),
        ("2026-10-31t23:59:59z", "2026-10-31T23:59:59.000Z"),
        (None, "2026-11-01T00:00:00.000Z"),
    ],
)
def test_timestamps_are_rfc_3339(talk: V2Conversation, sent: str | None, answered: str) -> None:
    """Any offset and any fraction is taken; without a timestamp the event is of now."""
    reply = talk.v2_event(timestamp=sent)
    assert (reply.status, reply.document["timestamp"]) == (200, answered)


@pytest.mark.parametrize(
    "timestamp", [START, str(START), "2026-11-01T00:00:00", "2026-11-01", "", "0001-01-01T00:00:00+23:59"]
)
def test_timestamps_that_are_none(talk: V2Conversation, timestamp: Any) -> None:
    """Epoch seconds, dates, instants without an offset and before 1970 are refused."""
    reply = talk.v2_event(timestamp=timestamp)
    assert (reply.status, reply.error["code"]) == (400, "parameter_invalid")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"event_name": "nothing"}, "no_meter"),
        ({"event_name": "old"}, "archived_meter"),
        ({"customer": None}, "payload_no_customer_defined"),
        ({"customer": ""}, "payload_no_customer_defined"),
        ({"customer": "unknown"}, "resource_missing"),
        ({"value": None}, "payload_no_value_defined"),
        ({"value": "x"}, "payload_invalid_value"),
        ({"value": "1.5"}, "payload_invalid_value"),
        ({"value": "-1"}, "payload_invalid_value"),
        ({"value": "0"}, "payload_invalid_value"),
        ({"value": "1234567890123456"}, "meter_event_value_too_many_digits"),
        ({"timestamp": "2026-09-26T23:59:59Z"}, "timestamp_too_far_in_past"),
        ({"timestamp": "2026-11-01T00:05:01Z"}, "timestamp_in_future"),
        ({"identifier": "used"}, "duplicate_meter_event"),
    ],
)
def test_refusals_have_a_code_and_no_type(talk: V2Conversation, change: dict[str, Any], code: str) -> None:
    """Each refusal is a 400 of code and message alone, and counts nothing."""
    talk.post(f"/v1/billing/meters/{talk.meter('old')}/deactivate", {})
    talk.v2_event(customer="cus_B", identifier="used")
    reply = talk.v2_event(**change)
    assert (reply.status, set(reply.error), reply.error["code"]) == (400, {"code", "message"}, code)
    assert reply.headers["Stripe-Should-Retry"] == "false"
    assert talk.counted() == {"cus_B": "1"}


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (v2_fields(5), "parameter_invalid"),
        (v2_fields({"nested": "1"}), "parameter_invalid"),
        (v2_fields(unknown=1), "parameter_unknown"),
        ({"event_name": "api_requests"}, "parameter_missing"),
        ({"payload": {}}, "parameter_missing"),
        (v2_fields(event_name=""), "parameter_invalid"),
        (v2_fields(event_name="x" * 101), "parameter_invalid"),
        (v2_fields(identifier=""), "parameter_invalid"),
        (v2_fields(identifier="x" * 101), "parameter_invalid"),
        ([], "parameter_invalid"),
        (None, "parameter_invalid"),
    ],
)
def test_malformed_bodies(talk: V2Conversation, document: Any, code: str) -> None:
    """A body of another form, with a JSON number or an unknown field is refused, and counts nothing."""
    reply = talk.v2(V2_EVENTS, document)
    assert (reply.status, set(reply.error), reply.error["code"]) == (400, {"code", "message"}, code)
    assert talk.counted() == {}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 5000, b'{"a":1e999}', b"a=1"])
def test_bodies_that_are_no_json(talk: V2Conversation, body: bytes) -> None:
    """Anything that is no JSON is a 400 with a code."""
    for key in ({}, {"Idempotency-Key": "k"}):
        reply = talk.call("POST", V2_EVENTS, body=body, headers={"Stripe-Version": VERSION, **key})
        assert (reply.status, set(reply.error)) == (400, {"code", "message"})


@pytest.mark.parametrize("depth", [100, 300, 500, 700, 900, 950, 1000])
def test_nesting_never_breaks_it(talk: V2Conversation, depth: int) -> None:
    """JSON that is nested as deep as it can be read, or deeper, is a 400 under an idempotency key too."""
    body = b'{"payload":' + b"[" * depth + b"]" * depth + b"}"
    headers = {"Stripe-Version": VERSION, "Idempotency-Key": "k"}
    assert talk.call("POST", V2_EVENTS, body=body, headers=headers).status == 400


def test_readings_of_v2() -> None:
    """Decimals, a type on refusals and a 404 for unknown customers are each a reading away."""
    talk = started(v2_values="decimals", v2_error_type="present", unknown_customer="404")
    assert talk.v2_event("-1.5").status == 200
    reply = talk.v2_event(customer="unknown")
    assert (reply.status, reply.error["type"]) == (404, "invalid_request_error")


def test_identifiers_are_shared_with_v1(talk: V2Conversation) -> None:
    """By default an identifier of v1 is a duplicate on v2, for exactly 24 hours."""
    assert talk.event(identifier="x").status == 200
    talk.clock.advance(DAY - 1)
    assert talk.v2_event(identifier="x").error["code"] == "duplicate_meter_event"
    talk.clock.advance(1)
    assert talk.v2_event(identifier="x").status == 200


def test_ways_can_have_identifiers_of_their_own() -> None:
    """In one reading v1 and v2 do not see each other's identifiers."""
    talk = started(identifier_scope="way")
    assert [talk.event(identifier="x").status, talk.v2_event(identifier="x").status] == [200, 200]
    assert talk.v2_event(identifier="x").status == 400


def test_a_key_replays_for_30_days(talk: V2Conversation) -> None:
    """A success answers its key again, with the same bytes, until 30 days have passed."""
    first = talk.v2_event(identifier="x", key="k")
    talk.clock.advance(29 * DAY)
    second = talk.v2_event(identifier="x", key="k")
    assert (second.body, second.headers["Idempotent-Replayed"]) == (first.body, "true")
    talk.clock.advance(DAY)
    assert "Idempotent-Replayed" not in talk.v2_event(identifier="x", key="k").headers
    assert talk.identifiers() == {"x": {"arrivals": 3, "counted": 2}}


def test_counted_answers_are_not_kept_twice(talk: V2Conversation) -> None:
    """The store holds no body where the event itself tells it, and one where it does not."""
    talk.v2_event(key="plain", timestamp="2026-10-31T23:00:00Z")
    talk.v2_event(key="fraction", timestamp="2026-10-31T23:00:00.5Z")
    (account,) = talk.stripe.accounts.all()
    assert account.v2_keys._generations[0]._bodies.get(0) is None
    replayed = talk.v2_event(key="fraction", timestamp="2026-10-31T23:00:00.5Z")
    assert replayed.document["timestamp"] == "2026-10-31T23:00:00.500Z"


def test_a_failure_runs_again(talk: V2Conversation) -> None:
    """A refusal is not kept: the same call under the same key succeeds once its cause is gone."""
    assert talk.v2_event(event_name="later", key="k").error["code"] == "no_meter"
    talk.meter("later")
    assert talk.v2_event(event_name="later", key="k").status == 200


def test_the_order_of_fields_does_not_matter(talk: V2Conversation) -> None:
    """A replay is recognised by what the body says, and another body under the key is refused."""
    fields = v2_fields(identifier="x")
    talk.v2(V2_EVENTS, fields, Idempotency_Key="k")
    backwards = dict(reversed(fields.items()))
    assert talk.v2(V2_EVENTS, backwards, Idempotency_Key="k").headers["Idempotent-Replayed"] == "true"
    reply = talk.v2(V2_EVENTS, v2_fields("2"), Idempotency_Key="k")
    assert (reply.status, reply.error["type"]) == (400, "idempotency_error")


def test_one_call_at_once(talk: V2Conversation) -> None:
    """While v1 is busy with a customer and meter, v2 is a 409 that may be tried again."""
    form = b"event_name=api_requests&payload[stripe_customer_id]=cus_A&payload[value]=1"
    headers = {"Authorization": f"Bearer {KEY}"}
    first = talk.stripe.answer(
        Call(method="POST", path="/v1/billing/meter_events", query="", headers=headers, body=form)
    )
    busy = talk.v2_event()
    assert (busy.status, set(busy.error)) == (409, {"code", "message"})
    assert (busy.error["code"], busy.headers["Stripe-Should-Retry"]) == (
        "too_many_concurrent_requests",
        "true",
    )
    assert first.hold is not None
    first.hold.release()
    assert talk.v2_event().status == 200


@pytest.mark.parametrize("reading", ["taken", "refused"])
def test_kinds_of_keys(reading: Literal["taken", "refused"]) -> None:
    """Restricted keys are 403 on v2, test keys by the reading, publishable ones 401 everywhere."""
    talk = started(v2_test_keys=reading)
    seen = {
        key: talk.v2(SESSIONS, {}, Authorization=f"Bearer {key}").status
        for key in ("sk_live_abc", "sk_test_abc", "rk_live_abc", "rk_test_abc", "pk_test_abc", "nonsense")
    }
    test_keys = 200 if reading == "taken" else 403
    assert list(seen.values()) == [200, test_keys, 403, 403, 401, 401]
    published = talk.call("GET", "/v1/account", headers={"Authorization": "Bearer pk_live_abc"})
    assert (published.status, published.error["code"]) == (401, "secret_key_required")


@pytest.mark.parametrize(
    "version",
    [
        "2026-10-28.endive",
        "2026-10-28",
        "2026-10-28.preview",
        "2026-10-28.endive; some_beta=v1",
        "2026-10-28; beta",
    ],
)
def test_versions_that_are_taken(talk: V2Conversation, version: str) -> None:
    """A day with a release's name or betas is taken on both versions of the API, and repeated."""
    for reply in (
        talk.v2(V2_EVENTS, v2_fields(), Stripe_Version=version),
        talk.post("/v1/billing/meter_events", event_fields(), Stripe_Version=version),
    ):
        assert (reply.status, reply.headers["Stripe-Version"]) == (200, version)


@pytest.mark.parametrize(
    "version", ["latest", "2026-13-01", "2026-10-28.", "2026-10-28 ", "x" * 300, "\udcff"]
)
def test_versions_that_are_refused(talk: V2Conversation, version: str) -> None:
    """Anything else in the header is a 400 on both; without the header v2 is a 400 and v1 is fine."""
    assert talk.v2(V2_EVENTS, v2_fields(), Stripe_Version=version).status == 400
    assert talk.post("/v1/billing/meter_events", event_fields(), Stripe_Version=version).status == 400
    assert talk.v2(V2_EVENTS, v2_fields(), Stripe_Version="").status == 400
    assert talk.event().status == 200


def test_unknown_paths_of_v2(talk: V2Conversation) -> None:
    """A path or method that v2 does not have is refused in v2's words."""
    for method, path, status in (("POST", "/v2/nothing", 404), ("GET", V2_EVENTS, 405)):
        reply = talk.call(method, path, headers={"Stripe-Version": VERSION})
        assert (reply.status, set(reply.error)) == (status, {"code", "message"})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
_NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "event_name": st.sampled_from(["api_requests", ""]) | _JSON,
        "payload": st.fixed_dictionaries({"stripe_customer_id": _JSON, "value": _JSON}) | _JSON,
        "identifier": _JSON,
        "timestamp": st.datetimes().map(lambda at: at.isoformat() + "Z") | _JSON,
        "type": st.just("cancel") | _JSON,
        "cancel": st.fixed_dictionaries({"identifier": _JSON}) | _JSON,
    },
)


@given(document=_JSON | _NEARLY, checks=st.sampled_from(["sync", "async"]), keyed=st.booleans())
def test_no_json_breaks_it(document: Any, checks: Any, keyed: bool) -> None:  # noqa: FBT001
    """Whatever JSON comes to whichever POST of v2, the answer is a 200 or a 4xx with a code."""
    talk = started(checks=checks)
    token = talk.session()
    key = {"Idempotency_Key": "k"} if keyed else {}
    for path in (V2_EVENTS, SESSIONS, V2_ADJUSTMENTS):
        reply = talk.v2(path, document, **key)
        assert reply.status == 200 or (400 <= reply.status < 500 and "code" in reply.error)
    for reply in (talk.stream(token, document, **key), talk.stream(token, *[document] * 2)):
        assert reply.status == 200 or (400 <= reply.status < 500 and "code" in reply.error)
    talk.reports()
