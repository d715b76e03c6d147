"""The contract of the gateway: every answer, and every lack of one, to its outcome."""

import asyncio
import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest

from meterledger.domain.delivery import Outcome, Result
from meterledger.errors import StripeError
from meterledger.stripe_gateway import transport
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.gateway import Read, StripeGateway, open_gateway
from support.scripted_server import Answer, Request, ScriptedServer, answer

KEY = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
NOW = 1_793_491_200_000_000
IDENTIFIER = "ml1-0123456789abcdef"
BODY: dict[str, Any] = {
    "event_name": "api_requests",
    "identifier": IDENTIFIER,
    "timestamp": 1_793_487_600,
    "payload": {"stripe_customer_id": "cus_Alpha", "value": "12.5"},
}
RIGHT: dict[str, Any] = {
    "object": "billing.meter_event",
    "created": 1_793_491_199,
    "event_name": "api_requests",
    "identifier": IDENTIFIER,
    "livemode": False,
    "payload": BODY["payload"],
    "timestamp": BODY["timestamp"],
}
DUPLICATE_TEXT = f"An event already exists with identifier {IDENTIFIER}."
HTML = b"<html><body><h1>Bad things</h1></body></html>"


def error(kind: str | None = "invalid_request_error", **fields: str) -> dict[str, object]:
    """Return Stripe's envelope of an error."""
    return {"error": {**({"type": kind} if kind else {}), **fields}}


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
        Result.REJECTED,
    ),
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
    Row("302", answer(302, b"", {"Location": "/elsewhere"}), Result.UNKNOWN),
    Row("304", answer(304, b""), Result.UNKNOWN),
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


def run_send(
    script: list[Answer], body: dict[str, Any] | None = None, access: StripeAccess | None = None
) -> tuple[Outcome, list[Request]]:
    """Send one meter event to a scripted server; return the outcome and what the server got."""

    async def sent() -> tuple[Outcome, list[Request]]:
        async with ScriptedServer(script) as server:
            there = access or StripeAccess(key=KEY, mode="test", base=server.url)
            async with open_gateway(there, lambda: NOW, concurrency=4, on_date=_ignore) as gateway:
                outcome = await gateway.send(body or BODY, IDENTIFIER)
            return outcome, server.requests

    return asyncio.run(sent())


def _ignore(_date: int) -> None:
    """Hear the time and do nothing with it."""


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


def test_a_redirect_is_not_followed() -> None:
    """Neither the body nor the key goes to where an answer points."""

    async def sent() -> tuple[Outcome, int, int]:
        async with ScriptedServer([answer(200, RIGHT)]) as other:
            for status in (301, 302, 303, 307, 308):
                script = [answer(status, b"", {"Location": f"{other.url}/v1/billing/meter_events"})]
                async with ScriptedServer(script) as server:
                    access = StripeAccess(key=KEY, mode="test", base=server.url)
                    async with open_gateway(access, lambda: NOW, concurrency=1, on_date=_ignore) as gateway:
                        outcome = await gateway.send(BODY, IDENTIFIER)
                    assert len(server.requests) == 1
            return outcome, len(server.requests), len(other.requests)

    outcome, here, there = asyncio.run(sent())
    assert (outcome.result, here, there) == (Result.UNKNOWN, 1, 0)


def test_a_kept_connection_that_breaks_sends_nothing_twice() -> None:
    """A POST on a connection that the server has dropped is not repeated behind our back."""

    async def sent() -> tuple[list[Result], int]:
        dropping = Answer(data=answer(200, RIGHT).data)
        async with ScriptedServer([dropping, Answer(reset=True), dropping]) as server:
            access = StripeAccess(key=KEY, mode="test", base=server.url)
            async with open_gateway(access, lambda: NOW, concurrency=1, on_date=_ignore) as gateway:
                results = [(await gateway.send(BODY, IDENTIFIER)).result for _ in range(3)]
            return results, len(server.requests)

    assert asyncio.run(sent()) == ([Result.ACCEPTED, Result.UNKNOWN, Result.ACCEPTED], 3)


