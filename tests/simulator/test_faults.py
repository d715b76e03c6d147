"""Faults: what each kind does to a request and to its idempotency key."""

import pytest

from meterledger.simulator.protocol.wire import Call, Delivery
from simulator.conversation import EVENTS, HOUR, KEY, START
from simulator.faulty_conversation import FAULTS, REASON, counted, log, send, started
from simulator.v2_conversation import V2_EVENTS, VERSION, V2Conversation, v2_fields


def test_a_lost_answer_was_counted() -> None:
    """The event is counted, nothing is sent; the same key replays the answer that was lost."""
    talk = started({"kind": "answer_lost"})
    lost = send(talk, key="k")
    assert (lost.delivery, counted(talk)) == (Delivery.DROPPED, 1)
    again = send(talk, key="k")
    assert (again.delivery, again.status, again.headers["Idempotent-Replayed"]) == (
        Delivery.SENT,
        200,
        "true",
    )
    assert counted(talk) == 1


def test_a_replayed_answer_can_be_lost_too() -> None:
    """A fault that strikes twice loses the first answer and its replay, and the third call hears it."""
    talk = started({"kind": "answer_lost", "times": 2})
    assert [send(talk, key="k").delivery for _ in range(3)] == ["dropped", "dropped", "sent"]
    assert counted(talk) == 1


def test_a_lost_request_was_not_counted() -> None:
    """Nothing is counted and nothing is sent, but the arrival is noted; the key is free for the next."""
    talk = started({"kind": "request_lost"})
    assert (send(talk, key="k").delivery, counted(talk)) == (Delivery.DROPPED, 0)
    assert talk.identifiers() == {"x": {"arrivals": 1, "counted": 0}}
    assert (send(talk, key="k").status, counted(talk)) == (200, 1)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("was_counted", [True, False])
def test_a_server_error(stored: bool, was_counted: bool) -> None:  # noqa: FBT001 - parameters of the test
    """A 500 is kept by its key or not, and came after the event was counted or before it."""
    talk = started({"kind": "server_error", "stored": stored, "counted": was_counted})
    failed = send(talk, key="k")
    assert (failed.status, failed.error["type"]) == (500, "api_error")
    assert failed.headers["Stripe-Should-Retry"] == "true"
    assert counted(talk) == was_counted
    again = send(talk, key="k")
    if stored:
        assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (500, failed.body, "true")
    elif was_counted:
        assert (again.status, "already exists" in again.error["message"]) == (400, True)
    else:
        assert (again.status, "Idempotent-Replayed" in again.headers) == (200, False)
    assert send(talk, key="k2").status == (200 if stored and not was_counted else 400)
    assert counted(talk) == 1


def test_a_server_error_takes_another_status_and_strikes_reads() -> None:
    """Every 5xx is to be had, also on a GET, where no key keeps it."""
    talk = started({"kind": "server_error", "status": 503, "on": "customers", "method": "GET"})
    assert talk.post("/v1/customers", {}).status == 200
    assert [talk.get("/v1/customers").status for _ in range(2)] == [503, 200]


def test_a_stored_failure_does_not_take_the_place_of_an_answer() -> None:
    """A key that has its answer keeps it: the planned 500 never gets so far."""
    talk = started({"kind": "server_error", "skip": 1})
    first = send(talk, key="k")
    assert send(talk, key="k").body == first.body
    talk.call("DELETE", FAULTS)
    assert send(talk, key="k").body == first.body


@pytest.mark.parametrize("reason", ["endpoint-rate", "global-concurrency"])
def test_a_rate_limit_has_its_reason(reason: str) -> None:
    """A 429 says in a header which limit was reached, and the client is not told to retry."""
    talk = started({"kind": "rate_limited", "reason": reason})
    limited = send(talk, key="k")
    assert (limited.status, limited.error["code"], limited.headers[REASON]) == (429, "rate_limit", reason)
    assert limited.headers["Stripe-Should-Retry"] == "false"
    assert (send(talk, key="k").status, counted(talk)) == (200, 1)


def test_a_lock_timeout_has_no_reason() -> None:
    """Without a reason the 429 is a lock timeout that may be retried."""
    talk = started({"kind": "rate_limited", "reason": "none"})
    locked = send(talk)
    assert (locked.status, locked.error["code"], REASON in locked.headers) == (429, "lock_timeout", False)
    assert locked.headers["Stripe-Should-Retry"] == "true"
    assert send(talk).status == 200


