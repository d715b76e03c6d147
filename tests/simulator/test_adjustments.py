"""Canceling events, through v1 and v2."""

from typing import Any, Literal

import pytest

from meterledger.simulator.metering.usage import Span
from meterledger.simulator.rules import Readings, Rules
from simulator.conversation import DAY, HOUR, MINUTE, START, Reply
from simulator.v2_conversation import V2_ADJUSTMENTS, V2Conversation, v2_fields

V1_ADJUSTMENTS = "/v1/billing/meter_event_adjustments"

Version = Literal["v1", "v2"]
VERSIONS = ("v1", "v2")


def cancel(talk: V2Conversation, version: str, identifier: str, event_name: str = "api_requests") -> Reply:
    """Cancel an event."""
    if version == "v1":
        fields = {"event_name": event_name, "type": "cancel", "cancel[identifier]": identifier}
        return talk.post(V1_ADJUSTMENTS, fields)
    document = {"event_name": event_name, "type": "cancel", "cancel": {"identifier": identifier}}
    return talk.v2(V2_ADJUSTMENTS, document)


@pytest.fixture
def talk() -> V2Conversation:
    """Return a conversation with one sum meter."""
    talk = V2Conversation()
    talk.meter()
    return talk


def test_adjustments_have_stripes_shape(talk: V2Conversation) -> None:
    """v1's has no id, v2's has one and tells when it was made."""
    talk.event(identifier="x")
    talk.event(identifier="y")
    v1 = {
        "object": "billing.meter_event_adjustment",
        "livemode": False,
        "status": "pending",
        "event_name": "api_requests",
        "type": "cancel",
        "cancel": {"identifier": "x"},
    }
    assert cancel(talk, "v1", "x").document == v1
    assert cancel(talk, "v2", "y").document == v1 | {
        "object": "v2.billing.meter_event_adjustment",
        "id": "mtr_event_adj_test_1",
        "created": "2026-11-01T00:00:00.000Z",
        "cancel": {"identifier": "y"},
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_a_canceled_event_counts_no_longer(version: Version) -> None:
    """It leaves the total and the summaries, whichever way it came; the others stay."""
    talk = V2Conversation()
    meter_id = talk.meter()
    talk.event("5", identifier="v1")
    talk.v2_event("7", identifier="v2")
    talk.stream(talk.session(), v2_fields("11", identifier="stream"))
    left = 23.0
    for identifier, value in (("v1", 5), ("v2", 7), ("stream", 11)):
        assert talk.summary(meter_id, START, START + HOUR).document["data"][0]["aggregated_value"] == left
        assert cancel(talk, version, identifier).status == 200
        left -= value
    assert talk.summary(meter_id, START, START + HOUR).document["data"][0]["aggregated_value"] == 0
    assert talk.counted() == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_only_within_24_hours_of_receipt(talk: V2Conversation, version: Version) -> None:
    """A second before 24 hours from receipt it can be canceled, at 24 hours no longer."""
    for identifier in ("x", "y"):
        talk.event(identifier=identifier, timestamp=START - 10 * DAY)
    talk.clock.advance(DAY - 1)
    assert cancel(talk, version, "x").status == 200
    talk.clock.advance(1)
    assert cancel(talk, version, "y").status == 400


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("identifier", "event_name"),
    [("none", "api_requests"), ("x", "other"), ("x", "nothing"), ("twice", "api_requests")],
)
def test_what_cannot_be_canceled(
    talk: V2Conversation, version: Version, identifier: str, event_name: str
) -> None:
    """Unknown identifiers, those of another meter and those canceled before are refused."""
    talk.meter("other")
    talk.event(identifier="x")
    talk.event(identifier="twice")
    cancel(talk, "v1", "twice")
    reply = cancel(talk, version, identifier, event_name)
    assert reply.status == 400
    if version == "v1":
        assert (reply.error["param"], reply.error["type"]) == ("cancel[identifier]", "invalid_request_error")
    else:
        assert (set(reply.error), reply.error["code"]) == (
            {"code", "message"},
            "invalid_cancel_configuration",
        )


@pytest.mark.parametrize(
    "change",
    [
        {"type": None},
        {"type": "cancel_range"},
        {"cancel": None},
        {"cancel": "x"},
        {"cancel": {}},
        {"cancel": {"identifier": "x", "more": 1}},
        {"cancel": {"identifier": "x" * 101}},
        {"event_name": None},
        {"more": 1},
    ],
)
def test_malformed_adjustments(talk: V2Conversation, change: dict[str, Any]) -> None:
    """Everything is required, and nothing else is taken."""
    talk.event(identifier="x")
    whole = {"event_name": "api_requests", "type": "cancel", "cancel": {"identifier": "x"}}
    document = {name: value for name, value in (whole | change).items() if value is not None}
    assert talk.v2(V2_ADJUSTMENTS, document).status == 400
    assert talk.counted() == {"cus_A": "1"}