def test_the_request_is_what_it_should_be() -> None:
    """Path, body, key and version as bytes: what Stripe gets, and nothing it need not know."""
    _, [request] = run_send([answer(200, RIGHT)])
    assert (request.method, request.target) == ("POST", "/v1/billing/meter_events")
    assert unquote(request.body.decode()) == (
        f"event_name=api_requests&identifier={IDENTIFIER}&timestamp=1793487600"
        "&payload[stripe_customer_id]=cus_Alpha&payload[value]=12.5"
    )
    headers = request.headers
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["idempotency-key"] == IDENTIFIER
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["stripe-version"] == "2026-10-28.endive"
    assert headers.keys().isdisjoint(
        {"stripe-account", "x-stripe-client-telemetry", "cookie", "stripe-context"}
    )
    assert len(request.header_order) == len({name.lower() for name in request.header_order})


def test_no_later_request_carries_telemetry() -> None:
    """The SDK would tell how long the request before took: that is off."""

    async def sent() -> list[Request]:
        async with ScriptedServer([answer(200, RIGHT)]) as server:
            access = StripeAccess(key=KEY, mode="test", base=server.url)
            async with open_gateway(access, lambda: NOW, concurrency=1, on_date=_ignore) as gateway:
                for _ in range(3):
                    await gateway.send(BODY, IDENTIFIER)
            return server.requests

    for request in asyncio.run(sent()):
        assert "x-stripe-client-telemetry" not in request.headers


@pytest.mark.parametrize("value", ["a&b=c", "1+1", "é ü", "[x]", "%5B", "", "a;b", "\n", "a" * 500])
def test_a_payload_value_arrives_as_it_is(value: str) -> None:
    """What would break a form is encoded, also where a dimension holds it."""
    body = {**BODY, "payload": {**BODY["payload"], "region": value}}
    _, [request] = run_send([answer(200, RIGHT)], body)
    fields = parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    assert ("payload[region]", value) in fields
    assert len(fields) == 6


def test_a_connected_account_is_named_on_every_request() -> None:
    """Stripe-Account goes with reads and writes, where one is configured."""

    async def called() -> list[Request]:
        account = answer(200, {"id": "acct_connected", "object": "account"})
        meters = answer(200, {"object": "list", "data": [], "has_more": False, "url": "/v1/billing/meters"})
        async with ScriptedServer([account, meters, answer(200, RIGHT)]) as server:
            access = StripeAccess(key=KEY, mode="test", base=server.url, stripe_account="acct_connected")
            async with open_gateway(access, lambda: NOW, concurrency=1, on_date=_ignore) as gateway:
                assert await gateway.account_id() == Read(value="acct_connected")
                assert await gateway.active_meters() == Read(value={})
                assert (await gateway.send(BODY, IDENTIFIER)).result is Result.ACCEPTED
            return server.requests

    requests = asyncio.run(called())
    assert [request.target.partition("?")[0] for request in requests] == [
        "/v1/account",
        "/v1/billing/meters",
        "/v1/billing/meter_events",
    ]
    assert {request.headers["stripe-account"] for request in requests} == {"acct_connected"}


def test_a_key_that_an_answer_repeats_is_not_kept() -> None:
    """A proxy that shows the request in its error page does not get the key into a ledger."""
    page = f"<pre>Authorization: Bearer {KEY}</pre>".encode()
    for reply in (answer(502, page), answer(400, error(message=f"Invalid key {KEY}")), answer(200, page)):
        outcome, _ = run_send([reply])
        assert KEY not in repr(outcome)


def run_read(reply: Answer | None, what: str) -> Read:
    """Make one read of a scripted server, or of nobody."""

    async def read() -> Read:
        async with ScriptedServer([reply or Answer()]) as server:
            base = server.url
            if reply is None:
                server._server.close()  # type: ignore[union-attr] # it listens, or it would have no port
            access = StripeAccess(key=KEY, mode="test", base=base)
            async with open_gateway(access, lambda: NOW, concurrency=1, on_date=_ignore) as gateway:
                return await _read_of(gateway, what)

    return asyncio.run(read())


async def _read_of(gateway: StripeGateway, what: str) -> Read:
    return await (gateway.account_id() if what == "account" else gateway.active_meters())


READS = ("account", "meters")


