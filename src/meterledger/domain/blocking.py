"""
What holds usage back before it is sealed, and what a person can do about it.

A timestamp is never changed to make an event fit.
"""

from dataclasses import dataclass
from enum import StrEnum

from meterledger.domain.customers import STRIPE_CUSTOMER_PREFIX, CustomerBook
from meterledger.domain.instant import DAY, MINUTE, Instant
from meterledger.domain.meter import Catalogue

MAX_AGE = 35 * DAY
MAX_AHEAD = 5 * MINUTE


class BlockReason(StrEnum):
    """Why usage is not sent, in the order in which the rules are tried."""

    NO_METER = "no_meter"
    UNKNOWN_CUSTOMER = "unknown_customer"
    AMBIGUOUS_CUSTOMER = "ambiguous_customer"
    TOO_OLD = "too_old"
    IN_FUTURE = "in_future"
    CLOSED_PERIOD = "closed_period"
    SUPERSEDED = "superseded"
    VALUE_NEEDS_V1 = "value_needs_v1"

    @property
    def mend(self) -> str:
        """What to do next, in one line."""
        return _MENDS[self]


_MENDS = {
    BlockReason.NO_METER: "no meter of the config counts it, or Stripe has no active one of that name",
    BlockReason.UNKNOWN_CUSTOMER: "nothing says who is billed: import a customers file that does, or, where "
    "there is none, name Stripe customers (cus_…)",
    BlockReason.AMBIGUOUS_CUSTOMER: "the customer has several Stripe customers and the usage names no "
    "subscription: import a customers file that has a row without subscription for it",
    BlockReason.TOO_OLD: "Stripe takes usage up to 35 days old; bill it by an invoice item",
    BlockReason.IN_FUTURE: "Stripe takes usage up to 5 minutes ahead; check the clock there, or wait",
    BlockReason.CLOSED_PERIOD: "its invoice is final, Stripe would take it and never bill it; bill it by an "
    "invoice item, or send it all the same with push --include-closed",
    BlockReason.SUPERSEDED: "a later value of this meter and customer was sent; this one would replace it",
    BlockReason.VALUE_NEEDS_V1: "v2 and the stream take positive integers only; send fractions, zero "
    "and negative values with push --api v1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRules:
    """What the answer depends on besides the usage itself."""

    catalogue: Catalogue
    now: Instant
    missing_meters: frozenset[str] = frozenset()
    """Event names that Stripe said it has no active meter for."""
    customers: CustomerBook | None = None
    """None where no customers file was imported: then usage names Stripe customers itself."""


def stripe_customer(
    rules: BlockRules, customer_id: str, subscription_id: str | None, event_time: Instant
) -> str | BlockReason:
    """Return the Stripe customer that a usage event is billed to, by what held at its event_time."""
    if rules.customers is None:
        is_stripes = customer_id.startswith(STRIPE_CUSTOMER_PREFIX)
        return customer_id if is_stripes else BlockReason.UNKNOWN_CUSTOMER
    found = {one.stripe_customer_id for one in rules.customers.held(customer_id, subscription_id, event_time)}
    if not found:
        return BlockReason.UNKNOWN_CUSTOMER
    return BlockReason.AMBIGUOUS_CUSTOMER if len(found) > 1 else found.pop()


def block_reason(
    rules: BlockRules, feature: str, billed: str | BlockReason, event_time: Instant
) -> BlockReason | None:
    """
    Return why a usage event cannot be sent now, or None; closed periods and order are checked after it.

    Args:
        rules: What the answer depends on besides the usage itself.
        feature: What was used.
        billed: What `stripe_customer` says of it.
        event_time: When.
    """
    meter = rules.catalogue.meter_of(feature)
    if meter is None or meter.event_name in rules.missing_meters:
        return BlockReason.NO_METER
    if isinstance(billed, BlockReason):
        return billed
    if event_time < rules.now - MAX_AGE:
        return BlockReason.TOO_OLD
    if event_time > rules.now + MAX_AHEAD:
        return BlockReason.IN_FUTURE
    return None
