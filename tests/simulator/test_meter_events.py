"""What is checked about a meter event before it is counted."""

import pytest

from meterledger.simulator.rules import Rules
from simulator.conversation import DAY, EVENTS, MINUTE, START, Conversation, event_fields


@pytest.fixture
def talk() -> Conversation:
    """Return a conversation with one sum meter, `api_requests`."""
    conversation = Conversation()
    conversation.meter()
    return conversation


def test_a_good_event_is_echoed_and_counted(talk: Conversation) -> None:
    """The answer holds exactly what Stripe's has, with the payload as it was sent."""
    reply = talk.event("12.5", identifier="ml-1", timestamp=START - 60, **{"payload[region]": "eu"})
    assert reply.status == 200
    assert reply.document == {
        "object": "billing.meter_event",
        "created": START,
        "event_name": "api_requests",
        "identifier": "ml-1",
        "livemode": False,
        "payload": {"stripe_customer_id": "cus_A", "value": "12.5", "region": "eu"},
        "timestamp": START - 60,
    }
    usage = talk.get("/_simulator/ledger").document["usage"]
    assert [(row["customer"], row["events"], row["total"]) for row in usage] == [("cus_A", 1, "12.5")]


def test_literal_and_encoded_brackets_are_the_same(talk: Conversation) -> None:
    """The SDK sends brackets literally in bodies, curl may encode them."""
    literal = b"event_name=api_requests&payload[stripe_customer_id]=cus_A&payload[value]=1"
    for body in (literal, literal.replace(b"[", b"%5B").replace(b"]", b"%5D")):
        assert talk.call("POST", EVENTS, body=body).status == 200


def test_an_absent_identifier_is_generated(talk: Conversation) -> None:
    """Two events without an identifier both count, under different ones."""
    first, second = talk.event(), talk.event()
    assert first.document["identifier"] != second.document["identifier"]
    assert len(talk.identifiers()) == 2


@pytest.mark.parametrize("value", ["0", "1", "-3", "12.5", "0.10", "999999999999999", "-0.123456789012345"])
def test_values_that_are_taken(talk: Conversation, value: str) -> None:
    """Plain decimals of either sign and up to 15 digits are taken."""
    assert talk.event(value).status == 200


@pytest.mark.parametrize(
    "value",
    [
        "1e3",
        "1E-7",
        "abc",
        "1.",
        ".5",
        "+1",
        " 1",
        "1,5",
        "NaN",
        "Infinity",
        "0x1",
        "--1",
        "\u0661",
        "0." + "0" * 600,
    ],
)
def test_values_that_are_no_plain_decimal(talk: Conversation, value: str) -> None:
    """Exponents, signs in front and everything else that is no plain decimal is refused, and not counted."""
    reply = talk.event(value)
    assert (reply.status, reply.error["param"]) == (400, "payload[value]")
    assert talk.get("/_simulator/ledger").document["usage"] == []


@pytest.mark.parametrize("value", ["1000000000000000", "1.000000000000000", "-1234567.890123456"])
def test_more_than_15_digits_are_refused(talk: Conversation, value: str) -> None:
    """Digits count wherever the point stands, zeros at the end included."""
    reply = talk.event(value)
    assert reply.status == 400
    assert reply.error["message"].endswith(f"at most 15 digits. Received {value}.")


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"event_name": None}, "parameter_missing", "event_name"),
        ({"event_name": ""}, "parameter_invalid_empty", "event_name"),
        ({"event_name": "x" * 101}, None, "event_name"),
        ({"identifier": "x" * 101}, None, "identifier"),
        ({"identifier": ""}, "parameter_invalid_empty", "identifier"),
        ({"timestamp": "now"}, "parameter_invalid_integer", "timestamp"),
        ({"timestamp": f"{START}.0"}, "parameter_invalid_integer", "timestamp"),
        ({"quantity": "1"}, "parameter_unknown", "quantity"),
        ({"payload": "x"}, None, "payload"),
        ({"payload[a][b]": "x"}, None, "payload[a][b]"),
        ({"payload[]": "x"}, None, "payload[]"),
        ({"payload[value]": None, "payload[stripe_customer_id]": None}, "parameter_missing", "payload"),
        ({"payload[value]": None}, None, "payload"),
        ({"payload[stripe_customer_id]": None}, None, "payload"),
    ],
)
def test_bad_parameters(talk: Conversation, change: dict[str, object], code: str | None, param: str) -> None:
    """Each kind of bad parameter is a 400 that names it, and counts nothing."""
    reply = talk.post(EVENTS, {**event_fields(), **change})
    assert (reply.status, reply.error.get("code"), reply.error["param"]) == (400, code, param)
    assert reply.error["type"] == "invalid_request_error"
    assert talk.get("/_simulator/ledger").document["usage"] == []


def test_no_active_meter(talk: Conversation) -> None:
    """An unknown event name is refused in Stripe's words."""
    reply = talk.event(event_name="api_request")
    assert reply.status == 400
    assert reply.error["message"] == 'No active meter found for event name "api_request".'


def test_a_meters_own_keys_are_used(talk: Conversation) -> None:
    """A meter with other payload keys looks for those."""
    mapping = {"customer_mapping[type]": "by_id", "customer_mapping[event_payload_key]": "who"}
    talk.meter("tokens", **mapping, **{"value_settings[event_payload_key]": "many"})
    assert (
        talk.event(event_name="tokens").error["message"] == "Customer mapping key who not found in payload."
    )
    assert talk.event(event_name="tokens", **{"payload[who]": "cus_B", "payload[many]": "4"}).status == 200
    assert talk.get("/_simulator/ledger").document["usage"][0]["customer"] == "cus_B"


