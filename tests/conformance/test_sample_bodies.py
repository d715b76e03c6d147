"""Every answer has the shape of Stripe's: the same names, the same JSON types."""

import json
from typing import Any

import pytest

from conformance import sample_bodies as samples
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.wire import Call
from meterledger.simulator.routes import METER_EVENTS, ROUTES
from meterledger.simulator.rules import Rules
from simulator.conversation import DAY, EVENTS, HOUR, KEY, START, Conversation, Reply, event_fields

V2_EVENTS = "/v2/billing/meter_events"
VERSION = {"Stripe-Version": "2026-10-28.endive"}


def differences(sample: Any, answer: Any, *, more: bool, path: str = "") -> list[str]:
    """Tell where an answer lacks a field, has another type or, unless more is fine, a field besides."""
    if sample is None:
        return []
    if type(sample) is not type(answer):
        return [f"{path or 'the answer'} is {answer!r}"]
    if isinstance(sample, list):
        return [
            found for item in answer for found in differences(sample[0], item, more=more, path=f"{path}[]")
        ]
    if not isinstance(sample, dict):
        return []
    missing = [f"{path}.{name} is missing" for name in sample if name not in answer]
    added = [f"{path}.{name} is new" for name in answer if name not in sample and sample and not more]
    inside = [
        found
        for name in sample
        if name in answer
        for found in differences(sample[name], answer[name], more=more, path=f"{path}.{name}")
    ]
    return missing + added + inside


def check(sample: dict[str, Any], answer: Any, *, more: bool = False) -> None:
    """Assert that an answer has a sample's shape."""
    assert differences(sample, answer, more=more) == []


