"""The simulator behind a real port, in this process."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import ClientSession, web

from meterledger.simulator.rules import Readings, Rules
from meterledger.simulator.server import make_server
from simulator.conversation import EVENTS, KEY, Conversation, event_fields

AUTHORIZED = {"Authorization": f"Bearer {KEY}"}

Visit = Callable[[ClientSession, str], Awaitable[Any]]


def serve(talk: Conversation, visit: Visit, latency_seconds: float = 0.0) -> Any:
    """Serve the conversation's Stripe on a free port while a visit goes on, and return what it found."""

    async def main() -> Any:
        """Serve, visit, end."""
        runner = web.ServerRunner(make_server(talk.stripe, latency_seconds))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with ClientSession() as session:
                return await visit(session, f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()

    return asyncio.run(main())


async def send(session: ClientSession, url: str, customer: str, identifier: str) -> int:
    """Send one event under its own idempotency key and return the status."""
    fields = event_fields(customer=customer, identifier=identifier)
    headers = {**AUTHORIZED, "Idempotency-Key": identifier}
    async with session.post(url + EVENTS, data=fields, headers=headers) as response:
        await response.read()
        return response.status


def test_overlapping_calls_are_seen() -> None:
    """With latency, five calls at once on one customer are five deep, and one on another is one."""
    talk = Conversation(Rules(readings=Readings(concurrent_calls="taken")))
    talk.meter()

    async def visit(session: ClientSession, url: str) -> list[int]:
        """Make the calls."""
        customers = ["cus_A"] * 5 + ["cus_B"]
        return await asyncio.gather(*(send(session, url, who, f"x{n}") for n, who in enumerate(customers)))

    assert serve(talk, visit, 0.1) == [200] * 6
    page = talk.get("/_simulator/ledger").document
    assert {row["customer"]: row["highest"] for row in page["concurrency"]} == {"cus_A": 5, "cus_B": 1}


def test_calls_in_a_row_do_not_overlap() -> None:
    """A client that waits for each answer is never seen as concurrent."""
    talk = Conversation()
    talk.meter()

    async def visit(session: ClientSession, url: str) -> list[int]:
        """Make the calls."""
        return [await send(session, url, "cus_A", f"x{number}") for number in range(20)]

    assert serve(talk, visit) == [200] * 20
    assert talk.get("/_simulator/ledger").document["max_concurrency"] == 1


def test_headers_travel_and_a_huge_body_is_refused_in_json() -> None:
    """What the core answers is what the client gets, Date included; over 1 MiB the answer is still JSON."""
    talk = Conversation()

    async def visit(session: ClientSession, url: str) -> tuple[str, str, int, Any]:
        """Make the calls."""
        async with session.get(url + "/v1/account", headers=AUTHORIZED) as good:
            date, kind = good.headers["Date"], good.headers["Content-Type"]
        async with session.post(
            url + EVENTS, data=io.BytesIO(b"x" * (2 * 1024 * 1024)), headers=AUTHORIZED
        ) as large:
            return date, kind, large.status, json.loads(await large.read())

    date, kind, status, document = serve(talk, visit)
    assert (date, kind) == ("Sun, 01 Nov 2026 00:00:00 GMT", "application/json")
    assert (status, document["error"]["type"]) == (413, "invalid_request_error")


def test_the_query_reaches_the_core_encoded_or_not() -> None:
    """Percent-encoded brackets in a query and in a path's id are understood."""
    talk = Conversation()
    meter_id = talk.meter()

    async def visit(session: ClientSession, url: str) -> list[int]:
        """Make the calls."""
        found = []
        for path in ("/v1/billing/meters?expand%5B0%5D=data&limit=1", f"/v1/billing/meters/{meter_id}"):
            async with session.get(url + path, headers=AUTHORIZED) as response:
                found.append(response.status)
        return found

    assert serve(talk, visit) == [200, 200]


def test_a_body_that_cannot_be_unpacked_is_refused_in_json() -> None:
    """A body that is not in the encoding it claims is a 400 in Stripe's shape, and the next one is read."""

    async def visit(session: ClientSession, url: str) -> list[tuple[int, str]]:
        """Send what is no gzip, what is no deflate, and what is plain."""
        found = []
        for encoding in ("gzip", "deflate", "identity"):
            headers = {**AUTHORIZED, "Content-Encoding": encoding}
            sent = session.post(url + "/v1/customers", data=b"name=Alpha", headers=headers, compress=False)
            async with sent as response:
                document = await response.json()
                found.append((response.status, document.get("error", document).get("message", "fine")))
        return found

    unread = (400, "The request's body could not be read.")
    assert serve(Conversation(), visit) == [unread, unread, (200, "fine")]


def test_a_client_that_waits_for_leave_to_send_is_told_to_go_on() -> None:
    """`Expect: 100-continue` is answered before the body comes, as curl wants it for a long one."""

    async def visit(_: ClientSession, url: str) -> tuple[bytes, bytes]:
        """Send the head, wait for the leave, send the body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = f"POST /v1/customers HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
        writer.write(head.encode() + b"Content-Length: 6\r\nExpect: 100-continue\r\n\r\n")
        leave = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        writer.write(b"name=A")
        answer = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        return leave, answer

    assert serve(Conversation(), visit) == (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n")
