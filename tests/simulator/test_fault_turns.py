"""When faults strike, by plan and by seed, and what the log tells of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.simulator.faults.kinds import RANDOM_KINDS, Kind
from meterledger.simulator.faults.log import KEPT_STRIKES
from meterledger.simulator.faults.places import NAMES, covers
from meterledger.simulator.faults.plan import FaultPlan, RandomFaults
from meterledger.simulator.routes import ROUTES
from simulator.conversation import EVENTS, KEY, Conversation
from simulator.faulty_conversation import FAULTS, REASON, log, send, started


@pytest.mark.parametrize(
    ("turn", "struck"),
    [
        ({}, "x......."),
        ({"skip": 2}, "..x....."),
        ({"times": 3}, "xxx....."),
        ({"times": 0}, "xxxxxxxx"),
        ({"skip": 1, "times": 2}, ".xx....."),
        ({"every": 3}, "..x..x.."),
        ({"every": 3, "times": 1}, "..x....."),
        ({"every": 2, "skip": 3}, "....x.x."),
        ({"chance": 1}, "x......."),
    ],
)
def test_turns(turn: dict[str, object], struck: str) -> None:
    """Skip, times and every tell which of the matching requests are struck."""
    talk = started({"kind": "request_lost", **turn})
    deliveries = [send(talk, f"x{number}").delivery for number in range(8)]
    assert "".join("x" if delivery == "dropped" else "." for delivery in deliveries) == struck
    (fault,) = talk.get(FAULTS).document["faults"]
    assert (fault["matched"], fault["struck"]) == (8, struck.count("x"))


@pytest.mark.parametrize(
    ("selector", "struck"),
    [
        ({"customer": "cus_B"}, "b"),
        ({"identifier": "a"}, "a"),
        ({"event_name": "api_requests"}, "abc"),
        ({"event_name": "other"}, ""),
        ({"on": "meter_events_v1"}, "abc"),
        ({"on": "meter_events_v2"}, ""),
        ({"on": EVENTS}, "abc"),
        ({"path": EVENTS}, "abc"),
        ({"path": "/v1/billing/meters"}, ""),
        ({"method": "GET"}, ""),
        ({"on": "all", "customer": "cus_C"}, "c"),
    ],
)
def test_selectors(selector: dict[str, object], struck: str) -> None:
    """A fault strikes what every one of its selectors picks."""
    talk = started({"kind": "request_lost", "times": 0, **selector})
    hit = ""
    for name in "abc":
        reply = talk.event(customer=f"cus_{name.upper()}", identifier=name)
        hit += name if reply.delivery == "dropped" else ""
    assert hit == struck


def test_the_first_due_fault_strikes() -> None:
    """Of several faults whose turn it is the first strikes, and the next waits for the next request."""
    talk = started({"kind": "answer_lost"}, {"kind": "conflict"}, {"kind": "reset", "skip": 2})
    replies = [send(talk, f"x{number}") for number in range(4)]
    assert [(reply.delivery, reply.status) for reply in replies] == [
        ("dropped", 200),
        ("sent", 409),
        ("cut", 200),
        ("sent", 200),
    ]
    assert [(entry["fault"], entry["kind"]) for entry in log(talk)] == [
        (3, "reset"),
        (2, "conflict"),
        (1, "answer_lost"),
    ]


def test_the_log_tells_the_request() -> None:
    """An entry has the time, the fault and all that names the request; the answer has the same request id."""
    talk = started({"kind": "server_error"})
    reply = send(talk, key="the-key")
    assert log(talk) == [
        {
            "at": "2026-11-01T00:00:00Z",
            "fault": 1,
            "kind": "server_error",
            "request": reply.headers["Request-Id"],
            "method": "POST",
            "path": EVENTS,
            "account": "acct_simulator",
            "identifier": "x",
            "customer": "cus_A",
            "event_name": "api_requests",
            "events": 1,
            "idempotency_key": "the-key",
        }
    ]


def test_the_log_is_bounded_and_hides_keys() -> None:
    """The log keeps the latest strikes only, cuts what is long, and shows no API key."""
    talk = started({"kind": "conflict", "times": 0, "on": "all"})
    talk.event(identifier=f"{KEY} and {'x' * 500}", event_name=KEY)
    talk.get(f"/v1/customers/{KEY}")
    text = json.dumps(log(talk))
    assert KEY not in text
    assert max(len(str(value)) for entry in log(talk) for value in entry.values()) <= 255
    for _ in range(KEPT_STRIKES + 10):
        talk.get("/v1/customers")
    assert (len(log(talk)), log(talk)[0]["request"]) == (
        KEPT_STRIKES,
        talk.get("/_simulator/requests").document["requests"][0]["request"],
    )
    assert len(talk.get(FAULTS, limit=5).document["log"]) == 5
    assert talk.get(FAULTS, limit=0).status == 400


def test_faults_never_hit_the_simulators_own_pages() -> None:
    """With a fault on everything, the pages of the simulator answer as ever, and unknown paths do."""
    talk = started({"kind": "server_error", "times": 0, "on": "all"})
    for path in (FAULTS, "/_simulator/ledger", "/_simulator/clock", "/_simulator/requests"):
        assert talk.get(path).status == 200
    assert talk.get("/v1/nothing").status == 404
    assert talk.get("/v1/account").status == 500


def test_faults_end() -> None:
    """DELETE ends every fault, planned and random, and leaves the log."""
    talk = started({"kind": "conflict", "times": 0})
    send(talk)
    talk.faults({"kind": "conflict", "times": 0}, random={"rate": 1})
    assert talk.call("DELETE", FAULTS).document["faults"] == []
    assert send(talk).status == 200
    page = talk.get(FAULTS).document
    assert (page["faults"], page["random"]["rate"], len(page["log"])) == ([], 0.0, 1)


def outcomes(plan: FaultPlan, requests: int = 200) -> list[tuple[str, int, float, str | None]]:
    """Return what becomes of a number of requests under a plan."""
    talk = Conversation(plan=plan)
    talk.meter()
    replies = [send(talk, f"x{number}", f"k{number}") for number in range(requests)]
    return [
        (reply.delivery, reply.status, reply.delay_seconds, reply.headers.get(REASON)) for reply in replies
    ]


@given(st.integers(0, 2**40), st.floats(0, 1))
def test_a_seed_repeats_itself(seed: int, rate: float) -> None:
    """The same seed and the same requests give the same faults."""
    plan = FaultPlan(random=RandomFaults(seed=seed, rate=rate))
    assert outcomes(plan, 10) == outcomes(plan, 10)


def test_a_seed_brings_every_kind_at_its_rate() -> None:
    """At a rate of a half about half of the requests are struck, with all kinds that can strike them."""
    talk = started()
    talk.faults(random={"seed": 1, "rate": 0.5, "delay": "2s"})
    replies = [send(talk, f"x{number}", f"k{number}") for number in range(1000)]
    entries = log(talk)
    assert 440 < len(entries) < 560
    assert {entry["kind"] for entry in entries} == set(RANDOM_KINDS) - {Kind.SESSION_EXPIRED}
    assert {entry["fault"] for entry in entries} == {"random"}
    assert {reply.delay_seconds for reply in replies} == {0.0, 2.0}
    random = talk.get(FAULTS).document["random"]
    assert (random["matched"], random["struck"], random["seed"]) == (1000, len(entries), 1)
    other = outcomes(FaultPlan(random=RandomFaults(seed=2, rate=0.5)))
    assert other != outcomes(FaultPlan(random=RandomFaults(seed=1, rate=0.5)))


def test_random_faults_can_be_of_one_kind_and_elsewhere() -> None:
    """Kinds and endpoints of random faults are to be chosen; a kind strikes only where it can."""
    talk = started()
    talk.faults(random={"rate": 1, "kinds": ["conflict"], "on": "customers"})
    assert (send(talk).status, talk.get("/v1/customers").status) == (200, 409)
    talk.faults(random={"rate": 1, "kinds": ["session_expired"], "on": "all"})
    assert talk.get("/v1/customers").status == 200


def test_a_chance_follows_the_seed() -> None:
    """A fault with a chance strikes about that share, the same requests each time for one seed."""

    def hits(seed: int) -> list[int]:
        """Return which of the requests were struck."""
        talk = started()
        talk.faults({"kind": "conflict", "chance": 0.25}, random={"seed": seed})
        return [number for number in range(200) if send(talk, f"x{number}").status == 409]

    assert 30 < len(hits(1)) < 70
    assert hits(1) == hits(1) != hits(2)


def test_a_planned_fault_comes_before_a_random_one() -> None:
    """A request that a planned fault strikes is struck once, by that fault."""
    talk = started()
    talk.faults({"kind": "conflict", "times": 0}, random={"rate": 1})
    assert [send(talk).status for _ in range(20)] == [409] * 20
    assert {entry["fault"] for entry in log(talk)} == {1}


def test_every_name_stands_for_something() -> None:
    """Each short name covers a path, and none of the API's own endpoints is covered by no name but all."""
    for pattern in (pattern for _, pattern in ROUTES):
        names = [name for name in NAMES if covers(name, pattern)]
        assert len(names) > 1, pattern
    assert covers("all", "/v9/anything")
