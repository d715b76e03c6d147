"""The clock of a server that is no Stripe: its ``Date``, so that a month's end can be rehearsed."""

import http.client
from urllib.parse import urlsplit

from meterledger.domain.instant import Instant
from meterledger.errors import StripeError, UsageError
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.http_date import parsed_date

_TIMEOUT_SECONDS = 10


class ServerClock:
    """Tells the latest time the server told; never goes back."""

    def __init__(self, first: Instant, base: str = "") -> None:
        self._now = first
        self._base = base

    def __call__(self) -> Instant:
        """Return the server's time, exact to the second."""
        return self._now

    def ask(self) -> None:
        """Ask the server again, after a time in which nothing was sent; raises StripeError."""
        self.note(server_time(self._base))

    def note(self, date: Instant) -> None:
        """Take over the time of an answer."""
        self._now = max(self._now, date)


def read_server_clock(base: str) -> ServerClock:
    """
    Return a clock that begins with a server's time.

    Raises:
        UsageError: The host is Stripe's own.
        StripeError: It cannot be reached, or tells no time.
    """
    return ServerClock(server_time(base), base)


def server_time(base: str) -> Instant:
    """
    Ask a server for its time; any answer will do.

    Raises:
        UsageError: The host is Stripe's own.
        StripeError: It cannot be reached, or tells no time.
    """
    if StripeAccess(key="", mode="test", base=base).is_stripe:
        raise UsageError(
            "METERLEDGER_CLOCK=server is for a local simulator, not for Stripe",
            hint="unset METERLEDGER_CLOCK",
        )
    parts = urlsplit(base)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/v1/account")
        date = parsed_date(connection.getresponse().getheader("Date"))
    except (OSError, http.client.HTTPException) as error:
        raise StripeError(
            f"{base} cannot be reached to ask its time (METERLEDGER_CLOCK=server): {error}",
            hint="start it with `meterledger simulator`, or unset METERLEDGER_CLOCK",
        ) from error
    finally:
        connection.close()
    if date is None:
        raise StripeError(f"{base} tells no time: its answer has no Date")
    return date
