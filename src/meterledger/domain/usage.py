"""Usage: what a row of a file becomes, accepted or refused."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from meterledger.domain.instant import Instant

MAX_REQUEST_ID_CHARS = 255
MAX_FIELD_CHARS = 255
MAX_RAW_BYTES = 64 * 1024
"""How much of a refused row is kept."""

_SHOWN_BYTE = re.compile(rb"\\x([89a-f][0-9a-f]|5c)")

REQUIRED_FIELDS = ("request_id", "customer_id", "feature", "quantity", "event_time")
CANONICAL_FIELDS = (
    "request_id",
    "customer_id",
    "subscription_id",
    "feature",
    "quantity",
    "event_time",
    "received_at",
)
"""The order in which readers bring the fields of a row; a meter's dimensions follow."""


class Reason(StrEnum):
    """Why a row was refused, in the order in which the rules are tried."""

    NOT_UTF8 = "not_utf8"
    ROW_TOO_LONG = "row_too_long"
    MALFORMED_ROW = "malformed_row"
    MISSING_FIELD = "missing_field"
    FIELD_TOO_LONG = "field_too_long"
    INVALID_QUANTITY = "invalid_quantity"
    NEGATIVE_QUANTITY = "negative_quantity"
    INVALID_TIME = "invalid_time"
    TIME_WITHOUT_OFFSET = "time_without_offset"
    UNKNOWN_FEATURE = "unknown_feature"
    TOO_PRECISE = "too_precise"
    TOO_MANY_DIGITS = "too_many_digits"
    UNKNOWN_CUSTOMER = "unknown_customer"
    CUSTOMER_CANCELED = "customer_canceled"
    FEATURE_NOT_IN_PLAN = "feature_not_in_plan"


class UsageEvent(NamedTuple):
    """
    An accepted row, in the order in which the ledger stores it.

    ``units`` at ``scale`` is the exact quantity; times are instants; ``dimensions`` is a flat JSON
    object in key order, or None.
    """

    request_id: str
    customer_id: str
    subscription_id: str | None
    feature: str
    units: int
    scale: int
    event_time: Instant
    received_at: Instant | None
    line: int
    dimensions: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A refused row: where it stands, why, and what could be read of it."""

    line: int
    reason: Reason
    message: str
    raw: str
    request_id: str | None = None
    customer_id: str | None = None
    feature: str | None = None
    event_time: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A row whose usage key exists with other content, and the fields that differ."""

    line: int
    raw: str
    request_id: str
    customer_id: str
    feature: str
    event_time: Instant
    differences: tuple["Difference", ...]

    @property
    def message(self) -> str:
        """What differs, in one line."""
        fields = ", ".join(f"{d.field} {d.stored} is now {d.given}" for d in self.differences)
        return f"usage key {self.request_id!r} exists with other content: {fields}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field of a conflict: as stored, and as given now; both as text."""

    field: str
    stored: str
    given: str


def composed_key(parts: Iterable[str]) -> str:
    """Join the parts of a composed key, one to one: the separator is escaped inside the parts."""
    return ":".join(part.replace("\\", "\\\\").replace(":", "\\:") for part in parts)


def shown(value: str, limit: int = 60) -> str:
    """Quote a value from a file for a message: control characters escaped, long text cut."""
    quoted = ascii_controls_escaped(value)
    return f"'{quoted[:limit]}…'" if len(quoted) > limit else f"'{quoted}'"


def ascii_controls_escaped(text: str) -> str:
    """Escape what a terminal would obey: control and format characters, lone surrogates, line breaks."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def kept_raw(raw: str) -> str:
    r"""
    Return what is kept of a refused row: no line end, 64 Ki at most.

    Where bytes are no UTF-8 they stand as ``\xff``, and a backslash before an x as ``\x5c``: one to one.
    """
    text = raw.rstrip("\r\n")[:MAX_RAW_BYTES]
    if text.isascii():
        return text
    try:
        kept = text.encode()
    except UnicodeEncodeError:
        foreign = text.encode(errors="surrogateescape").replace(rb"\x", rb"\x5cx")
        kept = foreign.decode(errors="backslashreplace").encode()
    # Cut at the limit in bytes, and not in the middle of a character.
    return kept[:MAX_RAW_BYTES].decode(errors="ignore")


def is_cut(kept: str) -> bool:
    """Tell whether what is kept of a refused row may be less than the row."""
    return len(kept) * 4 > MAX_RAW_BYTES and len(kept.encode()) > MAX_RAW_BYTES - 4


def original_bytes(kept: str, reason: str) -> bytes:
    r"""Return a kept row as it stood in its file: if it is no UTF-8, what ``kept_raw`` did is undone."""
    encoded = kept.encode()
    if reason != Reason.NOT_UTF8:
        return encoded
    return _SHOWN_BYTE.sub(lambda match: bytes([int(match[1], 16)]), encoded)
