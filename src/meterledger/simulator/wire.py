"""Requests and answers as the simulator sees them, free of any web framework."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate

from meterledger.simulator.accounts import Account
from meterledger.simulator.concurrency import Lane

DEFAULT_STRIPE_VERSION = "2026-10-28.endive"
MAX_ECHO = 255  # characters of a header that an answer repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP request; headers are looked up without regard to case, the query is still encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What a meter-event call occupies until its answer leaves."""

    account: Account
    lane: Lane | None
    idempotency_key: str | None

    def take(self) -> None:
        """Occupy the lane and the key."""
        if self.lane is not None:
            self.account.concurrency.enter(self.lane)
        if self.idempotency_key is not None:
            self.account.idempotency.hold(self.idempotency_key)

    def release(self) -> None:
        """Let go of the lane and the key."""
        if self.lane is not None:
            self.account.concurrency.leave(self.lane)
        if self.idempotency_key is not None:
            self.account.idempotency.release(self.idempotency_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    One HTTP answer.

    Attributes:
        status: HTTP status.
        body: JSON, encoded.
        headers: All but those that the web server adds for itself.
        hold: What the call occupies until this answer leaves, for meter-event calls.
    """

    status: int
    body: bytes
    headers: dict[str, str]
    hold: Hold | None = None


class HeaderWriter:
    """Writes the headers that stand on every answer."""

    def __init__(self) -> None:
        self._answers = 0
        self._date_second = -1
        self._date = ""

    def write(self, call: Call, now: float) -> dict[str, str]:
        """Return the headers of the next answer; now is in epoch seconds."""
        self._answers += 1
        return {
            "Content-Type": "application/json",
            "Date": self._http_date(int(now)),
            "Request-Id": f"req_{self._answers}",
            "Server": "meterledger-simulator",
            "Stripe-Version": echo(call.headers.get("Stripe-Version")) or DEFAULT_STRIPE_VERSION,
        }

    def _http_date(self, second: int) -> str:
        if second != self._date_second:  # formatting costs more than the rest of the headers
            self._date = formatdate(second, usegmt=True)
            self._date_second = second
        return self._date


def echo(value: str | None) -> str | None:
    """Return a header's value if it is fit to be sent back, else None."""
    if value is None or len(value) > MAX_ECHO or not (value.isascii() and value.isprintable()):
        return None
    return value
