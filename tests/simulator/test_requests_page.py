"""The log of requests, and reset."""

import json
from typing import Any

from meterledger.simulator.control.requests import KEPT_REQUESTS
from meterledger.simulator.faults.fault import Fault
from meterledger.simulator.faults.kinds import Kind
from meterledger.simulator.faults.plan import FaultPlan
from meterledger.simulator.protocol.wire import Call
from simulator.conversation import EVENTS, KEY, START, Conversation

REQUESTS = "/_simulator/requests"
RESET = "/_simulator/reset"


def requests(talk: Conversation, **query: object) -> Any:
    """Return the latest requests, the newest first."""
    return talk.get(REQUESTS, **query).document["requests"]


def test_requests_are_told_newest_first() -> None:
    """Each answered request stands there with its id, its answer, its account and what it asked."""
    talk = Conversation()
    account = talk.call("GET", "/v1/account", headers={"Stripe-Account": "acct_2"})
    talk.call("POST", EVENTS, query="limit=1&starting%5Bafter%5D=x")
    talk.call("GET", "/v1/nothing", headers={"Authorization": "Bearer sk_live_nobody_knows_it"})
    unknown, refused, answered = requests(talk)
    assert answered == {
        "at": "2026-11-01T00:00:00Z",
        "request": account.headers["Request-Id"],
        "method": "GET",
        "path": "/v1/account",
        "query": "",
        "status": 200,
        "delivery": "sent",
        "code": None,
        "message": None,
        "account": "acct_2",
        "livemode": False,
        "fault": None,
    }
    assert (refused["status"], refused["query"], refused["code"]) == (
        400,
        "limit=1&starting[after]=x",
        "parameter_unknown",
    )
    assert refused["message"].startswith("Received unknown parameter")
    assert (unknown["status"], unknown["account"], unknown["livemode"]) == (404, None, None)


def test_a_fault_stands_beside_the_request_it_hit() -> None:
    """The log names the fault; where no answer left there is no status, and the counts say 0."""
    talk = Conversation()
    talk.meter()
    talk.faults({"kind": "answer_lost"}, {"kind": "server_error"}, {"kind": "reset"})
    for number in range(3):
        talk.event(identifier=f"x{number}")
    rows = [(row["fault"], row["status"], row["delivery"]) for row in requests(talk)[:3]]
    assert rows == [("reset", 200, "cut"), ("server_error", 500, "sent"), ("answer_lost", None, "dropped")]
    counts = {row["status"] for row in talk.get("/_simulator/ledger").document["requests"]}
    assert counts >= {0, 200, 500}


def test_api_keys_never_appear() -> None:
    """A key is hidden wherever a client puts it: header, path, query, a name that a refusal repeats."""
    talk = Conversation()
    secret = "sk_live_51Abcdefghijklmnopqrstuvwxyz"
    talk.call("GET", f"/v1/customers/{secret}", query=f"key={secret}")
    talk.call("GET", "/v1/customers", query=secret.replace("_", "%5F"))
    talk.call("GET", f"/{secret}", headers={"Authorization": f"Bearer {secret}"})
    talk.call("GET", "/v1/account", headers={"Authorization": f"Bearer {secret}x"})
    talk.call("GET", "/v1/account", headers={"Authorization": "Bearer nonsense-key-of-someone"})
    talk.post(EVENTS, {secret: "1"}, Idempotency_Key=secret)
    text = json.dumps(requests(talk))
    assert "Abcdefgh" not in text
    assert "nonsense-key" not in text
    assert "sk_live_***" in text


def test_the_log_is_bounded() -> None:
    """500 requests are kept, long ones cut; limit asks for fewer and is checked."""
    talk = Conversation()
    talk.call("GET", "/" + "x" * 5000, query="q=" + "y" * 5000)
    (long,) = requests(talk)
    assert max(len(str(value)) for value in long.values()) <= 300
    last = [talk.get("/v1/account").headers["Request-Id"] for _ in range(KEPT_REQUESTS + 20)]
    assert [row["request"] for row in requests(talk)] == last[::-1][:KEPT_REQUESTS]
    assert [row["request"] for row in requests(talk, limit=2)] == last[::-1][:2]
    for query in ({"limit": 0}, {"limit": KEPT_REQUESTS + 1}, {"limit": "all"}, {"from": 1}):
        assert talk.get(REQUESTS, **query).status == 400


