"""The clock of a server that is no Stripe: its ``Date``, so that a month's end can be rehearsed."""

import contextlib
import http.client
from collections.abc import Callable
from urllib.parse import urlsplit

from meterledger.domain.instant import Instant
from meterledger.errors import StripeError, UsageError
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.http_date import parsed_date

_TIMEOUT_SECONDS = 10
_AGAIN_TIMEOUT_SECONDS = 2
_SILENCE_SECONDS = 0.25
"""After so long without an answer the server is asked again: its clock may run at any pace."""


class ServerClock:
    """
    Tells the latest time the server told; never goes back.

    Args:
        first: What it told first.
        ask: Asks it again; None if it does not tell for now.
        monotonic: Tells for how long nothing was heard, in seconds; without it, it is never asked again.
    """

    def __init__(
        self,
        first: Instant,
        ask: Callable[[], Instant | None] = lambda: None,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        self._now = first
        self._ask = ask
        self._monotonic = monotonic
        self._heard = monotonic() if monotonic else 0.0

    def __call__(self) -> Instant:
        """Return the server's time, exact to the second."""
        if self._monotonic and self._monotonic() - self._heard > _SILENCE_SECONDS:
            # A wait, or a process that was held: what may be sent again hangs on the time that it is now.
            self.note(self._ask() or self._now)
            self._heard = self._monotonic()
        return self._now

    def note(self, date: Instant) -> None:
        """
        Take over the time of an answer.

        After a silence it does not end it: whoever was held reads answers from before when it wakes up.
        """
        self._now = max(self._now, date)
        if self._monotonic and (now := self._monotonic()) - self._heard <= _SILENCE_SECONDS:
            self._heard = now


def read_server_clock(base: str, monotonic: Callable[[], float] | None = None) -> ServerClock:
    """
    Ask a server for its time; any answer will do.

    Args:
        base: Its address.
        monotonic: Where it is given, the server is asked again after a quarter of a second without an answer.

    Raises:
        UsageError: The host is Stripe's own.
        StripeError: It cannot be reached, or tells no time.
    """
    if StripeAccess(key="", mode="test", base=base).is_stripe:
        raise UsageError(
            "METERLEDGER_CLOCK=server is for a local simulator, not for Stripe",
            hint="unset METERLEDGER_CLOCK",
        )
    try:
        date = _asked(base, _TIMEOUT_SECONDS)
    except (OSError, http.client.HTTPException) as error:
        raise StripeError(
            f"{base} cannot be reached to ask its time (METERLEDGER_CLOCK=server): {error}",
            hint="start it with `meterledger simulator`, or unset METERLEDGER_CLOCK",
        ) from error
    if date is None:
        raise StripeError(f"{base} tells no time: its answer has no Date")

    def ask_again() -> Instant | None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return _asked(base, _AGAIN_TIMEOUT_SECONDS)
        return None

    return ServerClock(date, ask_again, monotonic)


def _asked(base: str, timeout: float) -> Instant | None:
    parts = urlsplit(base)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", "/v1/account")
        return parsed_date(connection.getresponse().getheader("Date"))
    finally:
        connection.close()
