"""What people are shown of an audit of many customers, each with billing periods of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from meterledger.domain.dues import NEVER
from meterledger.domain.instant import DAY, Instant, to_text
from meterledger.domain.lateness import Landing
from meterledger.usecases.audit_answer import Amount, CustomerAtRisk, Entry

HELD_OPEN = "held open"
"""In place of a deadline where the draft has none."""

_NEAR_DAYS = 8
"""Deadlines of today and the days after it are added up by the day, others by the month."""

_Row = TypeVar("_Row", Entry, CustomerAtRisk)


@dataclass(slots=True, kw_only=True)
class Stretch:
    """What the periods of a meter with a deadline in a stretch of time add up to."""

    deadlines: str
    """The stretch: a day, or a month."""
    event_name: str | None
    source: str | None
    periods: int = 0
    amounts: dict[Landing, Amount] = field(default_factory=lambda: {where: Amount() for where in Landing})


def added_up(entries: Sequence[Entry], now: Instant) -> list[Stretch]:
    """Add entries up by their deadlines, in the order of these: a line for each meter, and source if any."""
    sums: dict[tuple[str, str | None, str | None], Stretch] = {}
    places: dict[str, int] = {}
    for entry in sorted(entries, key=lambda entry: entry.deadline):
        deadlines = _stretch(entry.deadline, now)
        places.setdefault(deadlines, len(places))
        key = (deadlines, entry.event_name, entry.source)
        if key not in sums:
            sums[key] = Stretch(deadlines=deadlines, event_name=entry.event_name, source=entry.source)
        sums[key].periods += entry.customers
        for where, amount in entry.amounts.items():
            sums[key].amounts[where].add(amount.events, amount.quantity)
    return sorted(
        sums.values(), key=lambda one: (places[one.deadlines], one.event_name or "", one.source or "")
    )


def worst(rows: Sequence[_Row], now: Instant, *, most: int) -> list[_Row]:
    """
    Return the rows that matter most, as many as are shown: some are over, others can still be saved.

    First what is over, the most missed usage events first; then what is ahead, with usage at risk before
    other usage, and the nearest deadline first. Each has half of the rows, and what the other leaves.
    """
    over: list[_Row] = []
    ahead: list[_Row] = []
    for row in rows:
        is_over = row.amounts[Landing.MISSED].events or row.deadline < now
        (over if is_over else ahead).append(row)
    over.sort(
        key=lambda row: (
            -row.amounts[Landing.MISSED].events,
            -row.amounts[Landing.AT_RISK].events,
            -row.deadline,
        )
    )
    ahead.sort(key=lambda row: (not row.amounts[Landing.AT_RISK].events, row.deadline))
    shown = over[: max(most // 2, most - len(ahead))]
    return shown + ahead[: most - len(shown)]


def _stretch(deadline: Instant, now: Instant) -> str:
    """Write the day of a deadline, or its month where it is over or far away."""
    if deadline == NEVER:
        return HELD_OPEN
    text = to_text(deadline)
    if deadline < now:
        return f"{text[:7]} (over)"
    near_until = (now // DAY + _NEAR_DAYS) * DAY
    if deadline < near_until:
        return text[:10]
    return f"later in {text[:7]}" if to_text(near_until - 1)[:7] == text[:7] else text[:7]
