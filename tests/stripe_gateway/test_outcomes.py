"""The contract of the gateway: every answer, and every lack of one, to its outcome."""

import json
import socket
from dataclasses import dataclass

import pytest

from meterledger.domain.delivery import Result
from meterledger.stripe_gateway import transport
from meterledger.stripe_gateway.access import StripeAccess
from support.scripted_calls import HTML, IDENTIFIER, KEY, NOW, RIGHT, error, run_send
from support.scripted_server import Answer, answer

DUPLICATE_TEXT = f"An event already exists with identifier {IDENTIFIER}."


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the contract."""

    name: str
    answer: Answer
    result: Result
    stops: bool = False
    code: str | None = None
    answered: bool = True


CONTRACT = [
    # 200: only the very meter event in the key's mode is an acceptance.
    Row("200-right", answer(200, RIGHT), Result.ACCEPTED),
    Row("200-replayed", answer(200, RIGHT, {"Idempotent-Replayed": "true"}), Result.ACCEPTED),
    Row("200-other-identifier", answer(200, RIGHT | {"identifier": "x"}), Result.UNKNOWN, stops=True),
    Row("200-other-event-name", answer(200, RIGHT | {"event_name": "x"}), Result.UNKNOWN, stops=True),
    Row("200-wrong-mode", answer(200, RIGHT | {"livemode": True}), Result.UNKNOWN, stops=True),
    Row("200-other-object", answer(200, RIGHT | {"object": "customer"}), Result.UNKNOWN, stops=True),
    Row("200-no-created", answer(200, RIGHT | {"created": None}), Result.UNKNOWN, stops=True),
    Row("200-created-boolean", answer(200, RIGHT | {"created": True}), Result.UNKNOWN, stops=True),
    Row("200-created-too-large", answer(200, RIGHT | {"created": 10**30}), Result.UNKNOWN, stops=True),
    Row("200-empty-object", answer(200, {}), Result.UNKNOWN, stops=True),
    Row("200-list", answer(200, [RIGHT]), Result.UNKNOWN, stops=True),
    Row("200-text", answer(200, "ok"), Result.UNKNOWN, stops=True),
    Row("200-null", answer(200, None), Result.UNKNOWN, stops=True),
    Row("200-html", answer(200, HTML, content_type="text/html"), Result.UNKNOWN, stops=True),
    Row("200-empty", answer(200, b""), Result.UNKNOWN, stops=True),
    Row("200-cut-json", answer(200, json.dumps(RIGHT).encode()[:-9]), Result.UNKNOWN, stops=True),
    Row("200-not-utf8", answer(200, b'{"object": "\xff\xfe"}'), Result.UNKNOWN, stops=True),
    Row("204-nothing", answer(204, b""), Result.UNKNOWN, stops=True),
    # 400
    Row(
        "400-duplicate-by-text",
        answer(400, error(message=DUPLICATE_TEXT), {"Stripe-Should-Retry": "false"}),
        Result.DUPLICATE,
    ),
    Row(
        "400-duplicate-by-text-in-capitals",
        answer(400, error(message=DUPLICATE_TEXT.replace("An event", "AN EVENT"))),
        Result.DUPLICATE,
    ),
    Row(
        "400-duplicate-by-code",
        answer(400, error(None, code="duplicate_meter_event", message="Taken.")),
        Result.DUPLICATE,
        code="duplicate_meter_event",
    ),
    Row(
        "400-rate-limit",
        answer(400, error(code="rate_limit", message="Slow down.")),
        Result.NOT_SENT,
        code="rate_limit",
    ),
    Row(
        "400-idempotency",
        answer(400, error("idempotency_error", message="Same key, other parameters.")),
        Result.TAKEN,
        code="idempotency_error",
    ),
    Row(
        "400-too-old",
        answer(400, error(param="timestamp", message="The event timestamp cannot be more than 35 days.")),
        Result.REJECTED,
    ),
    Row(
        "400-no-meter",
        answer(400, error(message='No active meter found for event name "api_requests".')),
        Result.NOT_SENT,
        stops=True,
    ),
    Row("400-without-type", answer(400, error(None, message="Blocked by WAF")), Result.UNKNOWN),
    Row(
        "400-with-code",
        answer(400, error(code="parameter_unknown", message="Unknown.")),
        Result.REJECTED,
        code="parameter_unknown",
    ),
    Row("400-html", answer(400, HTML, content_type="text/html"), Result.UNKNOWN),
    Row("400-other-json", answer(400, {"detail": "no"}), Result.UNKNOWN),
    Row("400-error-is-text", answer(400, {"error": "bad request"}), Result.UNKNOWN),
    Row("400-error-is-list", answer(400, {"error": ["bad"]}), Result.UNKNOWN),
    Row("400-empty-envelope", answer(400, {"error": {}}), Result.UNKNOWN),
    Row("400-of-the-api", answer(400, error("api_error", code="odd", message="?")), Result.UNKNOWN),
    # Other refusals
    Row("401", answer(401, error(message="Invalid API Key")), Result.NOT_SENT, stops=True),
    Row("401-html", answer(401, HTML), Result.NOT_SENT, stops=True),
    Row("402", answer(402, error("card_error", message="Pay.")), Result.UNKNOWN),
    Row("403", answer(403, error(message="Not allowed")), Result.NOT_SENT, stops=True),
    Row(
        "404-resource-missing",
        answer(404, error(code="resource_missing", message="No such customer: 'cus_Alpha'")),
        Result.REJECTED,
        code="resource_missing",
    ),
    Row("404-html", answer(404, HTML), Result.UNKNOWN),
    Row(
        "404-no-such-url",
        answer(404, error(message="Unrecognized request URL (POST: /v1/billing/meter_events).")),
        Result.UNKNOWN,
        stops=True,
    ),
    Row("405", answer(405, HTML), Result.UNKNOWN),
    Row("408", answer(408, HTML), Result.UNKNOWN),
    Row(
        "409",
        answer(409, error(code="idempotency_key_in_use", message="Concurrent.")),
        Result.NOT_SENT,
        code="idempotency_key_in_use",
    ),
    Row(
        "429-lock",
        answer(429, error(code="lock_timeout", message="Locked."), {"Stripe-Should-Retry": "true"}),
        Result.NOT_SENT,
        code="lock_timeout",
    ),
    Row(
        "429-limit",
        answer(
            429,
            error(code="rate_limit", message="Too many."),
            {"Stripe-Rate-Limited-Reason": "endpoint-rate", "Retry-After": "7"},
        ),
        Result.NOT_SENT,
        code="rate_limit",
    ),
    Row("500", answer(500, error("api_error", message="Oops.")), Result.UNKNOWN, code="api_error"),
    Row("500-says-duplicate", answer(500, error(message=DUPLICATE_TEXT)), Result.UNKNOWN),
    Row("502-html", answer(502, HTML), Result.UNKNOWN),
    Row("503", answer(503, b""), Result.UNKNOWN),
    Row("503-error-is-text", answer(503, {"error": "upstream is down"}), Result.UNKNOWN),
    Row("504", answer(504, HTML), Result.UNKNOWN),
    Row("302", answer(302, b"", {"Location": "/elsewhere"}), Result.UNKNOWN, stops=True),
    Row("304", answer(304, b""), Result.UNKNOWN, stops=True),
    Row("307", answer(307, HTML, {"Location": "/elsewhere"}), Result.UNKNOWN, stops=True),
    Row("308-with-an-error", answer(308, error(message="Moved.")), Result.UNKNOWN, stops=True),
    Row("418", answer(418, HTML), Result.UNKNOWN),
    Row("600", answer(600, RIGHT), Result.UNKNOWN),
    # No complete answer
    Row("reset-before-an-answer", Answer(reset=True), Result.UNKNOWN, answered=False),
    Row("closed-before-an-answer", Answer(), Result.UNKNOWN, answered=False),
    Row(
        "reset-in-mid-body",
        Answer(data=answer(200, RIGHT).data[:-20], reset=True),
        Result.UNKNOWN,
        answered=False,
    ),
    Row(
        "closed-in-mid-head",
        Answer(data=b"HTTP/1.1 200 OK\r\nContent-Le", reset=True),
        Result.UNKNOWN,
        answered=False,
    ),
    Row("no-http", Answer(data=b"SSH-2.0-OpenSSH_9.6\r\n\r\n", reset=True), Result.UNKNOWN, answered=False),
]


@pytest.mark.parametrize("row", CONTRACT, ids=lambda row: row.name)
def test_every_answer_has_its_outcome(row: Row) -> None:
    """Each answer comes out as the contract says, after exactly one request."""
    outcome, requests = run_send([row.answer])
    assert (outcome.result, outcome.stops_run, outcome.answered) == (row.result, row.stops, row.answered)
    if row.code is not None:
        assert outcome.code == row.code
    assert outcome.at == NOW
    assert len(requests) == 1


def test_an_acceptance_tells_when() -> None:
    """`created` of the 200 comes back as an instant."""
    outcome, _ = run_send([answer(200, RIGHT)])
    assert (outcome.http_status, outcome.created) == (200, 1_793_491_199_000_000)


@pytest.mark.parametrize(
    "message",
    [
        "An event already exists with identifier ml1-fedcba9876543210.",
        f"An event already exists with identifier {IDENTIFIER}0.",
        f"An event already exists with identifier x{IDENTIFIER}.",
        "An event already exists with identifier.",
    ],
)
def test_a_duplicate_of_another_identifier_is_none_of_ours(message: str) -> None:
    """Only the very identifier that was sent can turn out to exist."""
    outcome, _ = run_send([answer(400, error(message=message))])
    assert outcome.result is not Result.DUPLICATE
    assert outcome.result is not Result.ACCEPTED


def test_what_stripe_says_of_trying_again_is_kept() -> None:
    """Retry-After, Stripe-Should-Retry and the request's id are told."""
    headers = {"Retry-After": "7", "Stripe-Should-Retry": "true"}
    outcome, _ = run_send([answer(429, error(code="lock_timeout", message="Locked."), headers)])
    assert (outcome.retry_after_seconds, outcome.should_retry) == (7.0, True)
    assert outcome.stripe_request_id == "req_scripted"
    outcome, _ = run_send([answer(500, error("api_error"), {"Stripe-Should-Retry": "false"})])
    assert (outcome.retry_after_seconds, outcome.should_retry) == (None, False)


