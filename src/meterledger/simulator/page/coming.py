"""What will happen next by itself, in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from meterledger.simulator.billing.invoices import InvoiceStatus
from meterledger.simulator.billing.subscriptions import Status
from meterledger.simulator.state.account import Account


class _Kind(StrEnum):
    """What happens; in the order in which it is told."""

    DRAFT_ENDS = "draft"
    PERIOD_ENDS = "period"
    REPORT_COMES = "report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """What is due at an instant (epoch seconds), in words."""

    due: float
    text: str


def next_coming(accounts: list[Account]) -> Coming | None:
    """
    Return what is due next, over all accounts; None where nothing is.

    It is read from drafts and subscriptions and not from the timeline, which still holds deadlines that were
    moved since.
    """
    planned = [found for account in accounts for found in _planned(account)]
    if not planned:
        return None
    due = min(planned)[0]
    at_once = sorted((kind, name) for instant, kind, name in planned if instant == due)
    told = [
        _told(kind, [name for _, name in group]) for kind, group in groupby(at_once, key=lambda it: it[0])
    ]
    return Coming(due=due, text="; ".join(told))


def _planned(account: Account) -> Iterator[tuple[float, _Kind, str]]:
    for invoice in account.invoices.oldest_first():
        if invoice.status is InvoiceStatus.DRAFT and invoice.automatically_finalizes_at is not None:
            yield invoice.automatically_finalizes_at, _Kind.DRAFT_ENDS, invoice.id
    for subscription in account.subscriptions.oldest_first():
        if subscription.status is Status.ACTIVE:
            yield subscription.period_end, _Kind.PERIOD_ENDS, subscription.id
    for due in account.error_reports.dues():
        yield due, _Kind.REPORT_COMES, ""


def _told(kind: _Kind, names: list[str]) -> str:
    one = len(names) == 1
    match kind:
        case _Kind.DRAFT_ENDS:
            return f"{names[0]} becomes final" if one else f"{len(names)} drafts become final"
        case _Kind.PERIOD_ENDS:
            return f"the period of {names[0]} ends" if one else f"{len(names)} subscriptions' periods end"
        case _Kind.REPORT_COMES:
            return "refused usage is reported"
