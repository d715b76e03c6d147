"""
What grace periods do not cover, and where Stripe's are others than those of the config.

Pure: what was pulled goes in, what a person should know comes out, in a fixed order.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from meterledger.domain.billing_facts import (
    DELETED,
    FIRST,
    THRESHOLD,
    BillingFacts,
    InvoiceVersion,
    PulledInvoice,
    PulledItem,
    PulledLine,
    is_price_changed_in,
    price_changes,
)
from meterledger.domain.billing_period import BillingPeriod
from meterledger.domain.instant import DAY, MINUTE, SECOND, Instant

LOOK_BACK = 45 * DAY
"""Older than this no usage can be sent any more, and nothing can be mended."""

SAME_GRACE = MINUTE
"""Grace periods closer than this are one: Stripe makes a draft some seconds after the period's end."""

_DAYS = {"day": DAY, "week": 7 * DAY}

Billed = Sequence[tuple[InvoiceVersion, BillingPeriod, list[PulledLine]]]


class GraceCase(StrEnum):
    """What a person should know of a deadline; the codes of findings."""

    GRACE_MISMATCH = "grace_mismatch"
    FIRST_INVOICE = "first_invoice"
    THRESHOLD_INVOICE = "threshold_invoice"
    PRICE_CHANGED = "price_changed"
    PRICE_CHANGE_PENDING = "price_change_pending"
    CANCELED_UNINVOICED = "canceled_uninvoiced"
    GRACE_NOT_SHORTER = "grace_not_shorter"
    DRAFT_HELD_OPEN = "draft_held_open"
    DRAFT_DELETED = "draft_deleted"
    DEADLINE_MOVED = "deadline_moved"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CaseFound:
    """One case, with whom it is of; the figures of a mismatch in seconds."""

    case: GraceCase
    billing_reason: str = ""
    observed_seconds: int | None = None
    configured_seconds: int | None = None
    subscriptions: tuple[str, ...] = ()
    invoices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GraceQuestion:
    """What is asked: the facts, the grace period that is configured, and when."""

    facts: BillingFacts
    configured: Callable[[str, str], int]
    """(event name, Stripe customer) -> the configured grace period in microseconds."""
    now: Instant
    invoices_read: bool = True
    """Whether invoices were read: without them nobody can say that one is missing."""


def grace_cases(question: GraceQuestion) -> list[CaseFound]:
    """Return every case, each kind once; a mismatch once for each kind of invoice and pair of figures."""
    return [*_observed(question), *_of_items(question), *_of_invoices(question)]


def observed_grace(version: InvoiceVersion) -> int | None:
    """Return how long a draft waits by Stripe's own word, in microseconds, as it was first seen."""
    invoice = version.invoice
    if not invoice.is_draft or invoice.finalizes_at is None:
        return None
    return invoice.finalizes_at - invoice.created


def _observed(question: GraceQuestion) -> Iterator[CaseFound]:
    """Compare what drafts wait with the config; one that is alone with its time was moved by somebody."""
    facts = question.facts
    event_names = {item_id: versions[-1].item.event_name for item_id, versions in facts.items.items()}
    kinds: dict[tuple[str, int], dict[str, int]] = {}
    for invoice_id, version in facts.first_invoices.items():
        invoice, waits = version.invoice, observed_grace(version)
        names = {event_names[line.item_id] for line in invoice.lines if line.item_id in event_names}
        if waits is None or not names or invoice.created <= question.now - LOOK_BACK:
            continue
        configured = max(question.configured(name, invoice.stripe_customer_id) for name in names)
        kinds.setdefault((invoice.billing_reason, configured), {})[invoice_id] = waits
    moved: set[str] = set()
    for (reason, configured), waits_of in sorted(kinds.items()):
        usual = _usual(waits_of.values())
        if abs(usual - configured) >= SAME_GRACE:
            same = [key for key, waits in waits_of.items() if abs(waits - usual) < SAME_GRACE]
            yield CaseFound(
                case=GraceCase.GRACE_MISMATCH,
                billing_reason=reason,
                observed_seconds=usual // SECOND,
                configured_seconds=configured // SECOND,
                subscriptions=_subscriptions(facts.invoices[key].invoice for key in same),
                invoices=tuple(sorted(same)),
            )
        moved |= {key for key, waits in waits_of.items() if abs(waits - usual) >= SAME_GRACE}
    yield from _found(
        GraceCase.DEADLINE_MOVED, [one for one in _drafts(facts) if _is_moved(facts, one, moved)]
    )


