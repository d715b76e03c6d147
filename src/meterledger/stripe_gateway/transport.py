"""
HTTP for Stripe's SDK over aiohttp: bounded in time and size, never redirected, aware of ``Date``.

The SDK's own aiohttp client follows redirects and reads without a limit; a redirected POST would be
sent twice, and to whom the answer names.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import stripe
from yarl import URL

from meterledger.domain.instant import Instant
from meterledger.stripe_gateway.http_date import parsed_date
from meterledger.stripe_gateway.wire import LAST_ANSWER, PREPARED_BODY, WireAnswer

CONNECT_TIMEOUT_SECONDS = 10
TOTAL_TIMEOUT_SECONDS = 30
MAX_ANSWER_BYTES = 4 * 1024 * 1024
SESSION_PATH = "/v2/billing/meter_event_session"
_OK = 200


class Transport(stripe.HTTPClient):
    """
    One aiohttp session for one run; tells ``on_date`` the time of every answer.

    Attributes:
        requests: How many were made, answered or not.
    """

    name = "aiohttp"

    def __init__(self, *, concurrency: int, through_proxy: bool, on_date: Callable[[Instant], None]) -> None:
        super().__init__()
        self._concurrency = concurrency
        self._through_proxy = through_proxy
        self._on_date = on_date
        self.requests = 0
        self._open_session: aiohttp.ClientSession | None = None
        self._sdk_headers: dict[str, Mapping[str, str]] = {}
        """URL -> the headers that the SDK last gave a request whose body was prepared."""

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request of the SDK, read its whole answer; APIConnectionError if that fails."""
        prepared = PREPARED_BODY.get()
        if prepared is not None:
            self._sdk_headers[url] = headers
        answer = await self._exchange(method, url, headers, post_data if prepared is None else prepared)
        seen = LAST_ANSWER.get()
        if seen is None:
            return answer.body, answer.status, answer.headers
        seen.append(answer)
        # The task judges the answer itself. The SDK would take it apart too, and log it if told to: it need
        # not, and a session's token it must not.
        return b"{}", _OK, {}

    async def post_again(self, url: str, body: bytes, idempotency_key: str, secret: str) -> WireAnswer | None:
        """
        Post as the SDK did before, but for the body and its key; None if it did not with this secret.

        What the SDK adds to a request is the same each time, and costs it as much as sending does.
        """
        headers = self._sdk_headers.get(url)
        if headers is None or headers.get("Authorization") != f"Bearer {secret}":
            return None
        return await self._exchange("post", url, {**headers, "Idempotency-Key": idempotency_key}, body)

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], data: Any) -> WireAnswer:
        """Send one request, read its whole answer; every failure is an APIConnectionError with its cause."""
        self.requests += 1
        try:
            proxy, told = _proxy_of_environment(url) if self._through_proxy else (None, {})
            # Without TLS there is no tunnel, and the proxy reads the request itself.
            all_headers = {**headers, **told} if url.startswith("http:") else headers
            async with self._session().request(
                method,
                url,
                headers=all_headers,
                data=data,
                allow_redirects=False,
                proxy=proxy,
                proxy_headers=told,
            ) as answer:
                self._note_date(answer.headers.get("Date"))
                body = await answer.content.read(MAX_ANSWER_BYTES)
                while not answer.content.at_eof() and len(body) < MAX_ANSWER_BYTES:
                    body += await answer.content.read(MAX_ANSWER_BYTES - len(body))
                return WireAnswer(status=answer.status, headers=_lower(answer.headers), body=body)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            silence = f"no answer within {TOTAL_TIMEOUT_SECONDS} seconds"
            message = str(error) or (silence if isinstance(error, TimeoutError) else type(error).__name__)
            raise stripe.APIConnectionError(message) from error  # type: ignore[no-untyped-call] # the SDK's

    def sleep_async(self, secs: float) -> Awaitable[None]:
        """Wait; the SDK asks for it, though its retries are off."""
        return asyncio.sleep(secs)

    async def close_async(self) -> None:
        """Close every connection."""
        if self._open_session:
            await self._open_session.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._open_session is None:
            self._open_session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._concurrency),
                timeout=aiohttp.ClientTimeout(total=TOTAL_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._open_session

    def _note_date(self, date: str | None) -> None:
        instant = parsed_date(date)
        if instant is not None:
            self._on_date(instant)


def _proxy_of_environment(url: str) -> tuple[URL | None, dict[str, str]]:
    """
    Return the proxy that the environment names, if it does, and the header with its credentials.

    aiohttp's own ``trust_env`` reads ~/.netrc too, where a default entry contradicts our key.
    """
    parts = urlsplit(url)
    address = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    if not address:
        return None, {}
    proxy = URL(address)
    if not proxy.user:
        return proxy, {}
    credentials = aiohttp.encode_basic_auth(proxy.user, proxy.password or "")
    return proxy.with_user(None), {"Proxy-Authorization": credentials}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
