"""Answers that are lost, cut or late, on a real connection."""

import asyncio
import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web

from meterledger.simulator.server import make_server
from simulator.conversation import EVENTS, KEY, Conversation, event_fields
from simulator.faulty_conversation import counted, started

READ_SECONDS = 10.0
SHUTDOWN_SECONDS = 0.1


class Connection:
    """One connection to the simulator that reads bytes one by one, as they come."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=READ_SECONDS)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def send(self, identifier: str = "x") -> None:
        """Send one event under a key of its own."""
        body = urlencode(event_fields(identifier=identifier)).encode()
        head = (
            f"POST {EVENTS} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
            f"Idempotency-Key: {identifier}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body)

    def body_length(self) -> int:
        """Read the headers of an answer and return how long its body is said to be."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self._socket.recv(1)
            assert byte, head
            head += byte
        (line,) = (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(line.split(b":")[1])

    def answer(self) -> Any:
        """Read a whole answer."""
        length, body = self.body_length(), b""
        while len(body) < length:
            body += self._socket.recv(length - len(body))
        return json.loads(body)

    def rest(self) -> tuple[bytes, str]:
        """Read to the end, and tell how it came: closed or reset."""
        found = b""
        try:
            while byte := self._socket.recv(1):
                found += byte
        except ConnectionResetError:
            return found, "reset"
        return found, "closed"


Visitor = Callable[[Connection], Any]


def visit(talk: Conversation, visitor: Visitor, latency_seconds: float = 0.0) -> Any:
    """Serve a conversation's Stripe on a free port while one connection is open, and return what it found."""

    async def main() -> Any:
        runner = web.ServerRunner(
            make_server(talk.stripe, latency_seconds), shutdown_timeout=SHUTDOWN_SECONDS
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            return await asyncio.to_thread(visit_at, runner.addresses[0][1])
        finally:
            await runner.cleanup()

    def visit_at(port: int) -> Any:
        connection = Connection(port)
        try:
            return visitor(connection)
        finally:
            connection.close()

    return asyncio.run(main())


def sent_and_read(connection: Connection) -> tuple[bytes, str]:
    """Send an event and read whatever comes."""
    connection.send()
    return connection.rest()


@pytest.mark.parametrize(("kind", "events"), [("answer_lost", 1), ("request_lost", 0)])
def test_a_dropped_answer_is_not_a_byte(kind: str, events: int) -> None:
    """The connection is closed in good order before any byte, with the event counted or not."""
    talk = started({"kind": kind})
    assert visit(talk, sent_and_read) == (b"", "closed")
    assert counted(talk) == events


def test_a_cut_answer_ends_in_a_reset() -> None:
    """The headers come whole, then half of the body that they promise, then a reset."""
    talk = started({"kind": "reset"})

    def visitor(connection: Connection) -> tuple[int, bytes, str]:
        """Read the headers, then the rest."""
        connection.send()
        return connection.body_length(), *connection.rest()

    promised, body, end = visit(talk, visitor)
    assert (len(body), end) == (promised // 2, "reset")
    assert body.startswith(b'{"object":"billing.meter_event"')
    assert counted(talk) == 1


def test_a_fault_hurts_its_own_answer_only() -> None:
    """A fault on the second request of a connection leaves the first one's answer alone."""
    talk = started({"kind": "answer_lost", "skip": 1})

    def visitor(connection: Connection) -> tuple[str, bytes]:
        """Send twice."""
        connection.send("a")
        first = connection.answer()
        connection.send("b")
        return first["identifier"], connection.rest()[0]

    assert visit(talk, visitor) == ("a", b"")
    assert counted(talk) == 2


@pytest.mark.parametrize(("delay", "latency", "least"), [("200ms", 0.0, 0.2), ("100ms", 0.1, 0.2)])
def test_a_slow_answer_is_held_back(delay: str, latency: float, least: float) -> None:
    """The whole answer comes, after the delay and the latency."""
    talk = started({"kind": "slow", "delay": delay})

    def visitor(connection: Connection) -> tuple[float, str]:
        """Send and take the time."""
        before = time.monotonic()
        connection.send()
        answer = connection.answer()
        return time.monotonic() - before, answer["identifier"]

    seconds, identifier = visit(talk, visitor, latency)
    assert seconds >= least
    assert identifier == "x"


def test_a_late_answer_is_let_go_at_the_end() -> None:
    """When the simulator ends, it does not wait for a slow answer, and what this occupied is free."""
    talk = started({"kind": "slow", "delay": "1h", "skip": 1})

    def visitor(connection: Connection) -> str:
        """Send twice; the first answer shows that the connection works, the second never comes."""
        connection.send("a")
        connection.answer()
        connection.send("b")
        while counted(talk) < 2:
            time.sleep(0.001)
        return "left"

    assert visit(talk, visitor) == "left"
    (account,) = talk.stripe.accounts.all()
    (lane,) = account.concurrency.highest
    assert not account.concurrency.is_open(lane)