def test_a_stored_lock_timeout_freezes_its_key() -> None:
    """Kept under its key, the 429 is all that the key answers; another key gets through."""
    talk = started({"kind": "rate_limited", "reason": "none", "stored": True})
    assert [send(talk, key="k").status for _ in range(3)] == [429, 429, 429]
    assert (send(talk, key="k2").status, counted(talk)) == (200, 1)


def test_a_conflict_on_v1_is_about_the_key() -> None:
    """A 409 says that the key is in use, and is kept by nobody."""
    talk = started({"kind": "conflict"})
    conflict = send(talk, key="k")
    assert (conflict.status, conflict.error["code"]) == (409, "idempotency_key_in_use")
    assert send(talk, key="k").status == 200


def test_a_slow_answer_occupies_lane_and_key() -> None:
    """The event is counted at once; until its answer leaves, its customer and its key are busy."""
    talk = started({"kind": "slow", "delay": "3s"})
    body = b"event_name=api_requests&payload[stripe_customer_id]=cus_A&payload[value]=1&identifier=x"
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "k"}
    slow = talk.stripe.answer(Call(method="POST", path=EVENTS, query="", headers=headers, body=body))
    assert (slow.status, slow.delay_seconds, slow.delivery) == (200, 3.0, Delivery.SENT)
    assert counted(talk) == 1
    assert (send(talk, key="k").status, send(talk, "y").status) == (409, 429)
    assert slow.hold is not None
    slow.hold.release()
    assert send(talk, "y").status == 200


def test_a_slow_answer_occupies_its_key_everywhere() -> None:
    """What is no meter event holds its key too while its answer is late."""
    talk = started({"kind": "slow", "delay": "3s", "on": "customers"})
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "k"}
    call = Call(method="POST", path="/v1/customers", query="", headers=headers, body=b"")
    slow = talk.stripe.answer(call)
    assert talk.stripe.answer(call).status == 409
    assert slow.hold is not None
    slow.hold.release()
    assert talk.stripe.answer(call).body == slow.body


def test_a_reset_comes_after_the_event_was_counted() -> None:
    """The answer is cut in its middle, and the event is counted."""
    talk = started({"kind": "reset"})
    assert (send(talk).delivery, counted(talk)) == (Delivery.CUT, 1)


def test_a_request_delivered_twice_under_its_key() -> None:
    """The second arrival is a replay of the first answer, which the client sees as its own."""
    talk = started({"kind": "delivered_twice"})
    first = send(talk, key="k")
    assert (first.status, "Idempotent-Replayed" in first.headers) == (200, False)
    assert talk.identifiers() == {"x": {"arrivals": 2, "counted": 1}}


def test_a_request_delivered_twice_without_a_name() -> None:
    """Without an identifier and without a key, what is delivered twice is counted twice."""
    talk = started({"kind": "delivered_twice"})
    assert (send(talk, None).status, counted(talk)) == (200, 2)


def test_a_request_delivered_twice_holds_its_lane_once() -> None:
    """Both arrivals come one after the other: nothing ran at the same time, and nothing stays occupied."""
    talk = started({"kind": "delivered_twice"})
    send(talk, key="k")
    assert talk.get("/_simulator/ledger").document["max_concurrency"] == 1
    assert send(talk, "y").status == 200


def test_lagging_summaries() -> None:
    """Summaries show an event later by the delay for as long as the fault is planned, and the log tells."""
    talk = started({"kind": "summaries_lag", "delay": "1m"})
    (meter,) = talk.get("/v1/billing/meters").document["data"]
    send(talk)

    def shown() -> float:
        """Return the total that the summary shows."""
        value: float = talk.summary(meter["id"], START, START + HOUR).document["data"][0]["aggregated_value"]
        return value

    assert shown() == 0.0
    talk.clock.advance(60)
    assert shown() == 1.0
    send(talk, "y")
    assert shown() == 1.0
    talk.call("DELETE", FAULTS)
    assert shown() == 2.0
    assert [entry["kind"] for entry in log(talk)] == ["summaries_lag"] * 3


def test_faults_of_reports_stand() -> None:
    """Late and partial reports hold for as long as they are planned; of several the worst counts."""
    talk = started(
        {"kind": "reports_late", "delay": "10s"},
        {"kind": "reports_late", "delay": "1h"},
        {"kind": "reports_partial", "samples": 3},
        {"kind": "reports_partial", "samples": 1},
    )
    book = talk.stripe.faults
    assert (book.report_delay(), book.report_samples(), book.summary_lag()) == (3600.0, 1, 0.0)
    talk.call("DELETE", FAULTS)
    assert (book.report_delay(), book.report_samples()) == (0.0, None)


