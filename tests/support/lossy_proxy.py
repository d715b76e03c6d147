"""A TCP proxy that loses answers: requests reach the other side, and nobody hears what came of them."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from support.scripted_server import Request, read_request

START_SECONDS = 10.0


class Loss(StrEnum):
    """What is lost of one exchange."""

    REQUEST = "request"
    """It never reaches the other side."""
    ANSWER = "answer"
    """The whole answer, after the other side has done its work."""
    END_OF_ANSWER = "end_of_answer"
    """The answer's last bytes."""


class LossyProxy:
    """
    Forwards HTTP to another base address from a thread of its own, and loses what it is told to.

    Args:
        target: The base address it stands before.
        loss: Decides by the number of a POST, from 1, what is lost of it.

    Attributes:
        url: Its own base address, once it was entered.
        lost: What was lost, in order.
    """

    def __init__(self, target: str, loss: Callable[[int], Loss | None]) -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._loss = loss
        self._posts = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.lost: list[Loss] = []

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_SECONDS)

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._forwarded(await read_request(reader), writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _forwarded(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        loss = None
        if request.method == "POST":
            self._posts += 1
            loss = self._loss(self._posts)
        if loss is not None:
            self.lost.append(loss)
        if loss is Loss.REQUEST:
            return False
        reply = await self._asked(request)
        if loss is Loss.ANSWER:
            return False
        writer.write(reply[:-12] if loss is Loss.END_OF_ANSWER else reply)
        await writer.drain()
        return loss is None

    async def _asked(self, request: Request) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            lines = [f"{request.method} {request.target} HTTP/1.1"]
            lines += [f"{name}: {value}" for name, value in request.headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + request.body)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            return head + await reader.readexactly(length)
        finally:
            writer.close()