@pytest.mark.parametrize("text", ["soon", "-5", "Sun, 01 Nov 2026 00:00:00 GMT", "1e3", "9" * 400, "٣"])
def test_a_retry_after_that_is_no_number_does_no_harm(text: str) -> None:
    """Odd headers neither raise nor change the outcome."""
    data = answer(429, error(), {"Retry-After": "@"}).data.replace(b"@", text.encode())
    assert run_send([Answer(data=data)])[0].result is Result.NOT_SENT


def test_a_refused_connection_is_not_sent() -> None:
    """Where nobody listens not a byte has left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        for host in ("127.0.0.1", "localhost"):
            access = StripeAccess(key=KEY, mode="test", base=f"http://{host}:{taken.getsockname()[1]}")
            outcome, requests = run_send([answer(200, RIGHT)], access=access)
            assert (outcome.result, outcome.answered, outcome.stops_run) == (Result.NOT_SENT, False, False)
            assert outcome.code == "connection_refused"
            assert requests == []


def test_silence_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the timeout nobody knows: the request did arrive."""
    monkeypatch.setattr(transport, "TOTAL_TIMEOUT_SECONDS", 0.05)
    outcome, requests = run_send([Answer(hangs=True)])
    assert (outcome.result, outcome.answered, outcome.stops_run) == (Result.UNKNOWN, False, False)
    assert len(requests) == 1


