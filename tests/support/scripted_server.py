"""A raw TCP server that answers as it is told: what no well-behaved HTTP server would send."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

MAX_REQUESTS = 500
"""More than any test sends: a client that runs wild is cut off."""

DATE = "Sun, 01 Nov 2026 00:00:00 GMT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What is sent back: the bytes, and what happens to the connection then.

    Attributes:
        data: Everything that is written, head and body; nothing for no answer.
        repeat: How often the data is written.
        reset: End the connection by a reset, not in good order.
        hangs: Keep the connection open in silence.
    """

    data: bytes = b""
    repeat: int = 1
    reset: bool = False
    hangs: bool = False


def answer(
    status: int,
    body: object,
    headers: Mapping[str, str] | None = None,
    *,
    content_type: str = "application/json",
) -> Answer:
    """Return a whole HTTP answer; a body that is no bytes is written as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = {
        "Content-Type": content_type,
        "Content-Length": str(len(content)),
        "Date": DATE,
        "Request-Id": "req_scripted",
        **(headers or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return Answer(data=f"HTTP/1.1 {status} Scripted\r\n{lines}\r\n".encode() + content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came over the wire; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    header_order: Sequence[str]
    body: bytes


@dataclass(slots=True)
class ScriptedServer:
    """
    Answers the requests it gets with the answers it was given, in order; the last one stays.

    Attributes:
        answers: What to send back.
        requests: What came.
        port: Where it listens on 127.0.0.1, once it was entered.
    """

    answers: Sequence[Answer]
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening, and drop what hangs."""
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while len(self.requests) < MAX_REQUESTS and await self._served(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await read_request(reader)
        self.requests.append(request)
        reply = self.answers[min(len(self.requests), len(self.answers)) - 1]
        for _ in range(reply.repeat):
            writer.write(reply.data)
            await writer.drain()
        if reply.hangs:
            await asyncio.Event().wait()
        if reply.reset:
            transport = writer.transport
            assert isinstance(transport, asyncio.WriteTransport)
            if reply.data:
                await asyncio.sleep(0)
            transport.abort()
            return False
        return b"Content-Length" in reply.data


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read one request; IncompleteReadError where the client has gone."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    pairs = [line.split(": ", 1) for line in lines]
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(
        method=method,
        target=target,
        headers=headers,
        header_order=[name for name, _ in pairs],
        body=body,
    )