def test_reading_the_simulators_pages_does_not_fill_the_log() -> None:
    """The log is about the API: whoever polls the simulator's own pages does not push requests out of it."""
    talk = Conversation()
    talk.get("/v1/account")
    for path in (REQUESTS, "/_simulator/ledger", "/_simulator/faults", "/_simulator/clock"):
        talk.get(path)
    assert [row["path"] for row in requests(talk)] == ["/v1/account"]


def test_reset_forgets_everything_but_the_start() -> None:
    """After a reset there are no meters, counts, requests or strikes, and the first plan is in force anew."""
    talk = Conversation(plan=FaultPlan(faults=(Fault(kind=Kind.CONFLICT, times=1),)))
    talk.meter()
    assert [talk.event().status for _ in range(2)] == [409, 200]
    talk.faults({"kind": "reset", "times": 0})
    talk.clock.advance(60)
    assert talk.call("POST", RESET).document == {
        "now": "2026-11-01T00:01:00Z",
        "epoch": START + 60,
        "mode": "frozen",
    }
    assert requests(talk) == []
    page = talk.get("/_simulator/faults").document
    assert ([fault["kind"] for fault in page["faults"]], page["log"]) == (["conflict"], [])
    ledger = talk.get("/_simulator/ledger").document
    assert (ledger["usage"], ledger["identifier_totals"]["arrivals"]) == ([], 0)
    assert {row["path"] for row in ledger["requests"]} <= {RESET, REQUESTS, "/_simulator/faults"}
    assert talk.get("/v1/billing/meters").document["data"] == []
    talk.meter()
    assert [talk.event().status for _ in range(2)] == [409, 200]


def test_reset_can_set_the_clock() -> None:
    """A reset takes what the clock's page takes, or an empty body; what it does not understand it refuses."""
    talk = Conversation()
    talk.meter()
    for body in (b'{"nwo": 1}', b'{"now": "soon"}', b"[", b"{"):
        assert talk.call("POST", RESET, body=body).status == 400
    assert len(talk.get("/v1/billing/meters").document["data"]) == 1
    talk.clock.advance(1000)
    reply = talk.call("POST", RESET, body=b'{"now": "2026-12-01T00:00:00Z"}')
    assert (reply.document["now"], reply.document["mode"]) == ("2026-12-01T00:00:00Z", "frozen")
    assert talk.call("POST", RESET, body=b" {} ").document["now"] == "2026-12-01T00:00:00Z"


def test_an_answer_on_its_way_survives_a_reset() -> None:
    """A call that is open while the simulator is reset lets go of what it occupied, and harms nothing."""
    talk = Conversation()
    talk.meter()
    talk.faults({"kind": "slow", "delay": "1s"})
    body = b"event_name=api_requests&payload[stripe_customer_id]=cus_A&payload[value]=1"
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "k"}
    slow = talk.stripe.answer(Call(method="POST", path=EVENTS, query="", headers=headers, body=body))
    talk.call("POST", RESET)
    assert slow.hold is not None
    slow.hold.release()
    talk.meter()
    assert talk.event().status == 200


def test_bytes_that_are_no_text_do_not_break_the_logs() -> None:
    """A path, a query or a key with such bytes is shown with question marks; the pages go on answering."""
    talk = Conversation()
    talk.faults({"kind": "conflict", "on": "all"})
    talk.call("POST", "/v1/customers", headers={"Idempotency-Key": "key\udcff"})
    talk.call("GET", "/v1/\udcff", query="a=\udcff")
    unknown, _ = requests(talk)
    assert (unknown["path"], unknown["query"]) == ("/v1/?", "a=?")
    assert talk.get("/_simulator/faults").document["log"][0]["idempotency_key"] == "key?"
