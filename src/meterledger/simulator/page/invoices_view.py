"""The page's table of invoices: what is on each, and what came too late for it."""

import math
from dataclasses import dataclass

from meterledger.simulator.billing.invoices import BillingReason, InvoiceStatus
from meterledger.simulator.control.billing_ledger import Row, rows_of_invoices
from meterledger.simulator.page.times import day_text, instant_text
from meterledger.simulator.state.account import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceView:
    """An invoice; billed and late have a line for each meter."""

    id: str
    customer: str
    period: str
    status: str
    draft: bool
    deadline: str
    billed: list[str]
    late: list[str]


def view_invoices(account: Account, now: float, most: int) -> tuple[list[InvoiceView], int]:
    """
    Gather an account's invoices: drafts by their deadline, then the others, the newest first.

    Args:
        account: The account.
        now: Seconds since the epoch.
        most: How many to gather; there may be hundreds of thousands, and counting a draft takes its time.

    Returns:
        The first of them, and how many more there are.
    """
    drafts, others = [], []
    for invoice in account.invoices.oldest_first():
        if invoice.status is InvoiceStatus.DRAFT:
            drafts.append(invoice)
        elif invoice.reason is not BillingReason.CREATE:
            others.append(invoice)
    drafts.sort(key=lambda draft: draft.automatically_finalizes_at or math.inf)
    others.sort(key=lambda invoice: invoice.finalized_at or 0, reverse=True)
    found = [*drafts, *others]
    shown = rows_of_invoices(account, found[:most], now)
    return [_invoice(row, periods, now) for row, periods in shown], len(found[most:])


def _invoice(row: Row, periods: list[Row], now: float) -> InvoiceView:
    return InvoiceView(
        id=row["id"],
        customer=row["customer"],
        period=f"{day_text(row['period_start'])} to {day_text(row['period_end'])}",
        status=row["status"],
        draft=row["status"] == InvoiceStatus.DRAFT,
        deadline=_deadline(row, now),
        billed=[_usage(period, "billed", "billed_events") for period in periods],
        late=[_usage(period, "late", "late_events") for period in periods if period["late_events"]],
    )


def _usage(period: Row, quantity: str, events: str) -> str:
    word = "event" if period[events] == 1 else "events"
    return f"{period['event_name']} {period[quantity]} ({period[events]} {word})"


def _deadline(row: Row, now: float) -> str:
    if row["finalized_at"] is not None:
        return instant_text(row["finalized_at"])
    due = row["automatically_finalizes_at"]
    if due is None:
        return "held open"
    return f"{instant_text(due)}, in {_span(int(due - now))}"


def _span(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{rest} s"
