"""
Sends meter events as fast as a server takes them: raw HTTP/1.1 over kept connections, no SDK.

Every request is made before the first is sent, with the headers that Stripe's SDK sends, an identifier and
another idempotency key. Over v1 a customer has one call in flight at most, as Stripe wants it. Prints the
events and the seconds of sending as JSON.
"""

import argparse
import asyncio
import json
import random
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Sequence
from functools import partial
from typing import Literal
from urllib.parse import urlencode, urlsplit
from uuid import UUID

Way = Literal["v1", "stream"]

CUSTOMERS = 1_000
EVENTS_TO_A_BATCH = 100
HTTP_PORT = 80
STREAM = "/v2/billing/meter_event_stream"
SESSION = "/v2/billing/meter_event_session"
V1 = "/v1/billing/meter_events"
VERSION = "2026-10-28.endive"
OK = 200

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_CLIENT = json.dumps({"bindings_version": "16.1.0", "lang": "python", "httplib": "raw"})


class Requests:
    """
    Makes requests for one server.

    Args:
        base: The server's URL.
        event_name: The meter that all events are for.
        seed: The same seed gives the same identifiers and keys.
    """

    def __init__(self, base: str, event_name: str, seed: int) -> None:
        self._host = urlsplit(base).netloc
        self._event_name = event_name
        self._now = int(time.time())  # noqa: TID251 - as the server's clock, which follows the real one
        self._chance = random.Random(seed)  # noqa: S311 - test data

    def v1(self, number: int, customer: str, key: str) -> bytes:
        """Return the call that sends one event."""
        form = {
            "event_name": self._event_name,
            "payload[stripe_customer_id]": customer,
            "payload[value]": str(1 + number % 100),
            "identifier": self._word(),
            "timestamp": str(self._now),
        }
        body = urlencode(form).encode()
        return self._request(V1, key, "application/x-www-form-urlencoded", body)

    def stream(self, events: Sequence[tuple[int, str]], token: str) -> bytes:
        """Return the call that sends a batch, given as numbers and customers."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self._now))
        batch = [
            {
                "event_name": self._event_name,
                "identifier": self._word(),
                "timestamp": at,
                "payload": {"stripe_customer_id": customer, "value": str(1 + number % 100)},
            }
            for number, customer in events
        ]
        return self._request(STREAM, token, "application/json", json.dumps({"events": batch}).encode())

    def _request(self, path: str, key: str, content_type: str, body: bytes) -> bytes:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nUser-Agent: Stripe/v1 PythonBindings/16.1.0\r\n"
            f"Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n"
            f"X-Stripe-Client-User-Agent: {_CLIENT}\r\nAuthorization: Bearer {key}\r\n"
            f"Idempotency-Key: {self._word()}\r\nStripe-Version: {VERSION}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _word(self) -> str:
        return str(UUID(int=self._chance.getrandbits(128)))


class Connection(asyncio.Protocol):
    """
    Sends one request after the other, each when the one before it was answered.

    Args:
        requests: What to send.
        done: Told the number of each status once everything was answered, or why it was not.
    """

    def __init__(self, requests: deque[bytes], done: asyncio.Future[Counter[int]]) -> None:
        self._requests = requests
        self._done = done
        self._statuses: Counter[int] = Counter()
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Send the next request once an answer is complete."""
        received = self._received = self._received + data
        head_end = received.find(_HEAD_END)
        if head_end < 0:
            return
        head = received[:head_end].lower()
        length = head.index(_LENGTH) + len(_LENGTH)
        end = head.find(b"\r\n", length)
        size = int(head[length : None if end < 0 else end])
        if len(received) >= head_end + len(_HEAD_END) + size:
            self._received = b""
            self._statuses[int(head[9:12])] += 1
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the server hung up, if there was more to send."""
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server hung up"))

    def _send(self) -> None:
        assert self._transport is not None
        if self._requests:
            self._transport.write(self._requests.popleft())
            return
        self._done.set_result(self._statuses)
        self._transport.close()


async def send(base: str, queues: Sequence[deque[bytes]]) -> tuple[Counter[int], float]:
    """Send every queue over a connection of its own; return the number of each status, and the seconds."""
    address, loop = urlsplit(base), asyncio.get_running_loop()
    ends = [loop.create_future() for _ in queues]
    begun = time.perf_counter()
    for queue, end in zip(queues, ends, strict=True):
        make = partial(Connection, queue, end)
        await loop.create_connection(make, address.hostname or "", address.port or HTTP_PORT)
    statuses = sum(await asyncio.gather(*ends), Counter[int]())
    return statuses, time.perf_counter() - begun


def open_session(base: str, key: str) -> str:
    """Return the token of a new stream session."""
    headers = {
        "Authorization": f"Bearer {key}",
        "Stripe-Version": VERSION,
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(base + SESSION, data=b"{}", headers=headers)  # noqa: S310 - a loopback URL
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - as above
        token: str = json.load(answer)["authentication_token"]
    return token


def prepare(options: argparse.Namespace) -> list[deque[bytes]]:
    """Make every request, in a queue for each connection."""
    requests = Requests(options.base, options.event_name, options.seed)
    queues: list[deque[bytes]] = [deque() for _ in range(options.connections)]
    customers = [f"cus_{number:08d}" for number in range(CUSTOMERS)]
    numbered = [(number, customers[number % len(customers)]) for number in range(options.events)]
    if options.way == "stream":
        token = open_session(options.base, options.key)
        for first in range(0, len(numbered), EVENTS_TO_A_BATCH):
            batch = requests.stream(numbered[first : first + EVENTS_TO_A_BATCH], token)
            queues[first // EVENTS_TO_A_BATCH % len(queues)].append(batch)
        return queues
    for number, customer in numbered:
        # A customer's events all take one connection, so that no two of them are in flight at once.
        queues[number % len(customers) % len(queues)].append(requests.v1(number, customer, options.key))
    return queues


def main() -> None:
    """Send what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=("v1", "stream"))
    parser.add_argument("--base", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--event-name", required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    queues = prepare(options)
    statuses, seconds = asyncio.run(send(options.base, queues))
    refused = {status: number for status, number in statuses.items() if status != OK}
    print(json.dumps({"events": options.events, "seconds": seconds, "refused": refused}))


if __name__ == "__main__":
    main()
