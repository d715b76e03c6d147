"""The contract of the stream: one answer for a whole batch, and sessions that end."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest

from meterledger.domain.delivery import Outcome, Result
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.gateway import open_gateway
from support.scripted_calls import HTML, IDENTIFIER, KEY, NOW, V2_BODY, error, ignore_date
from support.scripted_server import Answer, Request, ScriptedServer, answer

MINUTE = 60_000_000
TOKEN = "tok_sess_secret"  # of no session that there is
SESSION = {
    "object": "v2.billing.meter_event_session",
    "id": "mes_test_1",
    "authentication_token": TOKEN,
    "created": "2026-11-01T00:00:00.000Z",
    "expires_at": "2026-11-01T00:15:00.000Z",
    "livemode": False,
}
BATCH = [V2_BODY, V2_BODY | {"identifier": "ml1-other"}]
EXPIRED = error(
    "temporary_session_expired", code="billing_meter_event_session_expired", message=f"{TOKEN} has expired."
)


@dataclass(slots=True)
class Sent:
    """What a scripted server was asked, and what came of each batch."""

    outcomes: list[Outcome] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)


def stream(script: list[Answer], *batches: list[dict[str, object]], clock: list[int] | None = None) -> Sent:
    """Send batches, one after another, to a scripted server; `clock` holds the time at each."""
    sent = Sent()
    now = [NOW]

    async def run() -> None:
        async with ScriptedServer(script) as server:
            access = StripeAccess(key=KEY, mode="test", base=server.url, stripe_account="acct_other")
            async with open_gateway(access, lambda: now[0], concurrency=4, on_date=ignore_date) as gateway:
                for number, batch in enumerate(batches):
                    now[0] = clock[number] if clock else NOW
                    sent.outcomes.append(await gateway.send_batch(batch, f"mlb1-{number}"))
            sent.requests = server.requests

    asyncio.run(run())
    return sent


ROWS: list[tuple[str, Answer, Result, Result, bool]] = [
    # name, answer, result of a batch of two, of a batch of one, stops the run
    ("200-empty-object", answer(200, {}), Result.ACCEPTED, Result.ACCEPTED, False),
    ("200-with-more", answer(200, {"errors": []}), Result.UNKNOWN, Result.UNKNOWN, True),
    ("200-empty", answer(200, b""), Result.UNKNOWN, Result.UNKNOWN, True),
    ("200-list", answer(200, []), Result.UNKNOWN, Result.UNKNOWN, True),
    ("200-html", answer(200, HTML), Result.UNKNOWN, Result.UNKNOWN, True),
    ("204", answer(204, b""), Result.UNKNOWN, Result.UNKNOWN, True),
    ("302", answer(302, b"", {"Location": "/x"}), Result.UNKNOWN, Result.UNKNOWN, True),
    ("401-expired", answer(401, EXPIRED), Result.NOT_SENT, Result.NOT_SENT, False),
    ("400-expired", answer(400, EXPIRED), Result.NOT_SENT, Result.NOT_SENT, False),
    ("401-other", answer(401, error(message="Invalid API Key")), Result.NOT_SENT, Result.NOT_SENT, True),
    ("403", answer(403, error(message="No.")), Result.NOT_SENT, Result.NOT_SENT, True),
    (
        "400-form",
        answer(400, error(code="parameter_unknown", message="No.")),
        Result.REJECTED,
        Result.REJECTED,
        False,
    ),
    (
        "400-form-without-type",
        answer(400, error(None, code="payload_invalid_value", message="No.")),
        Result.REJECTED,
        Result.REJECTED,
        False,
    ),
    (
        "400-unforeseen",
        answer(400, error(None, code="the_moon", message="No.")),
        Result.UNKNOWN,
        Result.UNKNOWN,
        False,
    ),
    (
        "400-duplicate",
        answer(400, error(None, code="duplicate_meter_event", message="No.")),
        Result.UNKNOWN,
        Result.DUPLICATE,
        False,
    ),
    (
        "400-no-meter",
        answer(400, error(None, code="no_meter", message="No.")),
        Result.NOT_SENT,
        Result.NOT_SENT,
        True,
    ),
    ("400-idempotency", answer(400, error("idempotency_error")), Result.TAKEN, Result.TAKEN, False),
    ("409", answer(409, error(None, code="x", message="No.")), Result.NOT_SENT, Result.NOT_SENT, False),
    ("413", answer(413, HTML), Result.UNKNOWN, Result.UNKNOWN, False),
    ("429", answer(429, error(code="rate_limit")), Result.NOT_SENT, Result.NOT_SENT, False),
    ("500", answer(500, error("api_error", message="Oops.")), Result.UNKNOWN, Result.UNKNOWN, False),
    ("502-html", answer(502, HTML), Result.UNKNOWN, Result.UNKNOWN, False),
    ("reset", Answer(reset=True), Result.UNKNOWN, Result.UNKNOWN, False),
    ("cut-off", Answer(data=answer(200, {}).data[:-1], reset=True), Result.UNKNOWN, Result.UNKNOWN, False),
]


@pytest.mark.parametrize(
    ("given", "of_two", "of_one", "stops"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_every_answer_to_a_batch_has_its_outcome(
    given: Answer, of_two: Result, of_one: Result, *, stops: bool
) -> None:
    """The answer holds for all of a batch; what it says of one event alone only counts where it is alone."""
    for batch, result in ((BATCH, of_two), ([V2_BODY], of_one)):
        [outcome] = stream([answer(200, SESSION), given], batch).outcomes
        assert (outcome.result, outcome.stops_run) == (result, stops)
        assert TOKEN not in repr(outcome)
        assert outcome.created is None


def test_the_requests_are_what_they_should_be() -> None:
    """The session is asked for with the key, the batch goes with its token; both for the account."""
    sent = stream([answer(200, SESSION), answer(200, {})], BATCH)
    made, batch = sent.requests
    assert (made.method, made.target, made.body) == ("POST", "/v2/billing/meter_event_session", b"{}")
    assert made.headers["authorization"] == f"Bearer {KEY}"
    assert (batch.method, batch.target) == ("POST", "/v2/billing/meter_event_stream")
    assert json.loads(batch.body) == {"events": BATCH}
    assert batch.headers["authorization"] == f"Bearer {TOKEN}"
    assert batch.headers["idempotency-key"] == "mlb1-0"
    for request in sent.requests:
        assert request.headers["stripe-version"] == "2026-10-28.endive"
        assert request.headers["stripe-account"] == "acct_other"
        assert request.headers["content-type"] == "application/json"


def test_a_session_serves_until_a_minute_before_its_end() -> None:
    """By what the server says of its end: used at 13:59, renewed at 14:00."""
    later = SESSION | {"authentication_token": "tok_sess_2", "expires_at": "2026-11-01T00:29:00.000Z"}
    script = [answer(200, SESSION), *[answer(200, {})] * 2, answer(200, later), answer(200, {})]
    clock = [NOW, NOW + 14 * MINUTE - 1, NOW + 14 * MINUTE]
    sent = stream(script, BATCH, BATCH, BATCH, clock=clock)
    assert [outcome.result for outcome in sent.outcomes] == [Result.ACCEPTED] * 3
    assert [request.headers["authorization"] for request in sent.requests] == [
        f"Bearer {KEY}",
        f"Bearer {TOKEN}",
        f"Bearer {TOKEN}",
        f"Bearer {KEY}",
        "Bearer tok_sess_2",
    ]


@pytest.mark.parametrize("status", [400, 401])
def test_after_an_expired_session_comes_another(status: int) -> None:
    """Nothing of the batch was taken; the next request asks for a session first."""
    script = [answer(200, SESSION), answer(status, EXPIRED), answer(200, SESSION), answer(200, {})]
    sent = stream(script, BATCH, BATCH)
    assert [outcome.result for outcome in sent.outcomes] == [Result.NOT_SENT, Result.ACCEPTED]
    assert len(sent.requests) == 4


@pytest.mark.parametrize(
    ("given", "stops"),
    [
        (answer(200, SESSION | {"livemode": True}), True),
        (answer(200, SESSION | {"object": "x"}), True),
        (answer(200, SESSION | {"authentication_token": ""}), True),
        (answer(200, SESSION | {"authentication_token": "a b\r\nX: y"}), True),
        (answer(200, SESSION | {"expires_at": None}), True),
        (answer(200, HTML), True),
        (answer(302, b"", {"Location": "/x"}), True),
        (answer(400, error(message="No v2 here.")), True),
        (answer(401, error(message="Invalid API Key")), True),
        (answer(403, error(message="Not with a restricted key.")), True),
        (answer(404, error(message="Unrecognized request URL (POST).")), True),
        (answer(409, error()), False),
        (answer(429, error(code="rate_limit")), False),
        (answer(500, error("api_error")), False),
        (answer(503, HTML), False),
        (Answer(reset=True), False),
    ],
)
def test_without_a_session_nothing_is_sent(given: Answer, *, stops: bool) -> None:
    """Whatever comes in place of a session, no batch has left; a refusal for good ends the run."""
    sent = stream([given], BATCH)
    [outcome] = sent.outcomes
    assert (outcome.result, outcome.stops_run) == (Result.NOT_SENT, stops)
    assert [request.target for request in sent.requests] == ["/v2/billing/meter_event_session"]


def test_batches_at_once_share_one_session() -> None:
    """Many workers ask for one session, not for many."""

    async def run() -> list[str]:
        async with ScriptedServer([answer(200, SESSION), answer(200, {})]) as server:
            access = StripeAccess(key=KEY, mode="test", base=server.url)
            async with open_gateway(access, lambda: NOW, concurrency=4, on_date=ignore_date) as gateway:
                await asyncio.gather(*(gateway.send_batch(BATCH, f"mlb1-{n}") for n in range(5)))
            return [request.target.rsplit("_", 1)[1] for request in server.requests]

    assert sorted(asyncio.run(run())) == ["session", *["stream"] * 5]


def test_the_token_reaches_no_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the SDK's, at its most talkative: it never gets to see the session."""
    monkeypatch.setattr("stripe.log", "debug")
    with caplog.at_level("DEBUG"):
        stream([answer(200, SESSION), answer(200, {})], BATCH)
    assert TOKEN not in caplog.text


def test_a_refusal_that_names_an_identifier_alone_is_a_duplicate() -> None:
    """As for v2, by the text too."""
    text = f"An event already exists with identifier {IDENTIFIER}."
    [outcome] = stream([answer(200, SESSION), answer(400, error(message=text))], [V2_BODY]).outcomes
    assert outcome.result is Result.DUPLICATE


def test_who_was_held_while_a_session_was_made_sends_no_batch() -> None:
    """Whether it may still leave was looked at before; a day later that is no longer true."""
    times = iter([NOW])

    async def run() -> tuple[Outcome, list[Request]]:
        async with ScriptedServer([answer(200, SESSION | {"expires_at": "2026-11-03T00:00:00Z"})]) as server:
            access = StripeAccess(key=KEY, mode="test", base=server.url)
            async with open_gateway(
                access, lambda: next(times, NOW + 25 * 60 * MINUTE), concurrency=1, on_date=ignore_date
            ) as gateway:
                return await gateway.send_batch(BATCH, "mlb1-0"), server.requests

    outcome, requests = asyncio.run(run())
    assert (outcome.result, outcome.code) == (Result.NOT_SENT, "held")
    assert [request.target for request in requests] == ["/v2/billing/meter_event_session"]
