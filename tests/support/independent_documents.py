"""What the independent Stripe reads and writes: bodies of meter events, answers, reports and meters."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and a document; text is sent as HTML."""

    status: int
    document: Document | str
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(status: int, message: str, **more: str) -> Reply:
    """Return an error in Stripe's form."""
    return Reply(status, {"error": {"type": "invalid_request_error", "message": message, **more}})


def events_of(way: str, text: str) -> list[Document]:
    """Return the meter events in the body of a request."""
    if way == "stream":
        events: list[Document] = json.loads(text)["events"]
        assert 1 <= len(events) <= 100
        return events
    if way == "v2":
        return [json.loads(text)]
    event: Document = {"payload": {}}
    for name, value in parse_qsl(text):
        if name.startswith("payload["):
            event["payload"][name[8:-1]] = value
        else:
            event[name] = value
    return [event]


def taken(way: str, event: Document, now: float) -> Document:
    """Return the answer that takes a meter event."""
    if way == "v1":
        stamps: Document = {"timestamp": int(event["timestamp"]), "created": int(now)}
        return {**event, **stamps, "object": "billing.meter_event", "livemode": False}
    return {**event, "object": "v2.billing.meter_event", "livemode": False, "created": rfc_time(now)}


def report_of(number: int, event: Document, now: float) -> Document:
    """Return the event that reports a meter event of a customer who is not there."""
    code = "meter_event_customer_not_found"
    sample = {"error_message": "no such customer", "request": {"identifier": event["identifier"]}}
    errors = {"code": code, "error_count": 1, "sample_errors": [sample]}
    return {
        "id": f"evt_{number}",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "created": rfc_time(now),
        "livemode": False,
        "related_object": {"id": f"mtr_{event['event_name']}", "type": "billing.meter", "url": "/"},
        "data": {
            "developer_message_summary": "1 invalid event",
            "validation_start": rfc_time(now),
            "validation_end": rfc_time(now + 10),
            "reason": {"error_count": 1, "error_types": [errors]},
        },
    }


def meter_document(name: str, formula: str) -> Document:
    """Return a meter."""
    return {
        "id": f"mtr_{name}",
        "object": "billing.meter",
        "livemode": False,
        "status": "active",
        "display_name": name,
        "event_name": name,
        "event_time_window": None,
        "default_aggregation": {"formula": formula},
        "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        "value_settings": {"event_payload_key": "value"},
    }


def customer_of(event: Document) -> str:
    """Return whom a meter event names."""
    return str(event["payload"]["stripe_customer_id"])


def seconds_of(timestamp: object) -> int:
    """Return an instant in epoch seconds, given so or in RFC 3339."""
    text = str(timestamp)
    return int(text) if text.isdigit() else int(datetime.fromisoformat(text).timestamp())


def rfc_time(seconds: float) -> str:
    """Write epoch seconds in RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