@pytest.mark.parametrize("missing", ["event_name", "type", "cancel[identifier]"])
def test_v1_requires_everything(talk: V2Conversation, missing: str) -> None:
    """Without one of its parameters the adjustment is refused by its name."""
    fields = {"event_name": "api_requests", "type": "cancel", "cancel[identifier]": "x"}
    reply = talk.post(V1_ADJUSTMENTS, {**fields, missing: None})
    assert (reply.error["code"], reply.error["param"]) == ("parameter_missing", missing)


@pytest.mark.parametrize(("reading", "status"), [("reserved", 400), ("free", 200)])
def test_a_canceled_identifier(reading: Literal["reserved", "free"], status: int) -> None:
    """Whether it can be used again is a reading; if so, the later event can be canceled too."""
    talk = V2Conversation(Rules(readings=Readings(canceled_identifier=reading)))
    talk.meter()
    talk.event(identifier="x")
    cancel(talk, "v2", "x")
    assert talk.event("3", identifier="x").status == status
    assert talk.counted() == ({"cus_A": "3"} if status == 200 else {})
    assert cancel(talk, "v1", "x").status == status
    assert talk.counted() == {}


def test_one_identifier_in_several_ways() -> None:
    """Where ways have identifiers of their own, the latest event of the event name is canceled."""
    talk = V2Conversation(Rules(readings=Readings(identifier_scope="way")))
    talk.meter()
    talk.meter("other")
    talk.v2_event("5", identifier="x")
    talk.event("7", identifier="x")
    talk.stream(talk.session(), v2_fields("11", identifier="x", event_name="other", customer="cus_B"))
    assert cancel(talk, "v1", "x").status == 200
    assert talk.counted() == {"cus_A": "5", "cus_B": "11"}


def test_event_names_can_have_identifiers_of_their_own() -> None:
    """Where identifiers are unique in an event name, only that one's event is canceled."""
    talk = V2Conversation(Rules(readings=Readings(identifier_scope="event-name")))
    talk.meter()
    talk.meter("other")
    talk.event("5", identifier="x")
    talk.event("7", identifier="x", event_name="other", customer="cus_B")
    assert cancel(talk, "v2", "x").status == 200
    assert talk.counted() == {"cus_B": "7"}


def test_summaries_follow_with_their_lag() -> None:
    """The cancelation shows as late as an event does; what is counted follows at once."""
    talk = V2Conversation(Rules(lag_seconds=60))
    meter_id = talk.meter()

    def shown() -> float:
        """Read the summary."""
        value: float = talk.summary(meter_id, START, START + HOUR).document["data"][0]["aggregated_value"]
        return value

    talk.event("5", identifier="x")
    talk.event("7", identifier="y")
    talk.clock.advance(5 * MINUTE)
    assert shown() == 12
    cancel(talk, "v1", "x")
    assert talk.counted() == {"cus_A": "7"}
    talk.clock.advance(59)
    assert shown() == 12
    cancel(talk, "v1", "y")
    talk.clock.advance(1)
    assert shown() == 7
    talk.clock.advance(59)
    assert shown() == 0


def test_what_was_measured_before_stays(talk: V2Conversation) -> None:
    """An invoice's measure up to an instant before the cancelation still counts the event."""
    talk.event("5", identifier="x")
    talk.clock.advance(HOUR)
    cancel(talk, "v2", "x")
    (account,) = talk.stripe.accounts.all()
    (series,) = account.usage.series()
    span = Span(START, START + DAY)
    assert account.usage.measure(series, span, received_until=START + MINUTE).total == 5
    assert account.usage.measure(series, span, received_until=START + 2 * HOUR).total == 0


def test_an_archived_meters_event_can_be_canceled(talk: V2Conversation) -> None:
    """Deactivating a meter does not keep its events from being canceled."""
    talk.event(identifier="x")
    talk.post("/v1/billing/meters/mtr_test_1/deactivate", {})
    assert cancel(talk, "v1", "x").status == 200


def test_v1_replays_its_refusals(talk: V2Conversation) -> None:
    """Under a v1 key the first answer stands; under a v2 key a refusal runs again."""
    fields = {"event_name": "api_requests", "type": "cancel", "cancel[identifier]": "x"}
    document = {"event_name": "api_requests", "type": "cancel", "cancel": {"identifier": "x"}}
    assert talk.post(V1_ADJUSTMENTS, fields, Idempotency_Key="k").status == 400
    assert talk.v2(V2_ADJUSTMENTS, document, Idempotency_Key="k").status == 400
    talk.event(identifier="x")
    assert talk.post(V1_ADJUSTMENTS, fields, Idempotency_Key="k").status == 400
    first = talk.v2(V2_ADJUSTMENTS, document, Idempotency_Key="k")
    assert talk.v2(V2_ADJUSTMENTS, document, Idempotency_Key="k").body == first.body
    assert first.status == 200
