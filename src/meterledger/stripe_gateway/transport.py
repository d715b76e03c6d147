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

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
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
                data=PREPARED_BODY.get() or post_data,
                allow_redirects=False,
                proxy=proxy,
                proxy_headers=told,
            ) as answer:
                self._note_date(answer.headers.get("Date"))
                body = await answer.content.read(MAX_ANSWER_BYTES)
                while not answer.content.at_eof() and len(body) < MAX_ANSWER_BYTES:
                    body += await answer.content.read(MAX_ANSWER_BYTES - len(body))
                self._leave(WireAnswer(status=answer.status, headers=_lower(answer.headers), body=body))
                if url.endswith(SESSION_PATH):
                    body = b"{}"  # the SDK logs bodies if told to: it need not know the token
                return body, answer.status, answer.headers
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            message = str(error) or type(error).__name__
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

    def _leave(self, answer: WireAnswer) -> None:
        seen = LAST_ANSWER.get()
        if seen is not None:
            seen.append(answer)

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
