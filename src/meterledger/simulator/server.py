"""The rim towards the network: aiohttp requests in, answers out."""

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from meterledger.simulator.local_stripe import LocalStripe
from meterledger.simulator.protocol.api_errors import CONTENT_TOO_LARGE, ApiError
from meterledger.simulator.protocol.wire import Answer, Call, Delivery

# Clients that die in mid-request are what the simulator is for, and no news: aiohttp's own words on them go
# nowhere. Failures of the simulator itself are logged by `local_stripe`.
_SILENT = logging.getLogger("meterledger.simulator.http")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

_CONTINUE = "100-continue"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def make_handler(stripe: LocalStripe, latency_seconds: float) -> Handler:
    """
    Return the function that answers every request.

    Args:
        stripe: What answers.
        latency_seconds: How long a meter event's answer is held back, in real time, after it was counted.
    """
    return partial(_handle, stripe, latency_seconds)


def make_server(stripe: LocalStripe, latency_seconds: float) -> web.Server:
    """Return a server for the simulated Stripe that is not listening yet; the latency is in seconds."""
    return web.Server(make_handler(stripe, latency_seconds), access_log=None, logger=_SILENT)


async def _handle(
    stripe: LocalStripe, latency_seconds: float, request: web.BaseRequest
) -> web.StreamResponse:
    path, _, query = request.raw_path.partition("?")
    call = Call(method=request.method, path=path, query=query, headers=request.headers, body=b"")
    try:
        answer = stripe.answer(replace(call, body=await _body(request)))
    except ApiError as refusal:
        answer = stripe.refuse_unread(call, refusal)
        answer.headers["Connection"] = "close"  # what is left of the body would stand before the next request
    try:
        if answer.hold is not None:
            await _wait(latency_seconds)
        if answer.delay_seconds:
            await asyncio.sleep(answer.delay_seconds)
    finally:
        if answer.hold is not None:
            answer.hold.release()
    return await _delivered(request, answer)


async def _delivered(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    match answer.delivery:
        case Delivery.DROPPED:
            if request.transport is not None:
                request.transport.close()  # what is written to it from here on goes nowhere
        case Delivery.CUT:
            return await _cut(request, answer)
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


async def _cut(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """Send the headers and half of the body, then reset the connection."""
    length = {"Content-Length": str(len(answer.body))}
    response = web.StreamResponse(status=answer.status, headers={**answer.headers, **length})
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    transport = request.transport
    if transport is not None:
        # Without lingering, closing sends a reset in place of an orderly end.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return response


async def _body(request: web.BaseRequest) -> bytes:
    if not request.body_exists:
        return b""
    if request.headers.get("Expect", "").lower() == _CONTINUE and request.version == HttpVersion11:
        # The client waits for this before it sends a body; curl does, with a long one, for a second.
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer proper has not begun
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:  # over aiohttp's own limit of 1 MiB
        raise ApiError("The request's body is too large.", status=CONTENT_TOO_LARGE) from None
    except (web.RequestPayloadError, HttpProcessingError):  # such as gzip that is none
        raise ApiError("The request's body could not be read.") from None


async def _wait(latency_seconds: float) -> None:
    if latency_seconds:
        await asyncio.sleep(latency_seconds)
        return
    # Two rounds of the event loop let a request that has already arrived be read, so that calls which
    # overlap are seen as such even when answers take no time.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
