"""The contract of v2: every answer to its outcome, told by codes; a type may be missing."""

import json
import socket
from dataclasses import dataclass

import pytest

from meterledger.domain.delivery import Attempt, InDoubtReason, Result, State, verdict
from meterledger.domain.way import Way
from meterledger.stripe_gateway.access import StripeAccess
from support.scripted_calls import HTML, IDENTIFIER, KEY, NOW, RIGHT, V2_BODY, V2_RIGHT, error, run_send
from support.scripted_server import Answer, answer

MINUTE = 60_000_000
EARLIER = Attempt(
    number=1,
    idempotency_key=IDENTIFIER,
    started_at=NOW - MINUTE,
    finished_at=NOW - MINUTE,
    result=Result.UNKNOWN,
    way=Way.V2,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the contract: an answer, its outcome, and the state alone and after an unknown attempt."""

    name: str
    answer: Answer
    result: Result
    alone: State
    after_unknown: State = State.SENDING
    stops: bool = False
    answered: bool = True


def refused(status: int, code: str | None = None, kind: str | None = None, message: str = "No.") -> Answer:
    """Return a refusal of v2, without a type unless told."""
    return answer(status, error(kind, message=message, **({"code": code} if code else {})))


def accepted(name: str, body: object) -> Row:
    """Return a row of the one thing that is an acceptance."""
    return Row(name, answer(200, body), Result.ACCEPTED, State.ACCEPTED, State.ACCEPTED)


def odd(name: str, given: Answer) -> Row:
    """Return a row of an answer that no Stripe would give."""
    return Row(name, given, Result.UNKNOWN, State.SENDING, stops=True)


def unknown(name: str, given: Answer, *, answered: bool = True) -> Row:
    """Return a row of an answer that tells nothing."""
    return Row(name, given, Result.UNKNOWN, State.SENDING, answered=answered)


def not_sent(name: str, given: Answer, *, stops: bool = False) -> Row:
    """Return a row of an answer that proves that this attempt was not taken."""
    return Row(name, given, Result.NOT_SENT, State.PENDING, stops=stops)


def never(code: str, status: int = 400, kind: str | None = None) -> Row:
    """Return a row of an answer that says that it can never be taken."""
    return Row(f"{status}-{code}-{kind}", refused(status, code, kind), Result.REJECTED, State.REJECTED)


def doubtful(name: str, given: Answer, result: Result, after: State) -> Row:
    """Return a row of an answer that says that somebody used the identifier or the key."""
    return Row(name, given, result, State.IN_DOUBT, after)


DUPLICATE_TEXT = f"An event already exists with identifier {IDENTIFIER}."

CONTRACT = [
    accepted("200-right", V2_RIGHT),
    accepted("200-without-fraction", V2_RIGHT | {"created": "2026-11-01T00:00:00Z"}),
    odd("200-of-v1", answer(200, RIGHT)),
    odd("200-other-identifier", answer(200, V2_RIGHT | {"identifier": "x"})),
    odd("200-other-event-name", answer(200, V2_RIGHT | {"event_name": "x"})),
    odd("200-wrong-mode", answer(200, V2_RIGHT | {"livemode": True})),
    odd("200-no-mode", answer(200, {k: v for k, v in V2_RIGHT.items() if k != "livemode"})),
    odd("200-other-object", answer(200, V2_RIGHT | {"object": "billing.meter_event"})),
    odd("200-created-number", answer(200, V2_RIGHT | {"created": 1_793_491_199})),
    odd("200-created-digits", answer(200, V2_RIGHT | {"created": "1793491199"})),
    odd("200-created-no-time", answer(200, V2_RIGHT | {"created": "soon"})),
    odd("200-no-created", answer(200, V2_RIGHT | {"created": None})),
    odd("200-empty-object", answer(200, {})),
    odd("200-html", answer(200, HTML, content_type="text/html")),
    odd("200-empty", answer(200, b"")),
    odd("200-cut-json", answer(200, json.dumps(V2_RIGHT).encode()[:-9])),
    odd("201-right", answer(201, V2_RIGHT)),
    odd("302", answer(302, b"", {"Location": "/elsewhere"})),
    doubtful("duplicate", refused(400, "duplicate_meter_event"), Result.DUPLICATE, State.ACCEPTED),
    doubtful("duplicate-by-text", refused(400, message=DUPLICATE_TEXT), Result.DUPLICATE, State.ACCEPTED),
    doubtful(
        "duplicate-with-type",
        refused(400, "duplicate_meter_event", "invalid_request_error"),
        Result.DUPLICATE,
        State.ACCEPTED,
    ),
    doubtful("idempotency", refused(400, None, "idempotency_error"), Result.TAKEN, State.IN_DOUBT),
    not_sent("409-concurrent", refused(409, "too_many_concurrent_requests")),
    not_sent("409-key", refused(409, "idempotency_key_in_use")),
    not_sent("429", refused(429, "rate_limit")),
    not_sent("400-rate-limit-code", refused(400, "rate_limit")),
    not_sent("400-rate-limit-type", refused(400, None, "rate_limit")),
    not_sent("no-meter", refused(400, "no_meter"), stops=True),
    not_sent("archived-meter", refused(400, "archived_meter"), stops=True),
    not_sent("archived-meter-with-type", refused(400, "archived_meter", "invalid_request_error"), stops=True),
    not_sent("401", refused(401), stops=True),
    not_sent("401-html", answer(401, HTML), stops=True),
    not_sent("403", refused(403), stops=True),
    never("payload_invalid_value"),
    never("payload_no_customer_defined"),
    never("payload_no_value_defined"),
    never("payload_invalid_value", kind="invalid_request_error"),
    never("timestamp_too_far_in_past"),
    never("timestamp_in_future"),
    never("meter_event_value_too_many_digits"),
    never("resource_missing"),
    never("resource_missing", status=404),
    never("parameter_unknown"),
    never("anything", kind="invalid_request_error"),
    unknown("400-unforeseen-code", refused(400, "the_moon_is_full")),
    unknown("400-no-code", refused(400)),
    unknown("400-code-no-text", answer(400, {"error": {"code": 7, "message": "No."}})),
    unknown("400-html", answer(400, HTML)),
    unknown("400-empty-envelope", answer(400, {"error": {}})),
    unknown("402", refused(402, "payload_invalid_value")),
    unknown("405", answer(405, HTML)),
    unknown("500-says-duplicate", refused(500, "duplicate_meter_event")),
    unknown("502-html", answer(502, HTML)),
    unknown("503", answer(503, b"")),
    odd(
        "404-no-such-url", refused(404, message="Unrecognized request URL (POST: /v2/billing/meter_events).")
    ),
    unknown("reset", Answer(reset=True), answered=False),
    unknown("cut-off", Answer(data=answer(200, V2_RIGHT).data[:-20], reset=True), answered=False),
]


@pytest.mark.parametrize("row", CONTRACT, ids=lambda row: row.name)
def test_every_answer_has_its_outcome_and_state(row: Row) -> None:
    """Each answer comes out as the contract says, alone and after an attempt whose outcome is unknown."""
    outcome, requests = run_send([row.answer], way=Way.V2)
    assert (outcome.result, outcome.stops_run, outcome.answered) == (row.result, row.stops, row.answered)
    assert len(requests) == 1
    assert verdict([], NOW, outcome).state is row.alone
    assert verdict([EARLIER], NOW, outcome).state is row.after_unknown


def test_a_duplicate_is_ours_only_after_an_own_unknown_attempt() -> None:
    """Alone it says that somebody else used the identifier; else the truth lies within the unknown ones."""
    outcome, _ = run_send([refused(400, "duplicate_meter_event")], way=Way.V2)
    assert verdict([], NOW, outcome).in_doubt_reason is InDoubtReason.IDENTIFIER_TAKEN
    ours = verdict([EARLIER], NOW, outcome)
    assert (ours.accepted_from, ours.accepted_by) == (NOW - MINUTE, NOW - MINUTE)


def test_an_acceptance_tells_when() -> None:
    """`created` of the 200 comes back as an instant."""
    outcome, _ = run_send([answer(200, V2_RIGHT)], way=Way.V2)
    assert outcome.created == 1_793_491_199_000_000


def test_a_refused_connection_is_not_sent() -> None:
    """Where nobody listens not a byte has left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        access = StripeAccess(key=KEY, mode="test", base=f"http://127.0.0.1:{taken.getsockname()[1]}")
        outcome, _ = run_send([answer(200, V2_RIGHT)], access=access, way=Way.V2)
    assert (outcome.result, outcome.code) == (Result.NOT_SENT, "connection_refused")


def test_the_request_is_what_it_should_be() -> None:
    """Path, body, key, version as bytes: what Stripe gets, and nothing it need not know."""
    _, [request] = run_send([answer(200, V2_RIGHT)], way=Way.V2)
    assert (request.method, request.target) == ("POST", "/v2/billing/meter_events")
    assert json.loads(request.body) == V2_BODY
    headers = request.headers
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == IDENTIFIER
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["stripe-version"] == "2026-10-28.endive"
    assert headers.keys().isdisjoint({"stripe-account", "x-stripe-client-telemetry", "cookie"})
