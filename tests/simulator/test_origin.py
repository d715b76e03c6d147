"""Pages of other web sites, which a visitor's browser would let in."""

import json

import pytest

from meterledger.simulator.local_stripe import LocalStripe
from meterledger.simulator.protocol.wire import Call
from meterledger.simulator.rules import Rules
from simulator.conversation import Conversation

PATHS = ("/_simulator/clock", "/_simulator/ledger", "/v1/account", "/v1/nothing", "/")


def is_taken(headers: dict[str, str], path: str = "/_simulator/clock") -> bool:
    """Tell whether a request with some headers is answered on loopback, and not refused at the door."""
    call = Call(method="GET", path=path, query="", headers=headers, body=b"")
    answer = Conversation().stripe.answer(call)
    if answer.status == 403:
        assert json.loads(answer.body)["error"]["type"] == "invalid_request_error"
    return answer.status != 403


@pytest.mark.parametrize("path", PATHS)
def test_another_sites_page_is_refused_everywhere(path: str) -> None:
    """Whatever the path, a request from another site's page gets a 403 in the usual form."""
    assert is_taken({"Host": "127.0.0.1:12111"}, path)
    assert not is_taken({"Host": "127.0.0.1:12111", "Origin": "https://evil.example"}, path)
    assert not is_taken({"Host": "rebound.example:12111"}, path)


@pytest.mark.parametrize(
    ("host", "origin", "taken"),
    [
        (None, None, True),
        ("127.0.0.1:12111", None, True),
        ("127.8.9.10:12111", None, True),
        ("localhost:12111", None, True),
        ("LOCALHOST", None, True),
        ("stripe.localhost:12111", None, True),
        ("[::1]:12111", None, True),
        ("127.0.0.1:12111", "http://127.0.0.1:12111", True),
        ("LocalHost:12111", "http://localhost:12111", True),
        ("127.0.0.1:12111", "http://127.0.0.1:8000", False),
        ("127.0.0.1:12111", "http://localhost:12111", False),
        ("127.0.0.1:12111", "null", False),
        ("127.0.0.1:12111", "", False),
        ("127.0.0.1:12111", "http://127.0.0.1:12111.evil.example", False),
        (None, "http://127.0.0.1:12111", False),
        ("rebound.example:12111", "http://rebound.example:12111", False),
        ("localhost.evil.example", None, False),
        ("evil.example/localhost", None, False),
        ("10.0.0.1:12111", None, False),
        ("0.0.0.0:12111", None, False),
        ("[", None, False),
        ("", None, False),
    ],
)
def test_hosts_and_origins(host: str | None, origin: str | None, taken: bool) -> None:  # noqa: FBT001
    """On loopback the Host is a loopback one, and an Origin is that Host; an API client sends no Origin."""
    headers = {"Host": host, "Origin": origin}
    assert is_taken({name: value for name, value in headers.items() if value is not None}) == taken


@pytest.mark.parametrize(("target", "taken"), [("document", True), ("empty", True), ("iframe", False)])
def test_the_page_is_not_framed(target: str, taken: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Another site cannot lay the page into its own to have its buttons pressed."""
    assert is_taken({"Host": "localhost", "Sec-Fetch-Dest": target}) == taken


def test_a_refused_page_turns_nothing() -> None:
    """The clock stays where it was when another site's page tries to turn it."""
    talk = Conversation()
    before = talk.clock.now()
    body = b'{"advance": "1h"}'
    headers = {"Host": "localhost", "Origin": "https://evil.example", "Content-Type": "text/plain"}
    assert talk.call("POST", "/_simulator/clock", body=body, headers=headers).status == 403
    assert talk.clock.now() == before


def test_beyond_loopback_any_host_is_taken() -> None:
    """Where other machines may call, the simulator has names that it does not know; Origins are checked."""
    talk = Conversation()
    stripe = LocalStripe(talk.clock, Rules(on_loopback=False), talk.stopwatch)

    def status(headers: dict[str, str]) -> int:
        """Return the status of reading the clock."""
        call = Call(method="GET", path="/_simulator/clock", query="", headers=headers, body=b"")
        return stripe.answer(call).status

    assert status({"Host": "stripe:12111"}) == 200
    assert status({"Host": "stripe:12111", "Origin": "http://stripe:12111"}) == 200
    assert status({"Host": "stripe:12111", "Origin": "http://evil.example"}) == 403
