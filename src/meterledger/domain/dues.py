"""
Dues: which billing period usage is of, and when the invoice of that period finalizes.

Known best from Stripe (subscription items and invoices), else from the anchors of a customers file, else
taken for calendar months in UTC. Where usage may be billed by several subscriptions, the earliest deadline
counts: what makes that one makes all.
"""

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from meterledger.domain.billing_period import (
    MAX_GRACE_PERIOD,
    BillingCycle,
    BillingPeriod,
    calendar_month,
)
from meterledger.domain.customers import CustomerBook, Standing
from meterledger.domain.grace import Grace
from meterledger.domain.instant import Instant

NEVER: Instant = 2**62
"""A deadline that no clock brings: the draft is held open until a person finalizes it."""


class DeadlineSource(StrEnum):
    """Where a deadline is known from."""

    DRAFT_INVOICE = "draft_invoice"
    CONFIGURED = "configured"
    DEFAULT = "default"


class KnownInvoice(NamedTuple):
    """The invoice of one period of a subscription item, as Stripe last had it."""

    period: BillingPeriod
    deadline: Instant
    """When the draft finalizes by itself, or when it was finalized; NEVER for one that is held open."""
    is_final: bool = False
    """Whether it is the `subscription_cycle` invoice, and final: its period is closed for certain."""


class BilledItem(NamedTuple):
    """A subscription item whose price is that of a meter, as Stripe last had it."""

    subscription_id: str
    cycle: BillingCycle
    current: BillingPeriod
    """The current period in Stripe's own words, which counts where the cycle says another."""
    start: Instant
    end: Instant = NEVER
    """When it ended or is to end; nothing after it is billed by this item."""
    price_changes: tuple[Instant, ...] = ()
    """When the price was changed: usage reported after the end of such a period is on no invoice."""
    invoices: tuple[KnownInvoice, ...] = ()


class Due(NamedTuple):
    """A billing period and its deadline."""

    period: BillingPeriod
    deadline: Instant
    source: DeadlineSource
    dates_known: bool
    """Whether the period is known and not only assumed."""
    invoice: KnownInvoice | None = None

    @property
    def closes_at(self) -> Instant:
        """From when on the period is closed for certain, as far as is known today; NEVER if it is not."""
        if not self.dates_known:
            return NEVER
        if self.invoice:
            return self.invoice.deadline if self.invoice.is_final else NEVER
        return self.period.end + MAX_GRACE_PERIOD

    def is_closed(self, now: Instant) -> bool:
        """
        Tell whether Stripe would for certain take usage of the period with 200 and never bill it.

        Its dates are known, and its invoice is final, or no draft is known and Stripe's longest grace period
        is over.
        """
        return now >= self.closes_at


class DueStretch(NamedTuple):
    """A stretch of time [start, end) for all of which one customer's usage of one meter has the same due."""

    start: Instant
    end: Instant
    due: Due
    closes_at: Instant
    """When all that may bill the usage is closed for certain, not only the earliest; NEVER if it is not."""
    dues: tuple[Due, ...]
    """Of each subscription that may bill the usage, the earliest deadline first: that is the due of all."""
    is_billed: bool = True
    """False where Stripe's subscriptions of the customer are known, and none of them bills the usage."""


