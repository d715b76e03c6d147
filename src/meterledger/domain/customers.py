"""
Customers: who is billed, with which plan and status, and what held when.

A customers file says it of each (customer_id, subscription_id). The history of what was said makes the
book that import and sealing look things up in.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter
from typing import NamedTuple

from meterledger.domain.billing_period import BillingCycle
from meterledger.domain.instant import Instant

STRIPE_CUSTOMER_PREFIX = "cus_"
NO_SUBSCRIPTION = ""
"""Stands where a customers file names no subscription."""

SINCE_EVER: Instant = -(2**63)
FOR_EVER: Instant = 2**63 - 1

Plans = Mapping[str, frozenset[str]]
"""Plan -> the features it has."""


class CustomerStatus(StrEnum):
    """What Stripe says of a subscription, in its words."""

    ACTIVE = "active"
    TRIALING = "trialing"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    CANCELED = "canceled"

    @property
    def is_ended(self) -> bool:
        """Tell whether there is nothing left that usage could be billed with."""
        # By identity: this is asked for every row of every file.
        return self is _CANCELED or self is _EXPIRED


_CANCELED, _EXPIRED = CustomerStatus.CANCELED, CustomerStatus.INCOMPLETE_EXPIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingInterval:
    """How long a billing period is, in Stripe's words: ``count`` times ``unit``."""

    unit: str = "month"
    count: int = 1

    def __str__(self) -> str:
        """Write it as a customers file does: ``month``, ``3 months``."""
        return self.unit if self.count == 1 else f"{self.count} {self.unit}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerState:
    """What one row of a customers file says: all of it replaces what held before."""

    customer_id: str
    subscription_id: str
    stripe_customer_id: str
    plan: str | None
    status: CustomerStatus
    billing_cycle_anchor: Instant | None
    interval: BillingInterval


class Standing(NamedTuple):
    """What held of one customer and subscription at an instant, as far as usage depends on it."""

    subscription_id: str
    stripe_customer_id: str
    plan: str | None
    status: CustomerStatus
    cycle: BillingCycle | None = None
    """Its billing periods; None where nobody said when they begin, or nobody asked."""


class BookEntry(NamedTuple):
    """One state as the book takes it; it holds from ``since`` until a later one of the same subscription."""

    customer_id: str
    since: Instant
    standing: Standing


class _History(NamedTuple):
    """What held of one customer and subscription, in order of time."""

    starts: tuple[Instant, ...]
    standings: tuple[Standing, ...]

    def at(self, instant: Instant) -> Standing | None:
        # Of two that begin at once the one recorded later counts: it corrects the other.
        position = bisect_right(self.starts, instant)
        return self.standings[position - 1] if position else None


_Known = Standing | tuple[_History, ...]
"""Most customers have one subscription that never changed: that alone, or else every history."""


