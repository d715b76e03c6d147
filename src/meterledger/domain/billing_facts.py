"""
What Stripe says of subscriptions and invoices, as far as it decides when usage is billed.

Facts are taken as they were told; what follows from them is worked out here, once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from meterledger.domain.billing_period import DEFAULT_GRACE_PERIOD, BillingCycle, BillingPeriod
from meterledger.domain.dues import NEVER, BilledItem, KnownInvoice
from meterledger.domain.instant import Instant

DRAFT = "draft"
DELETED = "deleted"
"""Our word for a draft that Stripe does not have any more."""
CYCLE = "subscription_cycle"
FIRST = "subscription_create"
THRESHOLD = "subscription_threshold"


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledItem:
    """A subscription item that bills a meter, with what its subscription says."""

    item_id: str
    subscription_id: str
    stripe_customer_id: str
    event_name: str
    price_id: str
    status: str
    billing_mode: str | None
    anchor: Instant
    interval_unit: str
    interval_count: int
    start: Instant
    """Since when it bills."""
    period_start: Instant
    period_end: Instant
    cancel_at: Instant | None = None
    ended_at: Instant | None = None
    """When it ended; when it was first missed, where Stripe does not list it any more."""
    has_thresholds: bool = False
    has_pending_update: bool = False

    @property
    def cycle(self) -> BillingCycle:
        """Its billing cycle."""
        return BillingCycle(self.anchor, self.interval_unit, self.interval_count)

    @property
    def period(self) -> BillingPeriod:
        """The current period, as Stripe told it."""
        return BillingPeriod(self.period_start, self.period_end)

    @property
    def end(self) -> Instant:
        """When it ended or is to end; NEVER if it goes on."""
        return min(one for one in (self.ended_at, self.cancel_at, NEVER) if one is not None)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PulledLine:
    """A line of an invoice that bills usage of [start, end) by an item."""

    item_id: str
    start: Instant
    end: Instant
    price_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledInvoice:
    """An invoice of a subscription, with the lines that bill a period which is over."""

    invoice_id: str
    subscription_id: str
    stripe_customer_id: str
    status: str
    billing_reason: str
    created: Instant
    auto_advance: bool
    finalizes_at: Instant | None
    """Stripe's automatically_finalizes_at."""
    finalized_at: Instant | None
    finalization_error: str | None
    """The code of the error that holds it open."""
    lines: tuple[PulledLine, ...] = ()

    @property
    def is_draft(self) -> bool:
        """Whether it can still take usage."""
        return self.status == DRAFT

    @property
    def is_held_open(self) -> bool:
        """Whether it is a draft that does not finalize by itself."""
        return self.is_draft and (not self.auto_advance or self.finalization_error is not None)

    def deadline(self, noticed_at: Instant) -> Instant:
        """
        Return when it takes no more usage; NEVER for one that is held open.

        A draft without a time is taken to have Stripe's shortest wait; ``noticed_at`` is when a draft was
        first missed, which is as late as it can have been deleted.
        """
        if self.is_held_open:
            return NEVER
        if self.is_draft:
            return self.created + DEFAULT_GRACE_PERIOD if self.finalizes_at is None else self.finalizes_at
        return noticed_at if self.finalized_at is None else self.finalized_at


@dataclass(frozen=True, slots=True)
class ItemVersion:
    """What was said of an item, and since when that is known here."""

    recorded_at: Instant
    item: PulledItem


@dataclass(frozen=True, slots=True)
class InvoiceVersion:
    """What was said of an invoice, and since when that is known here."""

    recorded_at: Instant
    invoice: PulledInvoice


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingFacts:
    """All that is known: every version of each item, the first and the latest of each invoice."""

    items: Mapping[str, Sequence[ItemVersion]]
    """Item -> its versions, in the order in which they were recorded."""
    first_invoices: Mapping[str, InvoiceVersion]
    """Invoice -> as it was first seen: with the deadline that Stripe gave it."""
    invoices: Mapping[str, InvoiceVersion]
    """Invoice -> as it was last seen."""

    def latest(self) -> list[PulledItem]:
        """Return every item as it was last seen, in a fixed order."""
        found = [versions[-1].item for versions in self.items.values()]
        return sorted(found, key=lambda one: (one.stripe_customer_id, one.subscription_id, one.item_id))

    def lines_by_item(self) -> dict[str, list[tuple[InvoiceVersion, BillingPeriod, list[PulledLine]]]]:
        """Return item -> its invoices with the period that each bills and its lines, by period."""
        found: dict[str, list[tuple[InvoiceVersion, BillingPeriod, list[PulledLine]]]] = {}
        for version in self.invoices.values():
            by_item: dict[str, list[PulledLine]] = {}
            for line in sorted(version.invoice.lines):
                by_item.setdefault(line.item_id, []).append(line)
            for item_id, lines in by_item.items():
                period = BillingPeriod(lines[0].start, max(line.end for line in lines))
                found.setdefault(item_id, []).append((version, period, lines))
        for invoices in found.values():
            invoices.sort(key=lambda one: (one[1], one[0].invoice.created, one[0].invoice.invoice_id))
        return found


def billed_items(facts: BillingFacts) -> dict[tuple[str, str], list[BilledItem]]:
    """Return (Stripe customer, event name) -> the items that bill it, with their invoices."""
    lines = facts.lines_by_item()
    found: dict[tuple[str, str], list[BilledItem]] = {}
    for item in facts.latest():
        billed = lines.get(item.item_id, [])
        changes = price_changes(facts.items[item.item_id], [own for _, _, own in billed])
        # A threshold invoice takes what there is so far; the period is still billed at its end.
        known = [
            _known_invoice(version, period, changes)
            for version, period, _ in billed
            if version.invoice.billing_reason != THRESHOLD
        ]
        found.setdefault((item.stripe_customer_id, item.event_name), []).append(
            BilledItem(
                subscription_id=item.subscription_id,
                cycle=item.cycle,
                current=item.period,
                start=item.start,
                end=item.end,
                price_changes=changes,
                invoices=tuple(known),
            )
        )
    return found


def price_changes(
    versions: Sequence[ItemVersion], lines_of_invoices: Iterable[Sequence[PulledLine]]
) -> tuple[Instant, ...]:
    """
    Return when an item's price is known to have changed in the middle of a period.

    The API keeps no history: it shows where two pulls within one period saw two prices, and where an
    invoice has a line for each price. Two pulls with a period's end between them say nothing of it.
    """
    found = {
        after.recorded_at
        for before, after in pairwise(versions)
        if before.item.price_id != after.item.price_id
        and before.item.period_start == after.item.period_start
        and after.item.period.holds(after.recorded_at)
    }
    for lines in lines_of_invoices:
        if len({line.price_id for line in lines}) > 1:
            first = min(line.start for line in lines)
            found |= {line.start for line in lines if line.start > first}
    return tuple(sorted(found))


def is_price_changed_in(period: BillingPeriod, changes: Iterable[Instant]) -> bool:
    """Tell whether a price changed within a period: usage reported after its end is on no invoice."""
    return any(period.start < change < period.end for change in changes)


def _known_invoice(
    version: InvoiceVersion, period: BillingPeriod, changes: Sequence[Instant]
) -> KnownInvoice:
    invoice = version.invoice
    deadline = invoice.deadline(version.recorded_at)
    if is_price_changed_in(period, changes):
        deadline = min(deadline, period.end)
    # Whether another invoice than that of the cycle closes its period for certain, Stripe does not say.
    is_final = not invoice.is_draft and invoice.billing_reason == CYCLE
    return KnownInvoice(period=period, deadline=deadline, is_final=is_final)
