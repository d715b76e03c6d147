"""The reads of the gateway: account, meters and the time that every answer tells."""

import asyncio

import pytest

from meterledger.domain.declared_meter import activity
from meterledger.errors import StripeError
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.gateway import Read, StripeGateway, open_gateway
from support.scripted_calls import BODY, HTML, IDENTIFIER, KEY, NOW, RIGHT, error
from support.scripted_calls import ignore_date as _ignore
from support.scripted_server import Answer, Request, ScriptedServer, answer


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
    return await (gateway.account_id() if what == "account" else gateway.account_meters())


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


@pytest.mark.parametrize("what", READS)
def test_a_host_that_says_nothing_is_told_in_words(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waited half a minute reads that no answer came, and not the name of an exception."""
    monkeypatch.setattr("meterledger.stripe_gateway.transport.TOTAL_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(StripeError, match=r"cannot be reached: no answer within 0\.2 seconds"):
        run_read(Answer(hangs=True), what)


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


@pytest.mark.parametrize("reply", list(NONSENSE.values()), ids=list(NONSENSE))
def test_meters_that_are_nonsense_are_a_warning(reply: Answer) -> None:
    """A 200 without what was asked for is no value, said to be so, and no crash."""
    read = run_read(reply, "meters")
    assert read.value is None
    assert read.warning != ""


NO_STRIPE = NONSENSE | {
    "200-other-object": answer(200, {"object": "customer", "id": "cus_1"}),
    "200-without-object": answer(200, {"id": "acct_1"}),
    "200-id-is-a-number": answer(200, {"object": "account", "id": 7}),
    "200-id-is-empty": answer(200, {"object": "account", "id": ""}),
    "204": answer(204, b""),
    "301": answer(301, b"", {"Location": "/v1/elsewhere"}),
    "302-with-an-account": answer(302, {"object": "account", "id": "acct_1"}, {"Location": "/"}),
    "304": answer(304, b""),
    "400": answer(400, error(message="no")),
    "402": answer(402, error(message="no")),
    "403-html": answer(403, HTML, content_type="text/html"),
    "403-other-json": answer(403, {"message": "Forbidden"}),
    "403-error-is-text": answer(403, {"error": "Forbidden"}),
    "403-without-type": answer(403, error(None, message="Forbidden")),
    "403-without-message": answer(403, error()),
    "404-html": answer(404, HTML, content_type="text/html"),
    "404-no-such-url": answer(404, error(message="Unrecognized request URL (GET: /v1/account).")),
    "418": answer(418, HTML),
}


@pytest.mark.parametrize("reply", list(NO_STRIPE.values()), ids=list(NO_STRIPE))
def test_who_does_not_answer_as_stripe_does_stops(reply: Answer) -> None:
    """Only Stripe's own 403 or 404 may be taken for a restricted key; nothing else is ever bound."""
    with pytest.raises(StripeError, match="does not answer as Stripe does"):
        run_read(reply, "account")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_account_that_cannot_be_told_for_now_stops(status: int) -> None:
    """A 500 says nothing about whose account it is: only 403 and 404 may be taken for a restricted key."""
    with pytest.raises(StripeError, match="for now"):
        run_read(answer(status, error("api_error", message="Oops")), "account")


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
                return await gateway.account_meters(), server.requests

    meters, requests = asyncio.run(read())
    assert activity(meters.value) == {"a": True, "b": True, "c": True, "d": False}
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