class CustomerBook:
    """
    Answers who is billed for usage, by what held at its event_time.

    Compact, because it travels to the process that reads a file.
    """

    __slots__ = ("_by_customer", "_by_stripe_customer")

    def __init__(self, entries: Iterable[BookEntry]) -> None:
        """Take the states in the order in which they were recorded."""
        recorded: dict[tuple[str, str], list[BookEntry]] = {}
        for entry in entries:
            recorded.setdefault((entry.customer_id, entry.standing.subscription_id), []).append(entry)
        by_customer: dict[str, list[_History]] = {}
        by_stripe_customer: dict[str, list[_History]] = {}
        for (customer_id, _), states in recorded.items():
            states.sort(key=itemgetter(1))
            history = _History(
                tuple(state.since for state in states), tuple(state.standing for state in states)
            )
            by_customer.setdefault(customer_id, []).append(history)
            for stripe_customer_id in {state.standing.stripe_customer_id for state in states}:
                by_stripe_customer.setdefault(stripe_customer_id, []).append(history)
        self._by_customer = {name: _known(found) for name, found in by_customer.items()}
        self._by_stripe_customer = {name: _known(found) for name, found in by_stripe_customer.items()}

    def held(
        self, customer_id: str, subscription_id: str | None, event_time: Instant
    ) -> tuple[Standing, ...]:
        """
        Return what held at an instant of all that a usage row may mean; nothing if it is unknown.

        Args:
            customer_id: The product's own id, or a Stripe customer that the book knows by that id.
            subscription_id: Narrows it down where a customer has several subscriptions.
            event_time: When the usage took place.
        """
        found = self._by_customer.get(customer_id)
        if found is None:
            found = self._by_stripe_customer.get(customer_id)
            if found is None:
                return ()
            if not isinstance(found, Standing):
                standings = _at(found, event_time)
                return _meant([one for one in standings if one[1] == customer_id], subscription_id)
        if isinstance(found, Standing):
            if not subscription_id or found[0] in (subscription_id, NO_SUBSCRIPTION):
                return (found,)
            return ()
        return _meant(_at(found, event_time), subscription_id)

    def is_steady(self, customer_id: str) -> bool:
        """Tell whether what held of a customer never depends on when the usage took place."""
        found = self._by_customer.get(customer_id) or self._by_stripe_customer.get(customer_id)
        return found is None or isinstance(found, Standing)

    def unchanged_around(self, customer_id: str, instant: Instant) -> tuple[Instant, Instant]:
        """Return the time [start, end) around an instant in which nothing of a customer changes."""
        changes = self.changes_of(customer_id)
        position = bisect_right(changes, instant)
        return (
            changes[position - 1] if position else SINCE_EVER,
            changes[position] if position < len(changes) else FOR_EVER,
        )

    def changes_of(self, customer_id: str) -> list[Instant]:
        """Return the instants from which on something else held of a customer, in order."""
        found = self._by_customer.get(customer_id) or self._by_stripe_customer.get(customer_id)
        if found is None or isinstance(found, Standing):
            return []
        return sorted({start for history in found for start in history.starts})

    def subscriptions_of(self, customer_id: str) -> list[str] | None:
        """Return every subscription that a customer ever had, sorted; None for an unknown customer."""
        found = self._by_customer.get(customer_id) or self._by_stripe_customer.get(customer_id)
        if found is None:
            return None
        if isinstance(found, Standing):
            return [found.subscription_id]
        return sorted(history.standings[0].subscription_id for history in found)

    def __getstate__(self) -> tuple[dict[str, _Known], dict[str, _Known]]:
        """Travel as two plain mappings."""
        return self._by_customer, self._by_stripe_customer

    def __setstate__(self, state: tuple[dict[str, _Known], dict[str, _Known]]) -> None:
        """Arrive as what was sent."""
        self._by_customer, self._by_stripe_customer = state


def _known(histories: list[_History]) -> _Known:
    if len(histories) == 1 and histories[0].starts == (SINCE_EVER,):
        return histories[0].standings[0]
    return tuple(histories)


def _at(histories: Iterable[_History], instant: Instant) -> list[Standing]:
    return [standing for history in histories if (standing := history.at(instant)) is not None]


def _meant(standings: list[Standing], subscription_id: str | None) -> tuple[Standing, ...]:
    """Narrow what held down to what usage can be billed with: what has ended only where nothing else is."""
    wanted = subscription_id or NO_SUBSCRIPTION
    exact = [one for one in standings if one.subscription_id == wanted]
    if subscription_id and not exact:
        if any(one.subscription_id != NO_SUBSCRIPTION for one in standings):
            return ()
        # A customer whose subscriptions the file does not name is billed whatever the row names.
        exact = standings
    others = [] if subscription_id else standings
    return tuple(_live(exact) or _live(others) or exact or others)


def _live(standings: list[Standing]) -> list[Standing]:
    return [one for one in standings if not one.status.is_ended]
