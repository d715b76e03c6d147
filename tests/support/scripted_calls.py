"""A meter event to send to a scripted server, its right answer, and Stripe's way of refusing it."""

import asyncio
from typing import Any

from meterledger.domain.delivery import Outcome
from meterledger.domain.way import Way
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.gateway import open_gateway
from support.scripted_server import Answer, Request, ScriptedServer

KEY = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
NOW = 1_793_491_200_000_000
IDENTIFIER = "ml1-0123456789abcdef"
BODY: dict[str, Any] = {
    "event_name": "api_requests",
    "identifier": IDENTIFIER,
    "timestamp": 1_793_487_600,
    "payload": {"stripe_customer_id": "cus_Alpha", "value": "12.5"},
}
RIGHT: dict[str, Any] = {
    "object": "billing.meter_event",
    "created": 1_793_491_199,
    "event_name": "api_requests",
    "identifier": IDENTIFIER,
    "livemode": False,
    "payload": BODY["payload"],
    "timestamp": BODY["timestamp"],
}

V2_BODY: dict[str, Any] = {
    "event_name": "api_requests",
    "identifier": IDENTIFIER,
    "timestamp": "2026-10-31T23:00:00Z",
    "payload": {"stripe_customer_id": "cus_Alpha", "value": "12"},
}
V2_RIGHT: dict[str, Any] = {
    "object": "v2.billing.meter_event",
    "created": "2026-10-31T23:59:59.000Z",
    "livemode": False,
    **V2_BODY,
}

HTML = b"<html><body><h1>Bad things</h1></body></html>"


def error(kind: str | None = "invalid_request_error", **fields: str) -> dict[str, object]:
    """Return Stripe's envelope of an error."""
    return {"error": {**({"type": kind} if kind else {}), **fields}}


def run_send(
    script: list[Answer],
    body: dict[str, Any] | None = None,
    access: StripeAccess | None = None,
    *,
    way: Way = Way.V1,
) -> tuple[Outcome, list[Request]]:
    """Send one meter event to a scripted server; return the outcome and what the server got."""

    async def sent() -> tuple[Outcome, list[Request]]:
        async with ScriptedServer(script) as server:
            there = access or StripeAccess(key=KEY, mode="test", base=server.url)
            async with open_gateway(there, lambda: NOW, concurrency=4, on_date=ignore_date) as gateway:
                if way is Way.V2:
                    outcome = await gateway.send_v2(body or V2_BODY, IDENTIFIER)
                else:
                    outcome = await gateway.send(body or BODY, IDENTIFIER)
            return outcome, server.requests

    return asyncio.run(sent())


def ignore_date(_date: int) -> None:
    """Hear the time and do nothing with it."""
