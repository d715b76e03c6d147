"""
Sealing: from a usage event to the meter event that Stripe receives.

Preview and push call the same functions, so what preview shows is what push sends. Identifiers come
from content alone: the same usage in a new ledger gets the same identifiers, so that Stripe's own
guard still works after a ledger is lost.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from meterledger.domain.instant import Instant, seconds_floor, seconds_text
from meterledger.domain.meter import Meter
from meterledger.domain.quantity import Quantity
from meterledger.domain.way import Way

IDENTIFIER_PREFIX = "ml1-"
"""Names the derivation below; another derivation takes another prefix."""

MAX_IDENTIFIER_CHARS = 100


class UsageToSeal(msgspec.Struct, frozen=True, kw_only=True):
    """What sealing needs of a usage event; ``usage_event`` is its number in the ledger."""

    usage_event: int
    source: str
    request_id: str
    customer_id: str
    subscription_id: str | None
    feature: str
    quantity: Quantity
    event_time: Instant
    dimensions: str | None
    keeps_identifier: bool = False
    """Its request_id came as an identifier, which Stripe may have seen: it is kept verbatim."""
    revision: int = 0
    """0, and one more for each sealing again after a rejection."""


class RolledUpWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The usage of [start, end) with these dimensions; ``part`` counts from 0 where a sum is split."""

    start: Instant
    end: Instant
    dimensions: str
    """A flat JSON object in key order, of the meter's dimensions alone."""
    part: int = 0


class MeterEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One meter event as sealed; ``timestamp`` in epoch seconds, ``payload`` flat text to text."""

    event_name: str
    identifier: str
    timestamp: int
    payload: Mapping[str, str]
    revision: int
    stripe_customer_id: str
    quantity: Quantity
    event_time: Instant
    window: "RolledUpWindow | None" = None
    """What it carries where it is rolled up; None where it carries one usage event."""
    way: Way = Way.V1
    """How the next request takes it in; no part of what is sealed."""

    def is_sealed_as(self, other: "MeterEvent") -> bool:
        """Tell whether the same is sealed, whichever way it is to go."""
        return self == replace(other, way=self.way)

    def body(self) -> dict[str, Any]:
        """Return the parameters of the request, in the order in which they are shown and sent."""
        timestamp = self.timestamp if self.way is Way.V1 else seconds_text(self.timestamp)
        return request_body(self.event_name, self.identifier, timestamp, self.payload)

    def payload_text(self) -> str:
        """Return the payload as the ledger stores it."""
        return msgspec.json.encode(self.payload).decode()


def request_body(
    event_name: str, identifier: str, timestamp: int | str, payload: Mapping[str, str]
) -> dict[str, Any]:
    """Return the parameters of one meter event; ``timestamp`` in epoch seconds for v1, else RFC 3339."""
    return {"event_name": event_name, "identifier": identifier, "timestamp": timestamp, "payload": payload}


def derive_identifier(source: str, request_id: str, revision: int = 0) -> str:
    """Return the identifier of a usage event: a digest of its usage key and revision, 68 characters."""
    return IDENTIFIER_PREFIX + digest_of(source, request_id, str(revision))


def digest_of(*fields: str) -> str:
    """Return the SHA-256 of fields in their order, as 64 hexadecimal digits."""
    # The length in front keeps ("a", "bc") and ("ab", "c") apart.
    encoded = b"".join([b"%d:%b" % (len(one), one) for one in map(str.encode, fields)])
    return hashlib.sha256(encoded).hexdigest()


def identifier_of(source: str, request_id: str, revision: int, *, keeps_identifier: bool) -> str:
    """Return the identifier of a usage event: the one it came with, or the one derived from its key."""
    if keeps_identifier and revision == 0:
        return request_id
    return derive_identifier(source, request_id, revision)


def dimensions_of(dimensions: str | None, meter: Meter) -> dict[str, str]:
    """Return those dimensions of a usage event that its meter names, in key order."""
    if not dimensions:
        return {}
    kept = msgspec.json.decode(dimensions, type=dict[str, str])
    return {name: text for name, text in kept.items() if name in meter.dimensions}


def seal(
    usage: UsageToSeal,
    meter: Meter,
    stripe_customer_id: str,
    revision: int | None = None,
    way: Way = Way.V1,
) -> MeterEvent:
    """
    Seal one usage event one to one.

    Args:
        usage: What it carries.
        meter: What counts it.
        stripe_customer_id: Who is billed.
        revision: Its own revision unless another one is named.
        way: How it is to go in.
    """
    revision = usage.revision if revision is None else revision
    payload = {
        meter.customer_key: stripe_customer_id,
        meter.value_key: str(usage.quantity),
    }
    payload |= dimensions_of(usage.dimensions, meter)
    return MeterEvent(
        event_name=meter.event_name,
        identifier=identifier_of(
            usage.source, usage.request_id, revision, keeps_identifier=usage.keeps_identifier
        ),
        timestamp=seconds_floor(usage.event_time),
        payload=payload,
        revision=revision,
        stripe_customer_id=stripe_customer_id,
        quantity=usage.quantity,
        event_time=usage.event_time,
        way=way,
    )
