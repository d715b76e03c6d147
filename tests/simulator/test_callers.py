"""Keys, accounts, modes and paths: who may call what."""

import base64

import pytest

from meterledger.simulator.protocol.api_keys import redact
from meterledger.simulator.rules import Rules
from meterledger.simulator.state.account_book import MAX_ACCOUNTS
from simulator.conversation import Conversation


def basic(user: str) -> str:
    """Return a Basic Authorization header for a user without a password."""
    return "Basic " + base64.b64encode(f"{user}:".encode()).decode()


@pytest.mark.parametrize("prefix", ["sk_test_", "sk_live_", "rk_test_", "rk_live_"])
def test_every_kind_of_key_is_taken_and_tells_the_mode(prefix: str) -> None:
    """Secret and restricted keys work by Bearer and Basic, and live keys make live objects."""
    for header in (f"Bearer {prefix}abcd", basic(f"{prefix}abcd")):
        reply = Conversation().call(
            "POST", "/v1/customers", body=b"name=A", headers={"Authorization": header}
        )
        assert reply.status == 200
        assert reply.document["livemode"] is ("live" in prefix)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic !!!", "Digest sk_test_abc", basic("")])
def test_no_key_is_401(header: str) -> None:
    """A request without a readable key is refused before anything else about it is looked at."""
    reply = Conversation().call("GET", "/v1/account", headers={"Authorization": header})
    assert (reply.status, reply.error["type"]) == (401, "invalid_request_error")
    assert reply.headers["Stripe-Should-Retry"] == "false"


def test_a_wrong_key_is_401_and_is_not_repeated() -> None:
    """A refused key is named in Stripe's words with all but its ends hidden."""
    reply = Conversation().call(
        "GET", "/v1/account", headers={"Authorization": "Bearer xk_test_secretsecret1234"}
    )
    assert reply.status == 401
    assert reply.error["message"] == "Invalid API Key provided: xk_test_************1234"


def test_short_and_odd_keys_are_hidden_whole_and_safely() -> None:
    """Redaction shows no short key and no front but a known prefix; bytes that are no text break nothing."""
    assert redact("sk_test_abc") == "*" * 11
    assert redact("a secret of another service") == "*" * 23 + "vice"
    reply = Conversation().call("GET", "/v1/account", headers={"Authorization": "Bearer \udcff" + "x" * 30})
    assert reply.status == 401


def test_one_key_only() -> None:
    """With one accepted key every other well-formed one is refused."""
    talk = Conversation(Rules(only_key="sk_test_mine"))
    assert talk.call("GET", "/v1/account", headers={"Authorization": "Bearer sk_test_mine"}).status == 200
    assert talk.call("GET", "/v1/account", headers={"Authorization": "Bearer sk_test_other"}).status == 401


def test_accounts_and_modes_are_kept_apart() -> None:
    """A connected account, and live mode, see neither the meters nor the identifiers of the others."""
    talk = Conversation()
    talk.meter()
    assert talk.event(identifier="x").status == 200
    assert talk.call("GET", "/v1/account").document["id"] == "acct_simulator"
    for headers in ({"Stripe-Account": "acct_other"}, {"Authorization": "Bearer sk_live_abc"}):
        assert talk.call("GET", "/v1/billing/meters", headers=headers).document["data"] == []
    other = talk.call("GET", "/v1/account", headers={"Stripe-Account": "acct_other"})
    assert other.document["id"] == "acct_other"


@pytest.mark.parametrize("account", ["", "other", "acct_", "acct_\udcff", "acct_" + "x" * 200])
def test_a_malformed_account_is_403(account: str) -> None:
    """A Stripe-Account header that names no account is refused."""
    reply = Conversation().call("GET", "/v1/account", headers={"Stripe-Account": account})
    assert (reply.status, reply.error["code"]) == (403, "account_invalid")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/x"),
        ("POST", "/v1/billing/meters/mtr_test_1/nothing"),
        ("GET", "/v1/customers/"),
    ],
)
def test_unknown_paths_are_404(method: str, path: str) -> None:
    """A path that does not exist is answered in Stripe's words."""
    reply = Conversation().call(method, path)
    assert (reply.status, reply.error["message"]) == (404, f"Unrecognized request URL ({method}: {path}).")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1/account"),
        ("GET", "/v1/billing/meter_events"),
        ("PUT", "/v1/billing/meters/mtr_1"),
        ("DELETE", "/_simulator/clock"),
        ("GET", "/_simulator/reset"),
    ],
)
def test_wrong_methods_are_405(method: str, path: str) -> None:
    """A path that exists, but not with this method, says so."""
    assert Conversation().call(method, path).status == 405


def test_a_path_that_is_no_text_is_404() -> None:
    """Raw bytes in a path get an answer like any other unknown path."""
    assert Conversation().call("GET", "/\udcff").status == 404


def test_headers_stand_on_every_answer() -> None:
    """Type, request id, version and date are there on success and on refusal; request ids differ."""
    talk = Conversation()
    good = talk.call("GET", "/v1/account", headers={"Stripe-Version": "2025-01-27.acacia"})
    bad = talk.call("GET", "/x")
    for reply in (good, bad):
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.headers["Request-Id"].startswith("req_")
        assert reply.headers["Date"].endswith("GMT")
    assert good.headers["Stripe-Version"] == "2025-01-27.acacia"
    assert good.headers["Request-Id"] != bad.headers["Request-Id"]


def test_there_are_at_most_a_thousand_accounts() -> None:
    """A header that differs in every call does not fill the memory; the accounts there are go on."""
    talk = Conversation()
    statuses = [
        talk.call("GET", "/v1/account", headers={"Stripe-Account": f"acct_{number}"}).status
        for number in (*range(MAX_ACCOUNTS + 1), 0)
    ]
    assert statuses[-3:] == [200, 403, 200]