def test_an_answer_that_never_ends_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that stops coming is no answer."""
    monkeypatch.setattr(transport, "TOTAL_TIMEOUT_SECONDS", 0.05)
    outcome, _ = run_send([Answer(data=answer(200, RIGHT).data[:-20], hangs=True)])
    assert (outcome.result, outcome.answered) == (Result.UNKNOWN, False)


def test_an_oversized_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer without end costs bounded memory, and is no acceptance."""
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 64 * 1024)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    endless = Answer(data=head + b" " * 65536, repeat=64, reset=True)
    outcome, _ = run_send([endless])
    assert outcome.result is Result.UNKNOWN
    assert len(outcome.message or "") <= 1000


@pytest.mark.parametrize(
    ("status", "code", "headers", "limited"),
    [
        (429, "rate_limit", {"Stripe-Rate-Limited-Reason": "endpoint-rate"}, True),
        (429, None, {"Stripe-Rate-Limited-Reason": "global-concurrency"}, True),
        (400, "rate_limit", {}, True),
        (429, "lock_timeout", {"Stripe-Should-Retry": "true"}, False),
        (500, None, {}, False),
    ],
)
def test_a_limiter_is_told_from_a_lock(
    status: int,
    code: str | None,
    headers: dict[str, str],
    limited: bool,  # noqa: FBT001 # a column of the table
) -> None:
    """Only an answer of a rate limiter slows the pace; a lock has the same status and is another matter."""
    outcome, _ = run_send(
        [answer(status, error(**({"code": code} if code else {}), message="Not now."), headers)]
    )
    assert outcome.rate_limited is limited
