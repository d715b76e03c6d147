"""The page's tables of billing: invoices, what runs towards one, and usage that is on none."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from meterledger.simulator.billing.invoices import BillingReason, Invoice, InvoiceStatus
from meterledger.simulator.control.billing_ledger import Row, rows_of_invoices, rows_of_open_usage
from meterledger.simulator.page.times import instant_text, short_text, span_text
from meterledger.simulator.state.account import Account

_PLACES = 2  # of the amounts of most currencies
_WITHOUT_PLACES = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf")
)
_WITH_THREE_PLACES = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerView:
    """A customer's id, and its name where it was given one."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceView:
    """An invoice; billed and late have a line for each meter, left is how long a draft has."""

    id: str
    customer: CustomerView
    period: str
    status: str
    draft: bool
    deadline: str
    left: str
    billed: list[str]
    late: list[str]
    total: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningView:
    """A period that no invoice was made for yet; usage has a line for each meter."""

    subscription: str
    customer: CustomerView
    period: str
    usage: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnbilledView:
    """Usage that is on no invoice and will be on none, unless its customer subscribes."""

    customer: CustomerView
    usage: str
    when: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingView:
    """
    The three tables of an account.

    Attributes:
        invoices: Drafts by their deadline, then the others, the newest first.
        more_invoices: How many more there are.
        running: The one that ends first comes first.
        unbilled: By customer.
    """

    invoices: list[InvoiceView]
    more_invoices: int
    running: list[RunningView]
    unbilled: list[UnbilledView]


def view_billing(account: Account, now: float, most: int) -> BillingView:
    """
    Gather an account's billing.

    Args:
        account: The account.
        now: Seconds since the epoch.
        most: How many invoices to gather; there may be hundreds of thousands, and counting a draft takes its
            time.
    """
    invoices = _in_order(account.invoices.oldest_first())
    periods, unbilled = rows_of_open_usage(account)
    return BillingView(
        invoices=[
            _invoice(account, row, billed, now)
            for row, billed in rows_of_invoices(account, invoices[:most], now)
        ],
        more_invoices=len(invoices[most:]),
        running=_running(account, periods),
        unbilled=_unbilled(account, periods, unbilled),
    )


def _in_order(invoices: Iterable[Invoice]) -> list[Invoice]:
    shown = [
        invoice
        for invoice in invoices
        if invoice.reason is not BillingReason.CREATE or any(line.end > line.start for line in invoice.lines)
    ]
    drafts = [invoice for invoice in shown if invoice.status is InvoiceStatus.DRAFT]
    others = [invoice for invoice in shown if invoice.status is not InvoiceStatus.DRAFT]
    drafts.sort(key=lambda draft: draft.automatically_finalizes_at or math.inf)
    others.sort(key=lambda invoice: invoice.finalized_at or 0, reverse=True)
    return [*drafts, *others]


def _invoice(account: Account, row: Row, periods: list[Row], now: float) -> InvoiceView:
    due = row["finalized_at"] or row["automatically_finalizes_at"]
    is_draft = row["status"] == InvoiceStatus.DRAFT
    return InvoiceView(
        id=row["id"],
        customer=_customer(account, row["customer"]),
        period=_period(row["period_start"], row["period_end"]),
        status=row["status"],
        draft=is_draft,
        deadline="held open" if due is None else instant_text(due),
        left=f"in {span_text(int(due - now))}" if is_draft and due is not None else "",
        billed=[_usage(period, "billed", "billed_events") for period in periods],
        late=[_usage(period, "late", "late_events") for period in periods if period["late_events"]],
        total=_money(row["total"], account.invoices.get(row["id"]).currency),
    )


def _running(account: Account, periods: Iterable[Row]) -> list[RunningView]:
    running = [period for period in periods if period["state"] == "running"]
    running.sort(key=lambda row: (row["end"], row["customer"], row["subscription"]))
    return [
        RunningView(
            subscription=subscription,
            customer=_customer(account, together[0]["customer"]),
            period=_period(min(row["start"] for row in together), together[0]["end"]),
            usage=[_usage(row, "total", "events") for row in together],
        )
        for subscription, group in groupby(running, key=lambda row: row["subscription"])
        for together in [list(group)]
    ]


def _unbilled(account: Account, periods: Iterable[Row], rows: Iterable[Row]) -> list[UnbilledView]:
    dropped = [period for period in periods if period["state"] == "dropped" and period["events"]]
    found = [(row, "its price ended without an invoice") for row in dropped]
    found += [(row, "no subscription to this meter then") for row in rows]
    found.sort(key=lambda each: (each[0]["customer"], each[0]["event_name"]))
    return [
        UnbilledView(
            customer=_customer(account, row["customer"]),
            usage=_usage(row, "total", "events"),
            when=_period(row["start"], row["end"]),
            why=why,
        )
        for row, why in found
    ]


def _customer(account: Account, customer_id: str) -> CustomerView:
    known = account.customers.knows(customer_id)
    name = account.customers.get(customer_id).details.get("name") if known else None
    return CustomerView(id=customer_id, name=name or "")


def _usage(row: Row, quantity: str, events: str) -> str:
    word = "event" if row[events] == 1 else "events"
    return f"{row['event_name']} {row[quantity]} ({row[events]} {word})"


def _period(start: int | None, end: int | None) -> str:
    match start, end:
        case None, None:
            return "at any time"
        case None, int():
            return f"before {short_text(end)}"
        case int(), None:
            return f"from {short_text(start)} on"
        case int(), int():
            return f"{short_text(start)} to {short_text(end)}"
    raise AssertionError(start, end)


def _money(smallest: int, currency: str) -> str:
    places = 0 if currency in _WITHOUT_PLACES else 3 if currency in _WITH_THREE_PLACES else _PLACES
    return f"{Decimal(smallest).scaleb(-places):f} {currency}"
