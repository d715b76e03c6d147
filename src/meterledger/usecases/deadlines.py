"""Deadlines: drafts and period ends that are ahead, and the usage behind each that Stripe has not taken."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from meterledger.config import Settings
from meterledger.domain.billing_facts import (
    BillingFacts,
    PulledInvoice,
    PulledItem,
    is_price_changed_in,
    price_changes,
)
from meterledger.domain.billing_period import BillingPeriod
from meterledger.domain.dues import NEVER, DeadlineSource
from meterledger.domain.instant import Instant
from meterledger.domain.quantity import Quantity
from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.usecases.audit_answer import Amount
from meterledger.usecases.planning import Planner


@dataclass(frozen=True, slots=True)
class BilledUsage:
    """What one invoice bills: usage of a meter in a period, and whether more time would still help it."""

    event_name: str
    period: BillingPeriod
    takes_late_usage: bool = True


@dataclass(slots=True, kw_only=True)
class Deadline:
    """One invoice, drawn or to come."""

    stripe_customer_id: str
    customer_ids: tuple[str, ...]
    """What customers files call the customer; the Stripe customer itself where they say nothing of it."""
    subscription_id: str
    invoice: PulledInvoice | None
    """The draft; None for an invoice that is to come."""
    period: BillingPeriod
    deadline: Instant | None
    """None for a draft that is held open."""
    source: DeadlineSource
    billed: tuple[BilledUsage, ...]
    unsent: dict[str, Amount] = field(default_factory=dict)
    """Meter -> usage of the period that Stripe has not taken, and that more time would bring onto it."""
    too_late: dict[str, Amount] = field(default_factory=dict)
    """Meter -> such usage that comes onto no invoice whatever its deadline: a price change in mid-cycle."""

    @property
    def is_behind(self) -> bool:
        """Whether more time would bring usage onto it."""
        return bool(self.unsent)


def list_deadlines(
    ledger: Ledger, settings: Settings, *, now: Instant, customer: str | None = None
) -> list[Deadline]:
    """
    Return the deadlines that are ahead, drafts that are held open last.

    Raises:
        UsageError: Nothing is known of the customer that was asked for.
    """
    facts = ledger.subscriptions.facts()
    own_ids = _own_ids(ledger)
    wanted = None if customer is None else _stripe_customers(customer, facts, own_ids)
    found = [
        one
        for one in (*_drafts(facts, own_ids), *_to_come(facts, settings, own_ids, now))
        if wanted is None or one.stripe_customer_id in wanted
    ]
    _count_unsent(ledger, settings, found, now)
    return sorted(
        found,
        key=lambda one: (
            NEVER if one.deadline is None else one.deadline,
            one.stripe_customer_id,
            one.subscription_id,
            one.period,
        ),
    )


def _own_ids(ledger: Ledger) -> dict[str, tuple[str, ...]]:
    """Return Stripe customer -> what customers files call it."""
    found: dict[str, set[str]] = {}
    for recorded in ledger.customers.states():
        found.setdefault(recorded.state.stripe_customer_id, set()).add(recorded.state.customer_id)
    return {name: tuple(sorted(ids)) for name, ids in found.items()}


def _stripe_customers(customer: str, facts: BillingFacts, own_ids: dict[str, tuple[str, ...]]) -> set[str]:
    pulled = {item.stripe_customer_id for item in facts.latest()}
    found = {name for name, ids in own_ids.items() if customer in ids} | ({customer} & pulled)
    if not found & pulled:
        raise UsageError(
            f"nothing was pulled of a customer {customer}",
            hint="`meterledger customers pull` reads subscriptions; `meterledger deadline list` shows all",
        )
    return found


def _drafts(facts: BillingFacts, own_ids: dict[str, tuple[str, ...]]) -> Iterator[Deadline]:
    by_invoice: dict[str, list[BilledUsage]] = {}
    for item_id, billed in facts.lines_by_item().items():
        versions = facts.items.get(item_id)
        if versions:
            changes = price_changes(versions, [lines for _, _, lines in billed])
            for version, period, _ in billed:
                takes = not is_price_changed_in(period, changes)
                usage = BilledUsage(versions[-1].item.event_name, period, takes)
                by_invoice.setdefault(version.invoice.invoice_id, []).append(usage)
    for invoice_id, version in sorted(facts.invoices.items()):
        invoice, usages = version.invoice, by_invoice.get(invoice_id)
        if not invoice.is_draft or not usages:
            continue
        deadline = invoice.deadline(version.recorded_at)
        yield Deadline(
            stripe_customer_id=invoice.stripe_customer_id,
            customer_ids=own_ids.get(invoice.stripe_customer_id, (invoice.stripe_customer_id,)),
            subscription_id=invoice.subscription_id,
            invoice=invoice,
            period=_whole(usage.period for usage in usages),
            deadline=None if deadline == NEVER else deadline,
            source=DeadlineSource.DRAFT_INVOICE,
            billed=tuple(usages),
        )


def _to_come(
    facts: BillingFacts, settings: Settings, own_ids: dict[str, tuple[str, ...]], now: Instant
) -> Iterator[Deadline]:
    """Yield the periods that are not over, or whose invoice nobody has seen yet."""
    lines = facts.lines_by_item()
    periods: dict[tuple[str, str, BillingPeriod], list[PulledItem]] = {}
    for item in facts.latest():
        drawn = [period for _, period, _ in lines.get(item.item_id, [])]
        for period in _open_periods(item, now):
            if not any(one.start < period.end and period.start < one.end for one in drawn):
                key = (item.stripe_customer_id, item.subscription_id, period)
                periods.setdefault(key, []).append(item)
    for (customer, subscription, period), items in sorted(periods.items(), key=lambda one: one[0]):
        ids = own_ids.get(customer, (customer,))
        graces = [settings.invoicing.grace.period_of(item.event_name, (customer, *ids)) for item in items]
        grace, is_configured = max(graces)
        if period.deadline(grace) < now:
            continue
        yield Deadline(
            stripe_customer_id=customer,
            customer_ids=ids,
            subscription_id=subscription,
            invoice=None,
            period=period,
            deadline=period.deadline(grace),
            source=DeadlineSource.CONFIGURED if is_configured else DeadlineSource.DEFAULT,
            billed=tuple(BilledUsage(item.event_name, period) for item in items),
        )


def _open_periods(item: PulledItem, now: Instant) -> Iterator[BillingPeriod]:
    """Yield the period that an instant lies in and the one before, as far as the item bills them."""
    current = item.period if item.period.holds(now) else item.cycle.period_at(now)
    before = item.period if item.period.end == current.start else item.cycle.period_at(current.start - 1)
    for period in (before, current):
        start, end = max(period.start, item.start), min(period.end, item.end)
        if start < end:
            yield BillingPeriod(start, end)


def _whole(periods: Iterable[BillingPeriod]) -> BillingPeriod:
    all_of_them = list(periods)
    return BillingPeriod(min(one.start for one in all_of_them), max(one.end for one in all_of_them))


def _count_unsent(ledger: Ledger, settings: Settings, deadlines: list[Deadline], now: Instant) -> None:
    """Add the usage behind each deadline that waits, is rejected, in doubt, or has an unknown outcome."""
    if not deadlines:
        return
    lanes: dict[tuple[str, str], list[tuple[BilledUsage, Deadline]]] = {}
    for one in deadlines:
        for usage in one.billed:
            lanes.setdefault((one.stripe_customer_id, usage.event_name), []).append((usage, one))
    since = min(one.period.start for one in deadlines)
    until = max(one.period.end for one in deadlines)

    def add(customer: str, event_name: str, event_time: Instant, quantity: Quantity) -> None:
        for usage, deadline in lanes.get((customer, event_name), ()):
            if usage.period.holds(event_time):
                amounts = deadline.unsent if usage.takes_late_usage else deadline.too_late
                amounts.setdefault(event_name, Amount()).add(1, quantity)

    with ledger.database.snapshot():
        planner = Planner(ledger, settings, now)
        for waiting in ledger.unsealed.all():
            lane = planner.lane_of(waiting)
            if lane is not None:
                add(lane[1], lane[0], waiting.event_time, waiting.quantity)
        for sealed in ledger.subscriptions.unsent_sealed(since, until):
            add(sealed.stripe_customer_id, sealed.event_name, sealed.event_time, sealed.quantity)