class Dues:
    """Answers when usage is due; what it found once it answers by a search."""

    def __init__(
        self,
        grace: Grace,
        *,
        calendar_known: bool = False,
        customers: CustomerBook | None = None,
        items: Mapping[tuple[str, str], Sequence[BilledItem]] | None = None,
    ) -> None:
        """
        Take what is known.

        Args:
            grace: The grace periods, for periods without a known invoice.
            calendar_known: The config says that every period is a calendar month in UTC.
            customers: The book with its billing cycles; None if no customers file was imported.
            items: (Stripe customer, event_name) -> the subscription items that bill it.
        """
        self._grace = grace
        self._calendar_known = calendar_known
        self._customers = customers
        self._items = items or {}
        self._found: dict[tuple[str, str | None, str | None], list[DueStretch]] = {}
        self._boundaries: dict[tuple[str, str], tuple[Instant, ...]] = {}
        self._cycles: dict[str, dict[BillingCycle, None]] = {}
        for (stripe_customer_id, _), found in self._items.items():
            self._cycles.setdefault(stripe_customer_id, {}).update((item.cycle, None) for item in found)

    @property
    def customers(self) -> CustomerBook | None:
        """The book of customers; None if no customers file was imported."""
        return self._customers

    def cycles_of(self, stripe_customer_id: str) -> tuple[BillingCycle, ...]:
        """Return the billing cycles that Stripe's subscription items of a customer have."""
        return tuple(self._cycles.get(stripe_customer_id, ()))

    def boundaries_of(self, stripe_customer_id: str, event_name: str) -> tuple[Instant, ...]:
        """
        Return where something else begins to hold for usage of a customer and meter, in order.

        Beside the ends of regular periods: where a subscription item begins, ends or changes its price, where
        its current period or an invoice ends, and where a customers file changes anything.
        """
        lane = (stripe_customer_id, event_name)
        found = self._boundaries.get(lane)
        if found is None:
            instants = set(self._customers.changes_of(stripe_customer_id)) if self._customers else set()
            for item in self._items.get(lane, ()):
                instants.update((item.start, item.end, *item.price_changes))
                for period in (item.current, *(one.period for one in item.invoices)):
                    instants.update((period.start, period.end))
            found = self._boundaries[lane] = tuple(sorted(instants))
        return found

    def at(
        self, customer_id: str, subscription_id: str | None, event_name: str | None, event_time: Instant
    ) -> DueStretch:
        """Return when usage is due, with the stretch of time around it for which that holds."""
        found = self._found.setdefault((customer_id, subscription_id, event_name), [])
        position = bisect_right(found, event_time, key=_start)
        if position and event_time < found[position - 1].end:
            return found[position - 1]
        stretch = self._stretch(customer_id, subscription_id, event_name, event_time)
        insort(found, stretch, key=_start)
        return stretch

    def _stretch(
        self, customer_id: str, subscription_id: str | None, event_name: str | None, event_time: Instant
    ) -> DueStretch:
        standings: tuple[Standing, ...] = ()
        start, end = -NEVER, NEVER
        if self._customers is not None:
            standings = self._customers.held(customer_id, subscription_id, event_time)
            start, end = self._customers.unchanged_around(customer_id, event_time)
        billed = sorted({one.stripe_customer_id for one in standings}) or [customer_id]
        grace, configured = self._grace.period_of(event_name, (customer_id, *billed))
        source = DeadlineSource.CONFIGURED if configured else DeadlineSource.DEFAULT
        dues: list[Due] = []
        for item in self._items_of(billed, event_name, subscription_id):
            if event_time < item.start:
                end = min(end, item.start)
            elif event_time >= item.end:
                start = max(start, item.end)
            else:
                dues.append(_due_of(item, event_time, grace, source))
        is_billed = bool(dues) or event_name is None or not any(one in self._cycles for one in billed)
        for period, known in () if dues else self._periods(standings, event_time):
            dues.append(Due(period, period.deadline(grace), source, known))
        dues.sort(key=lambda due: (due.deadline, due.period))
        return DueStretch(
            max(start, *(due.period.start for due in dues)),
            min(end, *(due.period.end for due in dues)),
            dues[0],
            max(due.closes_at for due in dues),
            tuple(dues),
            is_billed,
        )

    def _items_of(
        self, billed: Sequence[str], event_name: str | None, subscription_id: str | None
    ) -> list[BilledItem]:
        """Return the items that may bill usage: those of the subscription that it names, else all."""
        if event_name is None:
            return []
        items = [item for one in billed for item in self._items.get((one, event_name), ())]
        named = [item for item in items if subscription_id and item.subscription_id == subscription_id]
        return named or items

    def _periods(
        self, standings: tuple[Standing, ...], event_time: Instant
    ) -> list[tuple[BillingPeriod, bool]]:
        """Return the periods that an instant lies in without Stripe's word, and whether they are known."""
        if self._calendar_known:
            return [(calendar_month(event_time), True)]
        cycles = [one.cycle for one in standings if one.cycle is not None]
        if cycles and len(cycles) == len(standings):
            return [(cycle.period_at(event_time), True) for cycle in cycles]
        return [(calendar_month(event_time), False)]


def _due_of(item: BilledItem, event_time: Instant, grace: int, source: DeadlineSource) -> Due:
    period = item.current if item.current.holds(event_time) else item.cycle.period_at(event_time)
    period = BillingPeriod(max(period.start, item.start), min(period.end, item.end))
    for one in item.invoices:
        period = _beside(period, one.period, event_time)
    invoice = next((one for one in item.invoices if one.period.holds(event_time)), None)
    if invoice is not None:
        return Due(period, invoice.deadline, DeadlineSource.DRAFT_INVOICE, dates_known=True, invoice=invoice)
    if any(period.start < change < period.end for change in item.price_changes):
        return Due(period, period.end, source, dates_known=True)
    return Due(period, period.deadline(grace), source, dates_known=True)


def _beside(period: BillingPeriod, billed: BillingPeriod, event_time: Instant) -> BillingPeriod:
    """Return the part of a period around an instant that an invoice bills whole, or has nothing of."""
    if billed.holds(event_time):
        return BillingPeriod(max(period.start, billed.start), min(period.end, billed.end))
    if billed.end <= event_time:
        return BillingPeriod(max(period.start, billed.end), period.end)
    return BillingPeriod(period.start, min(period.end, billed.start))


def _start(stretch: DueStretch) -> Instant:
    return stretch.start
