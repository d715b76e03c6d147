"""Talks to a simulated Stripe in this process: no network, a clock that stands still, answers decoded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.faults.plan import NO_FAULTS, FaultPlan
from meterledger.simulator.local_stripe import LocalStripe
from meterledger.simulator.protocol.api_request import Endpoint
from meterledger.simulator.protocol.wire import Call, Delivery
from meterledger.simulator.routes import ROUTES
from meterledger.simulator.rules import Rules
from meterledger.simulator.state.keeping import State

START = 1_793_491_200  # 2026-11-01T00:00:00Z, a Sunday and the start of an hour and a day
KEY = "sk_test_conversation"
EVENTS = "/v1/billing/meter_events"
METERS = "/v1/billing/meters"
DAY = 86_400
HOUR = 3600
MINUTE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One decoded answer."""

    status: int
    document: Any
    headers: dict[str, str]
    body: bytes
    delivery: Delivery = Delivery.SENT
    delay_seconds: float = 0.0

    @property
    def error(self) -> Any:
        """The error of a refusal."""
        return self.document["error"]


class Stopwatch:
    """A real clock that only moves when a test moves it; seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.seconds


class Conversation:
    """A simulated Stripe and the calls a test makes to it."""

    def __init__(
        self,
        rules: Rules | None = None,
        routes: Mapping[tuple[str, str], Endpoint] = ROUTES,
        plan: FaultPlan = NO_FAULTS,
        *,
        clock: SimulatedClock | None = None,
        state: State | None = None,
    ) -> None:
        self.stopwatch = Stopwatch()
        self.clock = clock or SimulatedClock(lambda: float(START), start=START, frozen=True)
        self.stripe = LocalStripe(
            self.clock, rules or Rules(), self.stopwatch, routes, plan=plan, state=state
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Make one call, authorised unless its headers say otherwise, and end it at once."""
        sent = {"Authorization": f"Bearer {KEY}", **(headers or {})}
        answer = self.stripe.answer(Call(method=method, path=path, query=query, headers=sent, body=body))
        if answer.hold is not None:
            answer.hold.release()
        document = json.loads(answer.body)
        return Reply(
            status=answer.status,
            document=document,
            headers=answer.headers,
            body=answer.body,
            delivery=answer.delivery,
            delay_seconds=answer.delay_seconds,
        )

    def get(self, path: str, **query: object) -> Reply:
        """Read something."""
        return self.call("GET", path, query=urlencode(query))

    def post(self, path: str, fields: Mapping[str, object], **headers: str) -> Reply:
        """Send a form without the fields that are None; a header's underscores are dashes."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {name: value for name, value in fields.items() if value is not None}
        return self.call("POST", path, body=urlencode(given).encode(), headers=sent)

    def control(self, document: dict[str, object]) -> Reply:
        """Turn the clock through its page."""
        return self.call("POST", "/_simulator/clock", body=json.dumps(document).encode())

    def faults(self, *faults: dict[str, object], **more: object) -> Reply:
        """Put a plan of faults in force."""
        body = json.dumps({"faults": faults, **more}).encode()
        return self.call("POST", "/_simulator/faults", body=body)

    def meter(self, event_name: str = "api_requests", formula: str = "sum", **more: object) -> str:
        """Make a meter and return its id."""
        fields = {
            "display_name": "A meter",
            "event_name": event_name,
            "default_aggregation[formula]": formula,
        }
        reply = self.post(METERS, {**fields, **more})
        assert reply.status == 200, reply.document
        meter_id: str = reply.document["id"]
        return meter_id

    def event(self, value: str | None = "1", *, customer: str = "cus_A", **more: object) -> Reply:
        """Send one event to the meter `api_requests`, or to the `event_name` given."""
        return self.post(EVENTS, event_fields(value, customer=customer, **more))

    def summary(self, meter_id: str, start: int, end: int, **more: object) -> Reply:
        """Read the summaries of customer cus_A."""
        path = f"{METERS}/{meter_id}/event_summaries"
        return self.get(path, **{"customer": "cus_A", "start_time": start, "end_time": end, **more})

    def identifiers(self) -> dict[str, dict[str, int]]:
        """Read how often each identifier arrived and counted."""
        found: dict[str, dict[str, int]] = self.get("/_simulator/ledger", identifiers=1).document[
            "identifiers"
        ]
        return found


def event_fields(value: str | None = "1", *, customer: str = "cus_A", **more: object) -> dict[str, object]:
    """Return the form of one meter event."""
    named = {"event_name": "api_requests", "payload[stripe_customer_id]": customer, "payload[value]": value}
    return {**named, **more}
