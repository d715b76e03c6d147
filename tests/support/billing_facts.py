"""What Stripe says of one subscription, as tests put it together; all instants of 2026."""

from dataclasses import replace
from typing import Any

from meterledger.domain.billing_facts import (
    BillingFacts,
    InvoiceVersion,
    ItemVersion,
    PulledInvoice,
    PulledItem,
    PulledLine,
)
from meterledger.domain.instant import Instant, parse_instant
from meterledger.ledger.subscriptions import Pull


def pull(recorded: Instant, *, account_id: str | None = "acct_1", whole: bool = True) -> Pull:
    """Return a reading of Stripe's subscriptions and invoices in test mode."""
    return Pull(
        account_id=account_id,
        mode="test",
        host="https://api.stripe.com",
        stripe_account="",
        subscriptions_read=whole,
        invoices_read=whole,
        recorded_at=recorded,
    )


def at(text: str) -> Instant:
    """Return an instant of 2026, `11-01` or `11-01T05:00`, in UTC."""
    return parse_instant(f"2026-{text if 'T' in text else text + 'T00:00'}:00Z")


def line(start: str, end: str, *, price: str = "price_1", item: str = "si_1") -> PulledLine:
    """Return a line that bills usage of [start, end)."""
    return PulledLine(item_id=item, price_id=price, start=at(start), end=at(end))


_ITEM = PulledItem(
    item_id="si_1",
    subscription_id="sub_1",
    stripe_customer_id="cus_1",
    event_name="calls",
    price_id="price_1",
    status="active",
    billing_mode="flexible",
    anchor=at("01-01"),
    interval_unit="month",
    interval_count=1,
    start=at("01-01"),
    period_start=at("11-01"),
    period_end=at("12-01"),
)
_DRAFT = PulledInvoice(
    invoice_id="in_1",
    subscription_id="sub_1",
    stripe_customer_id="cus_1",
    status="draft",
    billing_reason="subscription_cycle",
    created=at("11-01"),
    auto_advance=True,
    finalizes_at=at("11-01T01:00"),
    finalized_at=None,
    finalization_error=None,
    lines=(line("10-01", "11-01"),),
)


def pulled_item(**changes: Any) -> PulledItem:
    """Return an item that bills calls by calendar months, in November, but for the changes."""
    return replace(_ITEM, **changes)


def draft(**changes: Any) -> PulledInvoice:
    """Return the draft of October, which finalizes an hour after its end, but for the changes."""
    return replace(_DRAFT, **changes)


def final(finalized: str, **changes: Any) -> PulledInvoice:
    """Return the invoice of October, finalized then."""
    return draft(status="open", finalizes_at=None, finalized_at=at(finalized), **changes)


def facts(
    *items: tuple[str, PulledItem], invoices: tuple[tuple[str, PulledInvoice], ...] = ()
) -> BillingFacts:
    """Return what is known by items and invoices, each with when it was recorded, in this order."""
    versions: dict[str, list[ItemVersion]] = {}
    for recorded, item in items:
        versions.setdefault(item.item_id, []).append(ItemVersion(at(recorded), item))
    first: dict[str, InvoiceVersion] = {}
    latest: dict[str, InvoiceVersion] = {}
    for recorded, invoice in invoices:
        version = InvoiceVersion(at(recorded), invoice)
        first.setdefault(invoice.invoice_id, version)
        latest[invoice.invoice_id] = version
    return BillingFacts(items=versions, first_invoices=first, invoices=latest)
