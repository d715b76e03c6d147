"""What the pictures of the audit show: shares and rows, bounded so that a picture can be read."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count

from meterledger.domain.billing_period import BillingPeriod, calendar_month
from meterledger.domain.dues import NEVER
from meterledger.domain.instant import DAY, Instant, to_datetime
from meterledger.domain.lateness import BIN_EDGES, Landing
from meterledger.reporting.words import LANDING_WORDS, NO_METER, harmless, period_text
from meterledger.usecases.audit_answer import Audit

MOST_CURVES = 6
"""Lines that can be told apart in one picture."""

MOST_BARS = 10
MOST_DEADLINES = 14
MOST_CROWDED = 100
"""With more deadlines than this, a period is named by the minute of its end."""

_MOST_TROUBLED = 9
_TROUBLE = (Landing.MISSED, Landing.AT_RISK)
_FAR = 400 * DAY
_MOST_LETTERS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line: how many of a whole, at each place of the axis."""

    name: str
    whole: int
    parts: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """The lines with the most usage events; how many more there are."""

    shown: Sequence[Curve]
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBar:
    """How many usage events of a source and meter stand where."""

    name: str
    events: dict[str, int]
    """By the words of `LANDING_WORDS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineRow:
    """A period and deadline, with the worst that is true of its usage."""

    name: str
    period: BillingPeriod
    deadline: Instant
    state: str


def delay_curves(result: Audit) -> Curves:
    """Return how many usage events were accepted within each of `BIN_EDGES`, by source and meter."""
    lines = [line for line in result.delays if line.kind == "ingestion"]
    name = _namer({line.event_name for line in lines})
    return _most(
        Curve(
            name=name(line.source, line.event_name),
            whole=line.summary.count,
            parts=list(accumulate(line.histogram[: len(BIN_EDGES)])),
        )
        for line in lines
    )


def missed_curves(result: Audit) -> Curves:
    """Return how many usage events each hour of grace period, from 0 to 72, would have missed, by meter."""
    return _most(
        Curve(
            name=_short(curve.event_name or NO_METER),
            whole=curve.usage.events,
            parts=[amount.events for amount in curve.missed],
        )
        for curve in result.missed_curves
    )


def source_bars(result: Audit) -> list[SourceBar]:
    """Return where usage of each source stands, the largest first, as many as a picture can hold."""
    name = _namer({one.event_name for one in result.sources})
    whole = sorted(result.sources, key=lambda one: -sum(amount.events for amount in one.amounts.values()))
    bars: list[SourceBar] = []
    for one in whole[:MOST_BARS]:
        bars.append(
            SourceBar(
                name=_unlike(name(one.source, one.event_name), {bar.name for bar in bars}),
                events={words: one.amounts[where].events for where, words in LANDING_WORDS.items()},
            )
        )
    return bars


def deadline_rows(result: Audit) -> tuple[list[DeadlineRow], int]:
    """
    Return the deadlines of a picture in their order, and how many are left out.

    Those with usage missed or at risk come first, but not alone; then the next ones ahead. What is more than
    a year away would press the rest together.
    """
    found: dict[tuple[BillingPeriod, Instant], set[Landing]] = {}
    for entry in result.entries:
        states = found.setdefault((entry.period, entry.deadline), set())
        states |= {where for where, amount in entry.amounts.items() if amount.events}
    rows = [
        (period, deadline, next((where for where in LANDING_WORDS if where in states), Landing.LANDED))
        for (period, deadline), states in found.items()
    ]
    near = sorted(
        (row for row in rows if abs(row[0].end - result.as_of) <= _FAR),
        key=lambda row: (row[1] < result.as_of, abs(row[1] - result.as_of), row[0]),
    )
    troubled = [row for row in near if row[2] in _TROUBLE]
    others = [row for row in near if row[2] not in _TROUBLE]
    kept = troubled[: max(_MOST_TROUBLED, MOST_DEADLINES - len(others))]
    chosen = sorted((kept + others)[:MOST_DEADLINES], key=lambda row: (row[1], row[0]))
    shown: list[DeadlineRow] = []
    for period, deadline, state in chosen:
        # Where each customer has a period of its own, many begin and end on the same two days.
        own = f"to {to_datetime(period.end):%d %b %H:%M}"
        name = own if len(rows) > MOST_CROWDED else _short_period(period)
        name += ", held open" if deadline == NEVER else ""
        shown.append(
            DeadlineRow(
                name=_unlike(name, {row.name for row in shown}),
                period=period,
                deadline=deadline,
                state=LANDING_WORDS[state],
            )
        )
    return shown, len(rows) - len(shown)


def _short_period(period: BillingPeriod) -> str:
    if calendar_month(period.start) == period:
        return period_text(period)
    return f"{to_datetime(period.start):%d %b} to {to_datetime(period.end):%d %b}"


def _most(curves: Iterable[Curve]) -> Curves:
    ordered = sorted((one for one in curves if one.whole), key=lambda one: (-one.whole, one.name))
    named: list[Curve] = []
    for curve in ordered[:MOST_CURVES]:
        named.append(replace(curve, name=_unlike(curve.name, {one.name for one in named})))
    return Curves(shown=named, left_out=len(ordered) - len(named))


def _namer(meters: set[str | None]) -> Callable[[str, str | None], str]:
    """Return what names a source and meter: by the source alone where there is one meter."""
    if len(meters) <= 1:
        return lambda source, _: _short(source)
    return lambda source, event_name: _short(f"{source}, {event_name or NO_METER}")


def _unlike(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken: two names that are cut alike would be one line of a picture."""
    names = set(taken)
    return next(one for n in count(1) if (one := name if n == 1 else f"{name} ({n})") not in names)


def _short(name: str) -> str:
    name = harmless(name)
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"