def test_customers(talk: Conversation) -> None:
    """Any cus_ id is taken by default; other ids are unknown customers."""
    assert talk.event(customer="cus_whoever").status == 200
    for customer in ("acct_1", "cus_", "A"):
        reply = talk.event(customer=customer)
        assert (reply.status, reply.error["code"]) == (400, "resource_missing")
        assert reply.error["message"] == f"No such customer: '{customer}'"


def test_known_customers_only() -> None:
    """With the option on, only customers made here are taken."""
    talk = Conversation(Rules(known_customers_only=True))
    talk.meter()
    made = talk.post("/v1/customers", {"name": "Alpha"}).document["id"]
    assert talk.event(customer=made).status == 200
    assert talk.event(customer="cus_A").error["code"] == "resource_missing"


@pytest.mark.parametrize(
    ("offset", "status"),
    [(-35 * DAY, 200), (-35 * DAY - 1, 400), (5 * MINUTE, 200), (5 * MINUTE + 1, 400), (0, 200)],
)
def test_the_window_for_timestamps(talk: Conversation, offset: int, status: int) -> None:
    """35 days back and 5 minutes ahead are in, a second more is out."""
    assert talk.event(timestamp=START + offset).status == status


def test_the_window_follows_the_clock(talk: Conversation) -> None:
    """What was too far ahead is taken when the clock has come near, and too old when it has gone far."""
    assert talk.event(timestamp=START + 10 * DAY).status == 400
    talk.clock.advance(10 * DAY)
    assert talk.event(timestamp=START + 10 * DAY).status == 200
    talk.clock.advance(35 * DAY + 1)
    refused = talk.event(timestamp=START + 10 * DAY)
    assert refused.error["param"] == "timestamp"
    assert str(START + 10 * DAY + 1) in refused.error["message"]


def test_a_used_identifier_is_refused_without_a_code(talk: Conversation) -> None:
    """The refusal has the text and the header that clients rest on, no code, and counts nothing more."""
    talk.event("1", identifier="x")
    reply = talk.event("2", identifier="x", customer="cus_B")
    assert reply.status == 400
    assert reply.document == {
        "error": {"type": "invalid_request_error", "message": "An event already exists with identifier x."}
    }
    assert reply.headers["Stripe-Should-Retry"] == "false"
    assert talk.identifiers() == {"x": {"arrivals": 2, "counted": 1}}


def test_an_identifier_is_unique_across_meters(talk: Conversation) -> None:
    """Uniqueness is per account: another meter cannot reuse an identifier."""
    talk.meter("tokens")
    talk.event(identifier="x")
    assert talk.event(identifier="x", event_name="tokens").status == 400


def test_an_identifier_is_free_again_after_24_hours(talk: Conversation) -> None:
    """At 23:59:59 a resend is refused, at 24:00:01 it is counted a second time and reserved anew."""
    talk.event("5", identifier="x")
    talk.clock.advance(DAY - 1)
    assert talk.event("5", identifier="x").status == 400
    talk.clock.advance(2)
    assert talk.event("5", identifier="x").status == 200
    assert talk.identifiers() == {"x": {"arrivals": 3, "counted": 2}}
    assert talk.get("/_simulator/ledger").document["usage"][0]["total"] == "10"
    talk.clock.advance(DAY - 1)
    assert talk.event("5", identifier="x").status == 400


def test_a_refused_event_reserves_nothing(talk: Conversation) -> None:
    """An identifier whose event was refused can still be used."""
    assert talk.event("bad", identifier="x").status == 400
    assert talk.event("1", identifier="x").status == 200


def test_a_rate_limit() -> None:
    """Calls beyond the limit get 429 with the limiter's reason, until real time has passed."""
    talk = Conversation(Rules(events_per_second=2))
    talk.meter()
    replies = [talk.event(identifier=f"x{number}") for number in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert replies[2].error["code"] == "rate_limit"
    assert replies[2].headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    talk.clock.advance(DAY)
    assert talk.event(identifier="x2").status == 429
    talk.stopwatch.seconds += 0.5
    assert talk.event(identifier="x2").status == 200
    assert talk.identifiers()["x2"] == {"arrivals": 3, "counted": 1}


@pytest.mark.parametrize("body", [b"\xff\xfe", b"event_name=%FF", b"&".join(b"a=1" for _ in range(2000))])
def test_bodies_that_cannot_be_read(talk: Conversation, body: bytes) -> None:
    """Bytes that are no text and endless forms are a 400, not a failure."""
    assert talk.call("POST", EVENTS, body=body).status == 400


def test_no_customer_has_an_id_of_more_than_5000_characters() -> None:
    """Usage of a longer one is refused, with what was sent cut short, and nothing of it is kept."""
    talk = Conversation()
    talk.meter()
    assert talk.event(customer="cus_" + "x" * 4996).status == 200
    refused = talk.event(customer="cus_" + "x" * 900_000)
    assert (refused.status, len(refused.error["message"]) < 5100) == (400, True)
    lanes = talk.get("/_simulator/ledger").document["concurrency"]
    assert [len(lane["customer"]) for lane in lanes] == [5000]
