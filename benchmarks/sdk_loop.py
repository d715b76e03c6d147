"""
The peer of push: meter events of a CSV file sent by Stripe's SDK alone, and nothing kept.

As many calls at once as push makes, with an identifier and an idempotency key given, so that it sends
what push sends: one by one over v1, or in batches of 100 over the stream. The plain way is what most
programs do: `stripe.billing.MeterEvent.create`, one call after the other, with the SDK as it comes.
Prints the events and the seconds of sending, without start-up and reading, as JSON.
"""

import argparse
import asyncio
import csv
import json
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import stripe

_BATCH = 100


def read_bodies(file: Path, event_name: str, *, v2: bool) -> list[dict[str, Any]]:
    """Return the request bodies for the rows of a file."""
    with file.open(newline="", encoding="utf-8") as rows:
        return [
            {
                "event_name": event_name,
                "identifier": f"loop-{row['request_id']}",
                "timestamp": row["event_time"] if v2 else _seconds(row["event_time"]),
                "payload": {"stripe_customer_id": row["customer_id"], "value": row["quantity"]},
            }
            for row in csv.DictReader(rows)
        ]


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


async def send(client: stripe.StripeClient, bodies: Iterator[dict[str, Any]]) -> None:
    """Send one body after the other until none is left; several of these share the bodies."""
    for body in bodies:
        await client.v1.billing.meter_events.create_async(
            body,  # type: ignore[arg-type] # a plain dict of the same shape
            {"idempotency_key": body["identifier"]},
        )


async def stream(client: stripe.StripeClient, token: str, bodies: Iterator[dict[str, Any]]) -> None:
    """Send one batch after the other until nothing is left; several of these share the bodies."""
    while batch := list(islice(bodies, _BATCH)):
        await client.v2.billing.meter_event_stream.create_async(
            {"events": batch},  # type: ignore[typeddict-item] # plain dicts of the same shape
            {"api_key": token, "idempotency_key": batch[0]["identifier"]},
        )


async def send_all(options: argparse.Namespace, bodies: list[dict[str, Any]]) -> None:
    """Send with as many calls at once as told."""
    transport = stripe.AIOHTTPClient()
    client = stripe.StripeClient(
        options.key,
        base_addresses={"api": options.base, "meter_events": options.base},
        http_client=transport,
        max_network_retries=0,
    )
    left = iter(bodies)
    if options.way == "stream":
        session = await client.v2.billing.meter_event_session.create_async()
        token = session.authentication_token
        await asyncio.gather(*(stream(client, token, left) for _ in range(options.concurrency)))
    else:
        await asyncio.gather(*(send(client, left) for _ in range(options.concurrency)))
    await transport.close_async()  # type: ignore[no-untyped-call] # the SDK's


def send_plainly(options: argparse.Namespace, bodies: list[dict[str, Any]]) -> None:
    """Send one call after the other."""
    stripe.api_key, stripe.api_base = options.key, options.base
    for body in bodies:
        stripe.billing.MeterEvent.create(**body)


def main() -> None:
    """Send a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--base", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--event-name", required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--way", choices=("v1", "stream", "plain"), default="v1")
    options = parser.parse_args()
    bodies = read_bodies(options.file, options.event_name, v2=options.way == "stream")
    stripe.enable_telemetry = False
    begun = time.perf_counter()
    if options.way == "plain":
        send_plainly(options, bodies)
    else:
        asyncio.run(send_all(options, bodies))
    seconds = time.perf_counter() - begun
    print(json.dumps({"events": len(bodies), "seconds": seconds}))


if __name__ == "__main__":
    main()
