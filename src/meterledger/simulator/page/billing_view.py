"""The page's tables of billing: invoices, what runs towards one, and usage that is on none."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

from meterledger.simulator.billing.invoices import BillingReason, InvoiceStatus
from meterledger.simulator.control.billing_ledger import billing_rows
from meterledger.simulator.page.times import instant_text, short_text, span_text
from meterledger.simulator.state.account import Account

Row = Mapping[str, Any]
"""A row of the ledger's page."""

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
        running: The one that ends first comes first.
        unbilled: By customer.
    """

    invoices: list[InvoiceView]
    running: list[RunningView]
    unbilled: list[UnbilledView]


def view_billing(account: Account, now: float) -> BillingView:
    """Gather an account's billing; now is in epoch seconds."""
    rows = billing_rows([account], now)
    return BillingView(
        invoices=_invoices(account, rows["invoices"], rows["periods"], now),
        running=_running(account, rows["periods"]),
        unbilled=_unbilled(account, rows["periods"], rows["unbilled"]),
    )


def _invoices(account: Account, rows: Iterable[Row], periods: Iterable[Row], now: float) -> list[InvoiceView]:
    billed: dict[str | None, list[Row]] = defaultdict(list)
    for period in periods:
        billed[period["invoice"]].append(period)
    shown = [row for row in rows if row["billing_reason"] != BillingReason.CREATE or row["id"] in billed]
    drafts = [row for row in shown if row["status"] == InvoiceStatus.DRAFT]
    others = [row for row in shown if row["status"] != InvoiceStatus.DRAFT]
    drafts.sort(key=lambda row: row["automatically_finalizes_at"] or float("inf"))
    others.sort(key=lambda row: row["finalized_at"] or 0, reverse=True)
    return [_invoice(account, row, billed[row["id"]], now) for row in (*drafts, *others)]


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