def send(talk: Conversation, path: str, document: object, **headers: str) -> Reply:
    """Send JSON, as v2 wants it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return talk.call("POST", path, body=json.dumps(document).encode(), headers={**VERSION, **named})


def v2_event(**more: object) -> dict[str, object]:
    """Return an event as v2 takes it."""
    payload = {"stripe_customer_id": "cus_A", "value": "12"}
    return {"event_name": "api_requests", "payload": payload, **more}


def test_the_comparison_sees_what_differs() -> None:
    """A missing field, a new one and another type are found; a free map takes anything."""
    sample = {"a": 1, "b": [{"c": "x"}], "free": {}, "any": None}
    good = {"a": 2, "b": [{"c": "y"}], "free": {"k": 1}, "any": 3.5}
    assert differences(sample, good, more=False) == []
    bad = {"a": True, "b": [{"c": "y", "d": 1}], "free": {}}
    assert differences(sample, bad, more=False) == [".any is missing", ".a is True", ".b[].d is new"]
    assert differences(sample, bad, more=True) == [".any is missing", ".a is True"]


def test_meters_events_and_summaries() -> None:
    """A meter, an event of v1 and of v2 and a list of summaries."""
    talk = Conversation()
    meter = talk.meter()
    check(samples.METER, talk.get(f"/v1/billing/meters/{meter}").document)
    check(samples.EVENT, talk.event("12.5", identifier="a").document)
    check(samples.V2_EVENT, send(talk, V2_EVENTS, v2_event(identifier="b")).document)
    summaries = talk.summary(meter, START, START + HOUR).document
    check(samples.SUMMARIES, summaries)
    assert len(summaries["data"]) == 1


def test_adjustments() -> None:
    """A cancelation over v1, and one over v2."""
    talk = Conversation()
    talk.meter()
    talk.event(identifier="a")
    talk.event(identifier="b")
    fields = {"event_name": "api_requests", "type": "cancel"}
    adjusted = talk.post("/v1/billing/meter_event_adjustments", {**fields, "cancel[identifier]": "a"})
    check(samples.ADJUSTMENT, adjusted.document)
    document = {**fields, "cancel": {"identifier": "b"}}
    check(samples.V2_ADJUSTMENT, send(talk, "/v2/billing/meter_event_adjustments", document).document)


def test_the_stream_and_its_reports() -> None:
    """A session, an accepted batch, a report of what failed, and a session that has expired."""
    talk = Conversation()
    talk.meter()
    session = send(talk, "/v2/billing/meter_event_session", {}).document
    check(samples.SESSION, session)
    batch = {"events": [{"event_name": "api_requests", "payload": {"value": "1"}}]}
    token = f"Bearer {session['authentication_token']}"
    accepted = send(talk, "/v2/billing/meter_event_stream", batch, Authorization=token)
    assert (accepted.status, accepted.document) == (200, {})
    talk.control({"advance": "30s"})
    query = "types[0]=v1.billing.meter.error_report_triggered"
    listed = talk.call("GET", "/v2/core/events", query=query, headers=VERSION)
    check(samples.ERROR_REPORTS, listed.document)
    assert len(listed.document["data"]) == 1
    talk.control({"advance": "15m"})
    expired = send(talk, "/v2/billing/meter_event_stream", batch, Authorization=token)
    assert expired.status == 401
    check(samples.REFUSALS["expired"], expired.error)
    assert expired.error["type"] == "temporary_session_expired"


def test_a_draft_and_an_alert() -> None:
    """A draft invoice has what audits read, and an alert is told with its customer and value."""
    talk = Conversation()
    meter = talk.meter()
    alert = {
        "alert_type": "usage_threshold",
        "title": "Many",
        "usage_threshold[meter]": meter,
        "usage_threshold[gte]": 10,
        "usage_threshold[recurrence]": "one_time",
    }
    assert talk.post("/v1/billing/alerts", alert).status == 200
    price = talk.post(
        "/v1/prices",
        {
            "currency": "usd",
            "unit_amount": 3,
            "product_data[name]": "Calls",
            "recurring[interval]": "month",
            "recurring[usage_type]": "metered",
            "recurring[meter]": meter,
        },
    ).document["id"]
    subscribed = talk.post("/v1/subscriptions", {"customer": "cus_A", "items[0][price]": price})
    assert subscribed.status == 200, subscribed.document
    talk.event("40")
    (told,) = talk.get("/v1/events", type="billing.alert.triggered").document["data"]
    check(samples.ALERT_TRIGGERED, told["data"]["object"], more=True)
    talk.control({"now": "2026-12-01T00:00:00Z"})
    (draft,) = talk.get("/v1/invoices", status="draft").document["data"]
    check(samples.DRAFT, draft, more=True)


def refusal_of_v1(name: str) -> Reply:
    """Provoke a refusal of a v1 event."""
    talk = Conversation(Rules(events_per_second=1 if name == "limiter" else None))
    talk.meter()
    talk.event(identifier="a")
    match name:
        case "duplicate":
            return talk.event(identifier="a")
        case "too old":
            return talk.event(timestamp=START - 36 * DAY)
        case "no meter":
            return talk.event(event_name="nowhere")
        case "limiter":
            return talk.event(identifier="b")
        case "mismatch":
            talk.post(EVENTS, event_fields(), Idempotency_Key="k")
            return talk.post(EVENTS, event_fields("2"), Idempotency_Key="k")
        case _:
            open_call(talk)
            return talk.event(identifier="b")


def open_call(talk: Conversation) -> None:
    """Begin a call whose answer does not leave."""
    body = b"event_name=api_requests&payload[stripe_customer_id]=cus_A&payload[value]=1"
    talk.stripe.answer(
        Call(method="POST", path=EVENTS, query="", headers={"Authorization": f"Bearer {KEY}"}, body=body)
    )


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("duplicate", 400),
        ("too old", 400),
        ("no meter", 400),
        ("lock", 429),
        ("limiter", 429),
        ("mismatch", 400),
    ],
)
def test_refusals_of_v1(name: str, status: int) -> None:
    """Each has exactly Stripe's fields, the type and code of the sample, and says whether to try again."""
    reply = refusal_of_v1(name)
    sample = samples.REFUSALS[name]
    assert reply.status == status
    check(sample, reply.error)
    assert [reply.error.get(word) for word in ("type", "code")] == [
        sample.get(word) for word in ("type", "code")
    ]
    assert reply.headers["Stripe-Should-Retry"] == ("true" if name == "lock" else "false")
    assert reply.headers.get("Stripe-Rate-Limited-Reason") == ("endpoint-rate" if name == "limiter" else None)


def test_a_failure() -> None:
    """A failure of the simulator itself looks like one of Stripe's."""

    def fail(request: ApiRequest) -> dict[str, object]:
        raise RuntimeError(request.object_id)

    talk = Conversation(routes={**ROUTES, ("POST", METER_EVENTS): fail})
    reply = talk.event()
    assert reply.status == 500
    check(samples.REFUSALS["failure"], reply.error)
    assert reply.error["type"] == "api_error"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("v2 duplicate", {"identifier": "a"}),
        ("v2 lock", {"identifier": "locked"}),
        ("v2 no meter", {"event_name": "nowhere"}),
        ("v2 archived", {"event_name": "archived"}),
        ("v2 value", {"payload": {"stripe_customer_id": "cus_A", "value": "1.5"}}),
        ("v2 no customer", {"payload": {"value": "1"}}),
        ("v2 no value", {"payload": {"stripe_customer_id": "cus_A"}}),
    ],
)
def test_refusals_of_v2(name: str, change: dict[str, object]) -> None:
    """Each has a code and a message, and no type."""
    talk = Conversation()
    talk.meter()
    talk.post(f"/v1/billing/meters/{talk.meter('archived')}/deactivate", {})
    talk.event(identifier="a")
    if name == "v2 lock":
        open_call(talk)
    reply = send(talk, V2_EVENTS, v2_event(**change))
    assert reply.status == (409 if name == "v2 lock" else 400)
    check(samples.REFUSALS[name], reply.error)
    assert reply.error["code"] == samples.REFUSALS[name]["code"]