@pytest.mark.parametrize("what", READS)
@pytest.mark.parametrize("status", [403, 404])
def test_a_read_that_is_refused_is_a_warning(what: str, status: int) -> None:
    """A restricted key may not read everything: no value, and a word on why."""
    read = run_read(answer(status, error(message="no")), what)
    assert read.value is None
    assert str(status) in read.warning


@pytest.mark.parametrize("what", READS)
def test_a_read_with_a_refused_key_stops(what: str) -> None:
    """401 is the end of a run before it began, and does not show the key."""
    with pytest.raises(StripeError, match="401") as caught:
        run_read(answer(401, error(message=f"Invalid API Key provided: {KEY}")), what)
    assert KEY not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("what", READS)
@pytest.mark.parametrize("reply", [None, Answer(reset=True)], ids=["refused", "reset"])
def test_a_host_that_cannot_be_reached_stops(what: str, reply: Answer | None) -> None:
    """Without a connection there is no run."""
    with pytest.raises(StripeError, match="cannot be reached"):
        run_read(reply, what)


NONSENSE = {
    "empty-object": answer(200, {}),
    "list": answer(200, []),
    "text": answer(200, "hello"),
    "html": answer(200, HTML, content_type="text/html"),
    "empty": answer(200, b""),
    "rows-of-text": answer(200, {"object": "list", "data": ["x"], "has_more": False, "url": "/v1/x"}),
    "rows-without-name": answer(
        200, {"object": "list", "data": [{"object": "billing.meter"}], "has_more": False, "url": "/v1/x"}
    ),
}


@pytest.mark.parametrize("what", READS)
@pytest.mark.parametrize("reply", list(NONSENSE.values()), ids=list(NONSENSE))
def test_a_read_that_brings_nonsense_is_a_warning(what: str, reply: Answer) -> None:
    """A 200 without what was asked for is no value, said to be so, and no crash."""
    read = run_read(reply, what)
    assert read.value is None
    assert read.warning != ""


def test_an_account_that_cannot_be_told_for_now_stops() -> None:
    """A 500 says nothing about whose account it is: only 403 and 404 may be taken for a restricted key."""
    with pytest.raises(StripeError):
        run_read(answer(500, error("api_error", message="Oops")), "account")


def test_meters_are_read_to_the_last_page() -> None:
    """All pages count, and a name that stands on several meters is active if one of them is."""

    def page(*, has_more: bool, **meters: str) -> Answer:
        data = [
            {"id": f"mtr_{name}_{status}", "object": "billing.meter", "event_name": name, "status": status}
            for name, status in meters.items()
        ]
        return answer(
            200, {"object": "list", "data": data, "has_more": has_more, "url": "/v1/billing/meters"}
        )

    async def read() -> tuple[Read, list[Request]]:
        pages = [
            page(has_more=True, a="active", b="inactive"),
            page(has_more=True, b="active", c="active"),
            page(has_more=False, c="inactive", d="inactive"),
        ]
        async with ScriptedServer(pages) as server:
            access = StripeAccess(key=KEY, mode="test", base=server.url)
            async with open_gateway(access, lambda: NOW, concurrency=1, on_date=_ignore) as gateway:
                return await gateway.active_meters(), server.requests

    meters, requests = asyncio.run(read())
    assert meters == Read(value={"a": True, "b": True, "c": True, "d": False})
    assert ["starting_after=" in request.target for request in requests] == [False, True, True]


def test_every_answer_tells_its_time() -> None:
    """Date is heard on answers of any status; one that cannot be read is let be."""

    async def heard() -> list[int]:
        told: list[int] = []
        odd = Answer(data=answer(200, RIGHT).data.replace(b"Sun, 01 Nov 2026", b"Some day"))
        async with ScriptedServer([answer(200, RIGHT), answer(500, error("api_error")), odd]) as server:
            access = StripeAccess(key=KEY, mode="test", base=server.url)
            async with open_gateway(access, lambda: NOW, concurrency=1, on_date=told.append) as gateway:
                for _ in range(3):
                    await gateway.send(BODY, IDENTIFIER)
        return told

    assert asyncio.run(heard()) == [NOW, NOW]
