"""Idempotency keys as Stripe's v1 API treats them."""

from typing import Literal

import pytest

from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.wire import Call
from meterledger.simulator.routes import METER_EVENTS, ROUTES
from meterledger.simulator.rules import Readings, Rules
from simulator.conversation import DAY, EVENTS, KEY, Conversation, event_fields


def started() -> Conversation:
    """Return a conversation with one sum meter."""
    talk = Conversation()
    talk.meter()
    return talk


def test_a_repeated_key_replays_the_first_answer() -> None:
    """The same request under the same key gets the same bytes and is counted once."""
    talk = started()
    first = talk.post(EVENTS, event_fields(identifier="x"), Idempotency_Key="k")
    talk.clock.advance(60)
    second = talk.post(EVENTS, event_fields(identifier="x"), Idempotency_Key="k")
    assert (second.status, second.body) == (200, first.body)
    assert "Idempotent-Replayed" not in first.headers
    assert (second.headers["Idempotent-Replayed"], second.headers["Idempotency-Key"]) == ("true", "k")
    assert talk.identifiers() == {"x": {"arrivals": 2, "counted": 1}}


def test_the_order_of_parameters_does_not_matter() -> None:
    """A replay is recognised by its parameters, not by its bytes."""
    talk = started()
    fields = event_fields(identifier="x")
    talk.post(EVENTS, fields, Idempotency_Key="k")
    backwards = dict(reversed(fields.items()))
    assert talk.post(EVENTS, backwards, Idempotency_Key="k").headers["Idempotent-Replayed"] == "true"


def test_a_key_with_other_parameters_is_refused() -> None:
    """Another body, or another path, under a used key is an idempotency error."""
    talk = started()
    talk.post(EVENTS, event_fields(identifier="x"), Idempotency_Key="k")
    for path, fields in ((EVENTS, event_fields("2", identifier="x")), ("/v1/customers", {})):
        reply = talk.post(path, fields, Idempotency_Key="k")
        assert (reply.status, reply.error["type"]) == (400, "idempotency_error")
    assert talk.identifiers()["x"]["counted"] == 1


def test_keys_live_for_24_hours() -> None:
    """A second before 24 hours the answer is replayed, at 24 hours the request is carried out anew."""
    talk = started()
    talk.post(EVENTS, event_fields(identifier="x"), Idempotency_Key="k")
    talk.clock.advance(DAY - 1)
    assert talk.post(EVENTS, event_fields(identifier="x"), Idempotency_Key="k").status == 200
    talk.clock.advance(1)
    again = talk.post(EVENTS, event_fields(identifier="x"), Idempotency_Key="k")
    assert "Idempotent-Replayed" not in again.headers
    assert talk.identifiers()["x"]["counted"] == 2


def test_a_bad_parameter_does_not_freeze_its_key() -> None:
    """A refusal that the parameters alone explain is not stored: the mended request is carried out."""
    talk = started()
    assert talk.post(EVENTS, event_fields("bad"), Idempotency_Key="k").status == 400
    assert talk.post(EVENTS, event_fields("1", identifier="x"), Idempotency_Key="k").status == 200


@pytest.mark.parametrize(("reading", "second"), [("executed", 400), ("none", 200)])
def test_a_refusal_from_execution_is_stored_in_one_reading(
    reading: Literal["executed", "none"], second: int
) -> None:
    """An unknown meter's refusal answers its key again even when the meter is there, or is made anew."""
    talk = Conversation(Rules(readings=Readings(stored_refusals=reading)))
    assert talk.post(EVENTS, event_fields(identifier="x"), Idempotency_Key="k").status == 400
    talk.meter()
    again = talk.post(EVENTS, event_fields(identifier="x"), Idempotency_Key="k")
    assert again.status == second
    assert ("Idempotent-Replayed" in again.headers) == (second == 400)


def test_a_failure_is_stored_and_replayed() -> None:
    """A 500 is JSON without a traceback, and keeps answering its key even when the fault is gone."""
    faulty = True

    def endpoint(request: ApiRequest) -> dict[str, object]:
        if faulty:
            raise RuntimeError("secret detail")
        return ROUTES["POST", METER_EVENTS](request)

    talk = Conversation(routes={**ROUTES, ("POST", METER_EVENTS): endpoint})
    talk.meter()
    first = talk.post(EVENTS, event_fields(identifier="x"), Idempotency_Key="k")
    assert (first.status, first.error["type"]) == (500, "api_error")
    assert first.headers["Stripe-Should-Retry"] == "true"
    assert b"secret" not in first.body
    faulty = False
    replayed = talk.post(EVENTS, event_fields(identifier="x"), Idempotency_Key="k")
    assert (replayed.status, replayed.body) == (500, first.body)
    assert replayed.headers["Stripe-Should-Retry"] == "true"
    assert talk.post(EVENTS, event_fields(identifier="x"), Idempotency_Key="k:2").status == 200


def test_a_key_in_use_is_a_conflict() -> None:
    """While the first answer has not left, a second request under its key gets 409 and may retry."""
    talk = started()
    body = b"event_name=api_requests&payload[stripe_customer_id]=cus_A&payload[value]=1"
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "k"}
    call = Call(method="POST", path=EVENTS, query="", headers=headers, body=body)
    first, second = talk.stripe.answer(call), talk.stripe.answer(call)
    assert (first.status, second.status) == (200, 409)
    assert second.headers["Stripe-Should-Retry"] == "true"
    assert b"idempotency_key_in_use" in second.body
    for answer in (first, second):
        assert answer.hold is not None
        answer.hold.release()
    assert talk.stripe.answer(call).status == 200


def test_reads_ignore_keys_and_long_keys_are_refused() -> None:
    """A GET under a used key is simply answered; a key over 255 characters is refused."""
    talk = started()
    talk.post("/v1/customers", {}, Idempotency_Key="k")
    assert talk.call("GET", "/v1/customers", headers={"Idempotency-Key": "k"}).status == 200
    assert talk.post("/v1/customers", {}, Idempotency_Key="k" * 256).status == 400


def test_expired_keys_are_forgotten() -> None:
    """The store holds no answer older than 24 hours once it is asked again."""
    talk = started()
    for number in range(50):
        talk.post(EVENTS, event_fields(), Idempotency_Key=f"k{number}")
    talk.clock.advance(DAY)
    talk.post(EVENTS, event_fields(), Idempotency_Key="last")
    (account,) = talk.stripe.accounts.all()
    assert [len(generation) for generation in account.v1_keys._generations] == [1]
