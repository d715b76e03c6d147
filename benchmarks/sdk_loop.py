"""
The peer of push: meter events of a CSV file sent by Stripe's SDK alone, and nothing kept.

As many calls at once as push makes, with an identifier and an idempotency key given, so that it sends
what push sends. Prints the events and the seconds of sending, without start-up and reading, as JSON.
"""

import argparse
import asyncio
import csv
import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import stripe


def read_bodies(file: Path, event_name: str) -> list[dict[str, Any]]:
    """Return the request bodies for the rows of a file."""
    with file.open(newline="", encoding="utf-8") as rows:
        return [
            {
                "event_name": event_name,
                "identifier": f"loop-{row['request_id']}",
                "timestamp": int(datetime.fromisoformat(row["event_time"]).timestamp()),
                "payload": {"stripe_customer_id": row["customer_id"], "value": row["quantity"]},
            }
            for row in csv.DictReader(rows)
        ]


async def send(client: stripe.StripeClient, bodies: Iterator[dict[str, Any]]) -> None:
    """Send one body after the other until none is left; several of these share the bodies."""
    for body in bodies:
        await client.v1.billing.meter_events.create_async(
            body,  # type: ignore[arg-type] # a plain dict of the same shape
            {"idempotency_key": body["identifier"]},
        )


async def main() -> None:
    """Send a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--base", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--event-name", required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    options = parser.parse_args()
    bodies = read_bodies(options.file, options.event_name)
    stripe.enable_telemetry = False
    transport = stripe.AIOHTTPClient()
    client = stripe.StripeClient(
        options.key, base_addresses={"api": options.base}, http_client=transport, max_network_retries=0
    )
    begun = time.perf_counter()
    left = iter(bodies)
    await asyncio.gather(*(send(client, left) for _ in range(options.concurrency)))
    seconds = time.perf_counter() - begun
    await transport.close_async()  # type: ignore[no-untyped-call] # the SDK's
    print(json.dumps({"events": len(bodies), "seconds": seconds}))


if __name__ == "__main__":
    asyncio.run(main())
