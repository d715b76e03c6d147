"""The kinds of faults, what can be said of each, and what a plan leaves out."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, get_args

from meterledger.simulator.protocol.api_errors import RateReason


class Kind(StrEnum):
    """What goes wrong."""

    ANSWER_LOST = "answer_lost"
    """The request is carried out, then the connection is closed without a byte."""
    REQUEST_LOST = "request_lost"
    """The request is not carried out, and the connection is closed."""
    SERVER_ERROR = "server_error"
    """A 500, stored under the idempotency key or not, with the request carried out before or not."""
    RATE_LIMITED = "rate_limited"
    """A 429, with Stripe's reason, or without one as a lock timeout."""
    CONFLICT = "conflict"
    """A 409: on v1 the idempotency key is in use, on v2 there are too many concurrent requests."""
    SLOW = "slow"
    """The request is carried out, and its answer is held back."""
    RESET = "reset"
    """The request is carried out; of the answer come the headers and half of the body, then a reset."""
    SESSION_EXPIRED = "session_expired"
    """A stream call finds its session expired, and so does every later one of that session."""
    DELIVERED_TWICE = "delivered_twice"
    """The request arrives a second time right after the first, whose answer the client sees."""
    REJECTED_LATER = "rejected_later"
    """The event is taken with 200 and not counted; an error report tells so."""
    REPORTS_LATE = "reports_late"
    """Error reports come later."""
    REPORTS_PARTIAL = "reports_partial"
    """Error reports name at most so many events."""
    SUMMARIES_LAG = "summaries_lag"
    """Summaries show events later."""

    @property
    def is_standing(self) -> bool:
        """Whether it changes what is published for as long as it is planned, and not single requests."""
        return self in _STANDING


_STANDING = frozenset({Kind.REPORTS_LATE, Kind.REPORTS_PARTIAL, Kind.SUMMARIES_LAG})

NO_REASON: Literal["none"] = "none"
REASONS = (*get_args(RateReason), NO_REASON)
"""What stands in Stripe-Rate-Limited-Reason; without the header the refusal is a lock timeout."""

SELECTORS = ("on", "method", "path", "event_name", "customer", "identifier")
TURNS = ("skip", "times", "every", "chance")

_OWN_KEYS: Mapping[Kind, tuple[str, ...]] = {
    Kind.SERVER_ERROR: ("status", "stored", "counted"),
    Kind.RATE_LIMITED: ("reason", "stored"),
    Kind.SLOW: ("delay",),
    Kind.REJECTED_LATER: ("code",),
    Kind.REPORTS_LATE: ("delay",),
    Kind.REPORTS_PARTIAL: ("samples",),
    Kind.SUMMARIES_LAG: ("delay",),
}

_ONLY_ON: Mapping[Kind, str] = {
    Kind.SESSION_EXPIRED: "stream",
    Kind.REJECTED_LATER: "meter_events",
    Kind.REPORTS_LATE: "core_events",
    Kind.REPORTS_PARTIAL: "core_events",
    Kind.SUMMARIES_LAG: "event_summaries",
}
"""Where a kind can strike, if it is not everywhere: short names of endpoints."""

RANDOM_KINDS = (
    Kind.ANSWER_LOST,
    Kind.REQUEST_LOST,
    Kind.SERVER_ERROR,
    Kind.RATE_LIMITED,
    Kind.CONFLICT,
    Kind.SLOW,
    Kind.RESET,
    Kind.SESSION_EXPIRED,
    Kind.DELIVERED_TWICE,
)
"""What random faults are made of unless a plan says otherwise: all that a careful client survives."""


def keys_of(kind: Kind) -> tuple[str, ...]:
    """Return the keys that a fault of the kind may have in a plan."""
    own = _OWN_KEYS.get(kind, ())
    if kind.is_standing:
        return ("kind", *own)
    return ("kind", *SELECTORS, *TURNS, *own)


def required_keys(kind: Kind) -> tuple[str, ...]:
    """Return the keys, besides its kind, that a fault must have in a plan."""
    return tuple(key for key in _OWN_KEYS.get(kind, ()) if key in ("delay", "samples"))


def only_on(kind: Kind) -> str:
    """Return the short name of the endpoints that the kind can strike at all."""
    return _ONLY_ON.get(kind, "all")


def default_on(kind: Kind) -> str:
    """Return the short name of the endpoints that a fault strikes when a plan does not say where."""
    return _ONLY_ON.get(kind, "meter_events")
