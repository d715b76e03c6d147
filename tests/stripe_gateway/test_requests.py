"""The requests of the gateway: what leaves, once, to whom, and what is kept of it."""

import asyncio
import base64
from pathlib import Path
from urllib.parse import parse_qsl, unquote

import pytest

from meterledger.domain.delivery import Outcome, Result
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.gateway import Read, open_gateway
from support.scripted_calls import BODY, IDENTIFIER, KEY, NOW, RIGHT, error, run_send
from support.scripted_calls import ignore_date as _ignore
from support.scripted_server import Answer, Request, ScriptedServer, answer


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
                assert await gateway.account_meters() == Read(value=[])
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


@pytest.mark.parametrize("credentials", ["", "user:p%40ss@"])
def test_no_netrc_is_read_and_a_proxy_of_the_environment_is_used(
    credentials: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is the only Authorization, whatever ~/.netrc has; a proxy gets its own credentials."""
    (tmp_path / ".netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    async def sent() -> tuple[Outcome, Request]:
        async with ScriptedServer([answer(200, RIGHT)]) as proxy:
            monkeypatch.setenv("no_proxy", "")
            monkeypatch.setenv("http_proxy", proxy.url.replace("//", f"//{credentials}"))
            access = StripeAccess(key=KEY, mode="test", base="http://stripe.invalid:8080")
            async with open_gateway(access, lambda: NOW, concurrency=1, on_date=_ignore) as gateway:
                return await gateway.send(BODY, IDENTIFIER), proxy.requests[0]

    outcome, request = asyncio.run(sent())
    assert outcome.result is Result.ACCEPTED
    assert request.target == "http://stripe.invalid:8080/v1/billing/meter_events"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    told = request.headers.get("proxy-authorization", "").removeprefix("Basic ")
    assert base64.b64decode(told) == (b"user:p@ss" if credentials else b"")


def test_what_the_environment_excepts_goes_past_its_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """no_proxy holds, and this machine is never reached through a proxy."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert run_send([answer(200, RIGHT)])[0].result is Result.ACCEPTED
    monkeypatch.setenv("no_proxy", "stripe.invalid")
    access = StripeAccess(key=KEY, mode="test", base="http://stripe.invalid:8080")
    outcome, _ = run_send([], access=access)
    assert (outcome.code, "stripe.invalid" in (outcome.message or "")) == ("connection_refused", True)


def test_a_proxy_is_told_nothing_but_where_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """With TLS the proxy gets its credentials and a host; neither key nor body."""

    async def sent() -> tuple[Outcome, Request]:
        async with ScriptedServer([answer(502, b"")]) as proxy:
            monkeypatch.setenv("no_proxy", "")
            monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//user:pass@"))
            access = StripeAccess(key=KEY, mode="test", base="https://stripe.invalid")
            async with open_gateway(access, lambda: NOW, concurrency=1, on_date=_ignore) as gateway:
                return await gateway.send(BODY, IDENTIFIER), proxy.requests[0]

    outcome, request = asyncio.run(sent())
    assert (outcome.result, outcome.answered) == (Result.UNKNOWN, False)
    assert (request.method, request.target, request.body) == ("CONNECT", "stripe.invalid:443", b"")
    assert base64.b64decode(request.headers["proxy-authorization"].removeprefix("Basic ")) == b"user:pass"
    assert "authorization" not in request.headers
