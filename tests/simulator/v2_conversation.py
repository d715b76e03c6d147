"""What a test says to v2 of the simulated API: JSON bodies, versions, sessions and the stream."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from simulator.conversation import KEY, MINUTE, Conversation, Reply

V2_EVENTS = "/v2/billing/meter_events"
SESSIONS = "/v2/billing/meter_event_session"
STREAM = "/v2/billing/meter_event_stream"
V2_ADJUSTMENTS = "/v2/billing/meter_event_adjustments"
CORE_EVENTS = "/v2/core/events"
VERSION = "2026-10-28.endive"
REPORT_TYPES = {
    "types[0]": "v1.billing.meter.error_report_triggered",
    "types[1]": "v1.billing.meter.no_meter_found",
}


class V2Conversation(Conversation):
    """A conversation that can speak v2."""

    def v2(self, path: str, document: Any, **headers: str) -> Reply:
        """Send a JSON body with a version; a header's underscores are dashes, an empty one is left out."""
        sent = {"Stripe-Version": VERSION}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        sent = {name: value for name, value in sent.items() if value}
        return self.call("POST", path, body=json.dumps(document).encode(), headers=sent)

    def v2_event(self, value: Any = "1", *, key: str = "", **more: Any) -> Reply:
        """Send one event to the meter `api_requests`, or to the `event_name` given."""
        return self.v2(V2_EVENTS, v2_fields(value, **more), Idempotency_Key=key)

    def session(self, key: str = KEY) -> str:
        """Open a stream session and return its token."""
        reply = self.v2(SESSIONS, {}, Authorization=f"Bearer {key}")
        assert reply.status == 200, reply.document
        token: str = reply.document["authentication_token"]
        return token

    def stream(self, token: str, *events: Any, **headers: str) -> Reply:
        """Send a batch."""
        return self.v2(STREAM, {"events": list(events)}, Authorization=f"Bearer {token}", **headers)

    def core_events(self, **query: object) -> Reply:
        """List v2 events."""
        return self.get_v2(CORE_EVENTS, query)

    def get_v2(self, path: str, query: Mapping[str, object] | None = None) -> Reply:
        """Read something of v2, with a version."""
        return self.call("GET", path, query=urlencode(query or {}), headers={"Stripe-Version": VERSION})

    def reports(self) -> list[Any]:
        """Read the error reports of everything that failed by now, the newest first."""
        self.clock.advance(MINUTE)
        reply = self.core_events(**REPORT_TYPES)
        assert reply.status == 200, reply.document
        found: list[Any] = reply.document["data"]
        return found

    def counted(self) -> dict[str, str]:
        """Read the total of each customer that has usage."""
        usage = self.get("/_simulator/ledger").document["usage"]
        return {row["customer"]: row["total"] for row in usage}


def v2_fields(value: Any = "1", *, customer: Any = "cus_A", **more: Any) -> dict[str, Any]:
    """Return the body of one meter event."""
    payload = {"stripe_customer_id": customer, "value": value}
    kept = {name: text for name, text in payload.items() if text is not None}
    return {"event_name": "api_requests", "payload": kept, **more}
