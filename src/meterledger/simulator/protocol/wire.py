"""Requests and answers as the simulator sees them, free of any web framework."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from enum import StrEnum

from meterledger.simulator.protocol.concurrency import ConcurrencyBook, Lane
from meterledger.simulator.protocol.idempotency import IdempotencyStore

DEFAULT_STRIPE_VERSION = "2026-10-28.endive"
MAX_ECHO = 255  # characters of a header that an answer repeats
NOT_ANSWERED = 0  # stands for a status where no answer leaves


class Delivery(StrEnum):
    """How much of an answer leaves."""

    SENT = "sent"
    """All of it."""
    DROPPED = "dropped"
    """Nothing: the connection is closed before any byte."""
    CUT = "cut"
    """The headers and half of the body; then the connection is reset."""


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
    """What a call occupies until its answer leaves: a lane, an idempotency key, both or neither."""

    lanes: ConcurrencyBook
    lane: Lane | None
    keys: IdempotencyStore
    key: str | None

    def take(self) -> None:
        """Occupy the lane and the key."""
        if self.lane is not None:
            self.lanes.enter(self.lane)
        if self.key is not None:
            self.keys.hold(self.key)

    def release(self) -> None:
        """Let go of the lane and the key."""
        if self.lane is not None:
            self.lanes.leave(self.lane)
        if self.key is not None:
            self.keys.release(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    One HTTP answer.

    Attributes:
        status: HTTP status.
        body: JSON, encoded.
        headers: All but those that the web server adds for itself.
        hold: What the call occupies until this answer leaves, for meter-event calls.
        delivery: How much of it leaves.
        delay_seconds: How long it is held back, in real time.
    """

    status: int
    body: bytes
    headers: dict[str, str]
    hold: Hold | None = None
    delivery: Delivery = Delivery.SENT
    delay_seconds: float = 0.0


class HeaderWriter:
    """Writes the headers that stand on every answer."""

    def __init__(self) -> None:
        self._date_second = -1
        self._date = ""

    def write(self, call: Call, request_id: str, now: float) -> dict[str, str]:
        """Return the headers of an answer; now is in epoch seconds."""
        return {
            "Content-Type": "application/json",
            "Date": self._http_date(int(now)),
            "Request-Id": request_id,
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
