"""The audit's periods for people: one by one, or added up by their deadlines where there are many."""

from itertools import groupby
from typing import TYPE_CHECKING

from meterledger.cli.audit_document import LANDINGS, deadline_text
from meterledger.cli.output import count_text, print_table, quantity_text
from meterledger.domain.billing_period import BillingPeriod, calendar_month
from meterledger.domain.instant import to_text
from meterledger.domain.lateness import Landing
from meterledger.usecases.audit_digest import added_up, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterledger.domain.instant import Instant
    from meterledger.usecases.audit_answer import Amount, AuditOptions, CustomerAtRisk, Entry

NO_METER = "(no meter)"

_MOST_TABLES = 12
"""More periods than this are added up: where each customer has its own, there may be thousands."""

_SHOWN = 20
"""Rows that name a customer; JSON has all."""


def print_entries(entries: "Sequence[Entry]", options: "AuditOptions", *, now: "Instant") -> None:
    """Print where usage stands by period and deadline; added up by deadline where those are many."""
    if len({(entry.period, entry.deadline) for entry in entries}) <= _MOST_TABLES:
        _print_each(entries, options)
    elif options.by_customer:
        _print_unlanded(entries, now)
    else:
        _print_added_up(entries, options, now)


def _print_each(entries: "Sequence[Entry]", options: "AuditOptions") -> None:
    """Print a table for each period and deadline, both above it, so that the rest fits a narrow terminal."""
    columns = [("meter", "left"), *((where.replace("_", " "), "right") for where in LANDINGS)]
    if options.by_customer:
        columns.insert(1, ("customer", "left"))
    elif options.by_source:
        columns.insert(1, ("source", "left"))
    else:
        columns.insert(1, ("customers", "right"))
    for (period, deadline), some in groupby(entries, key=lambda entry: (entry.period, entry.deadline)):
        print_table(
            columns,
            [
                [
                    entry.event_name or NO_METER,
                    entry.customer_id or entry.source or count_text(entry.customers),
                    *(amount_cell(entry.amounts[where]) for where in LANDINGS),
                ]
                for entry in some
            ],
            title=f"{period_text(period)}, {_deadline_words(deadline)}: usage events, their quantity below",
        )


def _print_added_up(entries: "Sequence[Entry]", options: "AuditOptions", now: "Instant") -> None:
    columns = [("deadlines", "left"), ("meter", "left"), ("periods", "right")]
    columns += [(where.replace("_", " "), "right") for where in LANDINGS]
    if options.by_source:
        columns.insert(2, ("source", "left"))
    print_table(
        columns,
        [
            [
                one.deadlines,
                one.event_name or NO_METER,
                *([one.source] if options.by_source else []),
                count_text(one.periods),
                *(amount_cell(one.amounts[where]) for where in LANDINGS),
            ]
            for one in added_up(entries, now)
        ],
        title="Customers' periods added up by their deadlines: usage events, their quantity below",
        caption="--format csv has each period",
    )


def _print_unlanded(entries: "Sequence[Entry]", now: "Instant") -> None:
    """Print the customers' periods of which some usage has not landed, the worst first."""
    unlanded = [one for one in entries if any(one.amounts[where].events for where in LANDINGS[1:])]
    landed = len(entries) - len(unlanded)
    more = f"{count_text(len(unlanded) - _SHOWN)} more have not, " if len(unlanded) > _SHOWN else ""
    _print_customers(
        worst(unlanded, now, most=_SHOWN),
        LANDINGS,
        title="Customers' periods that have not landed whole: usage events, their quantity below",
        caption=f"{more}{count_text(landed)} have; --format csv has all",
    )


def print_customers_at_risk(customers: "Sequence[CustomerAtRisk]", *, now: "Instant") -> None:
    """Print whose usage is at risk or missed, the worst first."""
    if not customers:
        return
    named = worst(customers, now, most=_SHOWN)
    more = len(customers) - len(named)
    missed, shown = (
        sum(one.amounts[Landing.MISSED].events > 0 for one in some) for some in (customers, named)
    )
    of_which = f", {count_text(missed - shown)} of them with missed usage" if missed > shown else ""
    _print_customers(
        named,
        (Landing.AT_RISK, Landing.MISSED),
        title="Customers with usage at risk or missed: usage events, their quantity below",
        caption=f"and {count_text(more)} more{of_which}; --format json has all" if more > 0 else "",
    )


def _print_customers(
    some: "Sequence[Entry | CustomerAtRisk]", landings: "Sequence[Landing]", *, title: str, caption: str
) -> None:
    print_table(
        [
            ("customer", "left"),
            ("meter", "left"),
            ("deadline", "left"),
            *((where.replace("_", " "), "right") for where in landings),
        ],
        [
            [
                one.customer_id,
                one.event_name or NO_METER,
                deadline_text(one.deadline) or "held open",
                *(amount_cell(one.amounts[where]) for where in landings),
            ]
            for one in some
        ],
        title=title,
        caption=caption,
    )


def period_text(period: BillingPeriod) -> str:
    """Write a period: a calendar month by its name, any other by its two ends."""
    start, end = to_text(period.start), to_text(period.end)
    return start[:7] if calendar_month(period.start) == period else f"{start} to {end}"


def amount_cell(amount: "Amount") -> str:
    """Write how many usage events, and below them what they add up to."""
    if not amount.events:
        return "0"
    return f"{count_text(amount.events)}\n{quantity_text(str(amount.quantity))}"


def _deadline_words(deadline: "Instant") -> str:
    text = deadline_text(deadline)
    return "held open" if text is None else f"deadline {text}"