def _is_moved(facts: BillingFacts, draft: PulledInvoice, unusual: set[str]) -> bool:
    first = facts.first_invoices[draft.invoice_id].invoice
    changed = (
        None not in (first.finalizes_at, draft.finalizes_at) and first.finalizes_at != draft.finalizes_at
    )
    return draft.invoice_id in unusual or changed


def _usual(waits: Iterable[int]) -> int:
    """Return the grace period that most have; of several the longest, as Stripe's rules would have it."""
    counted = Counter(waits)
    return max(counted, key=lambda one: (counted[one], one))


def _of_items(question: GraceQuestion) -> Iterator[CaseFound]:
    """Find what usage within grace is not billed, by the items of subscriptions."""
    facts, since = question.facts, question.now - LOOK_BACK
    billed = facts.lines_by_item()
    living, threshold, changed, pending, uninvoiced, daily = ([] for _ in range(6))
    for item in facts.latest():
        own = billed.get(item.item_id, [])
        if item.end > question.now:
            living.append(item)
        changes = price_changes(facts.items[item.item_id], [lines for _, _, lines in own])
        periods = [item.period, *(period for _, period, _ in own)]
        if any(is_price_changed_in(one, [c for c in changes if c > since]) for one in periods):
            changed.append(item)
        if question.invoices_read and _is_uninvoiced(item, own, since):
            uninvoiced.append(item)
    for item in living:
        if item.has_thresholds:
            threshold.append(item)
        if item.has_pending_update:
            pending.append(item)
        length = _DAYS.get(item.interval_unit, 31 * DAY) * item.interval_count
        if question.configured(item.event_name, item.stripe_customer_id) >= length:
            daily.append(item)
    threshold_invoices = [
        one.invoice for one in facts.invoices.values() if one.invoice.billing_reason == THRESHOLD
    ]
    recent = [one for one in threshold_invoices if one.created > since]
    yield from _found(GraceCase.THRESHOLD_INVOICE, recent, threshold)
    yield from _found(GraceCase.PRICE_CHANGED, [], changed)
    yield from _found(GraceCase.PRICE_CHANGE_PENDING, [], pending)
    yield from _found(GraceCase.CANCELED_UNINVOICED, [], uninvoiced)
    yield from _found(GraceCase.GRACE_NOT_SHORTER, [], daily)


def _is_uninvoiced(item: PulledItem, billed: Billed, since: Instant) -> bool:
    """Tell whether an item ended lately, and no invoice bills its last stretch."""
    if item.ended_at is None or not since < item.ended_at or item.start >= item.ended_at:
        return False
    return not any(
        period.end >= item.ended_at and version.invoice.billing_reason != THRESHOLD
        for version, period, _ in billed
    )


def _of_invoices(question: GraceQuestion) -> Iterator[CaseFound]:
    facts, since = question.facts, question.now - LOOK_BACK
    lately = [one.invoice for one in facts.invoices.values() if one.invoice.created > since]
    yield from _found(GraceCase.FIRST_INVOICE, [one for one in lately if one.billing_reason == FIRST])
    yield from _found(GraceCase.DRAFT_HELD_OPEN, [one for one in _drafts(facts) if one.is_held_open])
    yield from _found(GraceCase.DRAFT_DELETED, [one for one in lately if one.status == DELETED])


def _drafts(facts: BillingFacts) -> list[PulledInvoice]:
    return [one.invoice for one in facts.invoices.values() if one.invoice.is_draft]


def _found(
    case: GraceCase, invoices: Sequence[PulledInvoice], items: Sequence[PulledItem] = ()
) -> Iterator[CaseFound]:
    """Yield a case if there is anybody that it is of."""
    if invoices or items:
        subscriptions = {*_subscriptions(invoices), *(item.subscription_id for item in items)}
        yield CaseFound(
            case=case,
            subscriptions=tuple(sorted(subscriptions)),
            invoices=tuple(sorted(invoice.invoice_id for invoice in invoices)),
        )


def _subscriptions(invoices: Iterable[PulledInvoice]) -> tuple[str, ...]:
    return tuple(sorted({invoice.subscription_id for invoice in invoices}))
