"""A proxy before the simulator that answers in its place: what no Stripe sends, but what stands between."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from support.lossy_proxy import LossyProxy
from support.scripted_server import Answer, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Meddling:
    """
    What is done to one exchange.

    Attributes:
        answer: What is sent back instead of the simulator's answer; None lets that through.
        carried_out: Whether the simulator gets the request all the same.
        change: Makes another answer of the simulator's.
        drip_seconds: How long to wait after each repetition of the answer's data.
    """

    answer: Answer | None = None
    carried_out: bool = False
    change: Callable[[bytes], bytes] | None = None
    drip_seconds: float = 0.0


Meddle = Callable[[Request], Meddling | None]


def lets_through(_request: Request) -> None:
    """Meddle with nothing."""


class MeddlingProxy(LossyProxy):
    """
    Forwards HTTP to a simulator, but for what it is told to meddle with.

    Attributes:
        meddle: Decides on each request; called from the proxy's thread.
        requests: What came, in order.
    """

    def __init__(self, target: str, meddle: Meddle = lets_through) -> None:
        super().__init__(target, lambda _number: None)
        self.meddle = meddle
        self.requests: list[Request] = []

    async def _forwarded(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        self.requests.append(request)
        meddling = self.meddle(request)
        if meddling is None:
            return await super()._forwarded(request, writer)
        if meddling.change is not None:
            writer.write(meddling.change(await self._asked(request)))
            await writer.drain()
            return True
        if meddling.carried_out or meddling.answer is None:
            await self._asked(request)
        reply = meddling.answer or Answer()
        for _ in range(reply.repeat):
            writer.write(reply.data)
            await writer.drain()
            await asyncio.sleep(meddling.drip_seconds)
        # A connection that ends without a word after a whole answer may be in use again by then.
        return reply.repeat == 1 and b"Content-Length" in reply.data
