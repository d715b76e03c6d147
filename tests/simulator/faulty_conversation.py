"""Conversations in which things go wrong on purpose, and what they are asked."""

from typing import Any

from simulator.conversation import EVENTS, Conversation, Reply, event_fields

FAULTS = "/_simulator/faults"
REASON = "Stripe-Rate-Limited-Reason"


def started(*faults: dict[str, object]) -> Conversation:
    """Return a conversation with one sum meter and a plan of faults."""
    talk = Conversation()
    talk.meter()
    assert talk.faults(*faults).status == 200
    return talk


def send(talk: Conversation, identifier: str | None = "x", key: str | None = None) -> Reply:
    """Send an event, under an idempotency key if one is given."""
    headers = {} if key is None else {"Idempotency_Key": key}
    return talk.post(EVENTS, event_fields(identifier=identifier), **headers)


def counted(talk: Conversation) -> int:
    """Return how many events were counted."""
    return sum(row["events"] for row in talk.get("/_simulator/ledger").document["usage"])


def log(talk: Conversation) -> Any:
    """Return the log of strikes, the newest first."""
    return talk.get(FAULTS).document["log"]