def streaming(*faults: dict[str, object]) -> tuple[V2Conversation, str]:
    """Return a conversation with one sum meter, a plan of faults, and a stream session's token."""
    talk = V2Conversation()
    talk.meter()
    token = talk.session()
    assert talk.faults(*faults).status == 200
    return talk, token


def test_an_expired_session_stays_expired() -> None:
    """A stream call finds its session expired and nothing is counted; another session is not concerned."""
    talk, token = streaming({"kind": "session_expired"})
    assert talk.event().status == 200  # it strikes the stream alone
    other = talk.session()
    for _ in range(2):
        expired = talk.stream(token, v2_fields(customer="cus_B"))
        assert (expired.status, expired.error["code"]) == (401, "billing_meter_event_session_expired")
    assert talk.stream(other, v2_fields(customer="cus_C")).status == 200
    assert talk.counted() == {"cus_A": "1", "cus_C": "1"}
    assert [entry["kind"] for entry in log(talk)] == ["session_expired"]


def test_a_later_rejection_picks_its_events() -> None:
    """Of a batch those events are rejected later that the fault is meant for, under its code."""
    talk, token = streaming({"kind": "rejected_later", "customer": "cus_B", "code": "some_new_code"})
    events = [
        v2_fields(customer=who, identifier=f"{who}-{n}") for n, who in enumerate(("cus_A", *["cus_B"] * 2))
    ]
    assert talk.stream(token, *events).status == 200
    assert talk.counted() == {"cus_A": "1"}
    (entry,) = log(talk)
    assert (entry["identifier"], entry["customer"], entry["events"]) == ("cus_B-1", "cus_B", 3)
    (report,) = talk.reports()
    (error,) = report["data"]["reason"]["error_types"]
    assert (error["code"], error["error_count"]) == ("some_new_code", 2)


def test_a_later_rejection_looks_like_success() -> None:
    """On v1 and v2 the answer is the one of an event that counts; only the report tells."""
    talk = V2Conversation()
    talk.meter()
    talk.faults({"kind": "rejected_later", "times": 2})
    answers = [talk.event(identifier="a").document, talk.v2_event(identifier="b").document]
    assert [answer["identifier"] for answer in answers] == ["a", "b"]
    assert (talk.counted(), talk.event(identifier="a").status) == ({}, 200)
    (report,) = talk.reports()
    assert report["data"]["reason"]["error_count"] == 2


def test_late_and_partial_reports() -> None:
    """A report comes by its delay later, with so many samples; the count is whole, and the log tells."""
    talk, token = streaming(
        {"kind": "reports_late", "delay": "1h"}, {"kind": "reports_partial", "samples": 1}
    )
    talk.stream(token, *(v2_fields(event_name="unknown", identifier=f"x{number}") for number in range(4)))
    assert talk.reports() == []
    talk.clock.advance(HOUR)
    (report,) = talk.reports()
    (error,) = report["data"]["reason"]["error_types"]
    assert (error["error_count"], len(error["sample_errors"])) == (4, 1)
    assert {entry["kind"] for entry in log(talk)} == {"reports_late", "reports_partial"}


def test_a_conflict_on_v2_is_about_the_lane() -> None:
    """On v2 a conflict is a second call at once for one customer and meter."""
    talk, _ = streaming({"kind": "conflict"})
    conflict = talk.v2_event()
    assert (conflict.status, conflict.error["code"]) == (409, "too_many_concurrent_requests")
    assert talk.counted() == {}


@pytest.mark.parametrize("was_counted", [True, False])
def test_v2_keeps_no_failure(was_counted: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """On v2 a request whose key met a 500 is carried out again, whatever the plan says of keeping it."""
    talk, _ = streaming({"kind": "server_error", "stored": True, "counted": was_counted})
    failed = talk.v2_event(key="k", identifier="x")
    assert (failed.status, failed.error["type"]) == (500, "api_error")
    assert talk.v2_event(key="k", identifier="x").status == (400 if was_counted else 200)
    assert talk.counted() == {"cus_A": "1"}


@pytest.mark.parametrize(
    "body", ["[1]", '{"events": [1, null, {}]}', '{"events": {}}', '{"payload": 3}', "3"]
)
def test_odd_bodies_meet_faults(body: str) -> None:
    """A fault that picks its requests looks at bodies of any form without stumbling."""
    talk, _ = streaming({"kind": "reset", "customer": "cus_A"}, {"kind": "reset", "event_name": "x"})
    headers = {"Stripe-Version": VERSION}
    reply = talk.call("POST", V2_EVENTS, body=body.encode(), headers=headers)
    assert (reply.status, reply.delivery) == (400, Delivery.SENT)
