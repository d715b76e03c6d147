"""The audit's periods for people: one by one, or added up by their deadlines where there are many."""

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from meterledger.cli.audit_document import LANDINGS, deadline_text
from meterledger.cli.output import count_text, print_table, quantity_text
from meterledger.domain.billing_period import BillingPeriod, calendar_month
from meterledger.domain.instant import DAY, Instant, to_text
from meterledger.domain.lateness import Landing
from meterledger.usecases.audit_answer import CustomerAtRisk, Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterledger.usecases.audit_answer import Amount, AuditOptions

_Row = TypeVar("_Row", Entry, CustomerAtRisk)

NO_METER = "(no meter)"

_MOST_TABLES = 12
"""More periods than this are added up: where each customer has its own, there may be thousands."""

_SHOWN = 20
"""Rows that name a customer; JSON has all."""

_NEAR_DAYS = 8
"""Deadlines of today and the days after it are added up by the day, others by the month."""


def print_entries(entries: "Sequence[Entry]", options: "AuditOptions", *, now: Instant) -> None:
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


@dataclass(slots=True)
class _Sum:
    """What the periods with a deadline in a stretch of time add up to."""

    periods: int
    whole: Entry


def _print_added_up(entries: "Sequence[Entry]", options: "AuditOptions", now: Instant) -> None:
    sums: dict[tuple[str, str, str], _Sum] = {}
    for entry in sorted(entries, key=lambda entry: entry.deadline):
        key = (_stretch(entry.deadline, now), entry.event_name or NO_METER, entry.source or "")
        if key not in sums:
            sums[key] = _Sum(0, Entry(entry.period, entry.deadline, entry.deadline_source, entry.event_name))
        sums[key].periods += entry.customers
        for where, amount in entry.amounts.items():
            sums[key].whole.amounts[where].add(amount.events, amount.quantity)
    stretches = list(dict.fromkeys(stretch for stretch, _, _ in sums))
    in_order = sorted(sums.items(), key=lambda item: (stretches.index(item[0][0]), item[0][1:]))
    columns = [("deadlines", "left"), ("meter", "left"), ("periods", "right")]
    columns += [(where.replace("_", " "), "right") for where in LANDINGS]
    if options.by_source:
        columns.insert(2, ("source", "left"))
    print_table(
        columns,
        [
            [
                stretch,
                meter,
                *([source] if options.by_source else []),
                count_text(one.periods),
                *(amount_cell(one.whole.amounts[where]) for where in LANDINGS),
            ]
            for (stretch, meter, source), one in in_order
        ],
        title="Customers' periods added up by their deadlines: usage events, their quantity below",
        caption="--format csv has each period",
    )


def _worst(rows: "Sequence[_Row]", now: Instant) -> "list[_Row]":
    """
    Return as many rows as are shown, of those which are over and of those which can still be saved.

    First what is over, the most missed usage events first; then what is ahead, with usage at risk before
    other usage, and the nearest deadline first. Each has half of the rows, and what the other leaves.
    """
    over, ahead = [], []
    for row in rows:
        is_over = row.amounts[Landing.MISSED].events or row.deadline < now
        (over if is_over else ahead).append(row)
    over.sort(key=lambda row: (*(-row.amounts[where].events for where in LANDINGS[:1:-1]), -row.deadline))
    ahead.sort(key=lambda row: (not row.amounts[Landing.AT_RISK].events, row.deadline))
    shown = over[: max(_SHOWN // 2, _SHOWN - len(ahead))]
    return shown + ahead[: _SHOWN - len(shown)]


def _print_unlanded(entries: "Sequence[Entry]", now: Instant) -> None:
    """Print the customers' periods of which some usage has not landed, the worst first."""
    unlanded = [one for one in entries if any(one.amounts[where].events for where in LANDINGS[1:])]
    landed = len(entries) - len(unlanded)
    more = f"{count_text(len(unlanded) - _SHOWN)} more have not, " if len(unlanded) > _SHOWN else ""
    print_table(
        [
            ("customer", "left"),
            ("meter", "left"),
            ("deadline", "left"),
            *((where.replace("_", " "), "right") for where in LANDINGS),
        ],
        [
            [
                one.customer_id,
                one.event_name or NO_METER,
                deadline_text(one.deadline) or "held open",
                *(amount_cell(one.amounts[where]) for where in LANDINGS),
            ]
            for one in _worst(unlanded, now)
        ],
        title="Customers' periods that have not landed whole: usage events, their quantity below",
        caption=f"{more}{count_text(landed)} have; --format csv has all",
    )


def print_customers_at_risk(customers: "Sequence[CustomerAtRisk]", *, now: Instant) -> None:
    """Print whose usage is at risk or missed, the worst first."""
    if not customers:
        return
    worst = _worst(customers, now)
    more = len(customers) - len(worst)
    missed, shown = (
        sum(one.amounts[Landing.MISSED].events > 0 for one in some) for some in (customers, worst)
    )
    of_which = f", {count_text(missed - shown)} of them with missed usage" if missed > shown else ""
    print_table(
        [
            ("customer", "left"),
            ("meter", "left"),
            ("deadline", "left"),
            ("at risk", "right"),
            ("missed", "right"),
        ],
        [
            [
                one.customer_id,
                one.event_name or NO_METER,
                deadline_text(one.deadline) or "held open",
                *(amount_cell(one.amounts[where]) for where in (Landing.AT_RISK, Landing.MISSED)),
            ]
            for one in worst
        ],
        title="Customers with usage at risk or missed: usage events, their quantity below",
        caption=f"and {count_text(more)} more{of_which}; --format json has all" if more > 0 else "",
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


def _deadline_words(deadline: Instant) -> str:
    text = deadline_text(deadline)
    return "held open" if text is None else f"deadline {text}"


def _stretch(deadline: Instant, now: Instant) -> str:
    """Write the day of a deadline, or its month where it is over or far away."""
    text = deadline_text(deadline)
    if text is None:
        return "held open"
    if deadline < now:
        return f"{text[:7]} (over)"
    near_until = (now // DAY + _NEAR_DAYS) * DAY
    if deadline < near_until:
        return text[:10]
    return f"later in {text[:7]}" if to_text(near_until - 1)[:7] == text[:7] else text[:7]
