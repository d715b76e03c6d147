"""Write off: close blocked or rejected usage for good, with what a person said of it."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from meterledger.config import Settings
from meterledger.domain.blocking import BlockReason
from meterledger.domain.instant import Instant
from meterledger.domain.meter_event import UsageToSeal
from meterledger.domain.usage import shown
from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.usecases.door import lease_held
from meterledger.usecases.planning import Planner, refuse_clock_set_back

LISTED = 100
"""Usage events that a report lists; all can be found with `explain`."""

REJECTED = "rejected"
"""Beside the reasons of a block: Stripe certainly does not count it, and nobody wants it sent again."""

REASONS = (*(reason.value for reason in BlockReason), REJECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOffOptions:
    """
    What the user asked for: request_ids, or all that is blocked and fits every filter.

    Rejected usage is chosen by its request_id, or with the reason ``rejected``.
    """

    note: str
    request_ids: Sequence[str] = ()
    reason: str | None = None
    """One of REASONS."""
    source: str | None = None
    customer: str | None = None
    feature: str | None = None
    before: Instant | None = None
    """Usage with an event_time before it."""
    dry_run: bool = False

    def fits(self, usage: UsageToSeal) -> bool:
        """Tell whether the filters let a usage event through; the reason is another question."""
        return (
            self.source in (None, usage.source)
            and self.customer in (None, usage.customer_id)
            and self.feature in (None, usage.feature)
            and (self.before is None or usage.event_time < self.before)
        )


@dataclass(slots=True, kw_only=True)
class WriteOffReport:
    """What was written off, or would be."""

    written_off: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    listed: list[tuple[UsageToSeal, str]] = field(default_factory=list)
    """The first ones."""


@dataclass(slots=True)
class _Chosen:
    """Usage to be closed, kept small: there may be very much of it."""

    report: WriteOffReport = field(default_factory=WriteOffReport)
    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    reasons: bytearray = field(default_factory=bytearray)
    rejected: set[int] = field(default_factory=set)
    """Meter events that let go of their usage."""

    def add(self, usage: UsageToSeal, reason: str) -> None:
        """Choose one more."""
        self.numbers.append(usage.usage_event)
        self.reasons.append(REASONS.index(reason))
        self.report.written_off += 1
        self.report.by_reason[reason] += 1
        if len(self.report.listed) < LISTED:
            self.report.listed.append((usage, reason))

    def pairs(self) -> Iterator[tuple[int, str]]:
        """Yield each usage event with its reason."""
        for number, reason in zip(self.numbers, self.reasons, strict=True):
            yield number, REASONS[reason]


def write_off(
    ledger: Ledger, settings: Settings, options: WriteOffOptions, *, clock: Callable[[], Instant]
) -> WriteOffReport:
    """
    Close usage that is blocked or rejected now, in one transaction: all that was asked for, or nothing.

    A meter event that carries much usage is written off whole or not at all: the rest would be sent again.

    Raises:
        UsageError: Usage that was named is neither blocked nor rejected, not in the ledger, in several
            sources, or only some of what a rejected meter event carries.
        LedgerError: A push is at work, or the clock was set back.
    """
    refuse_clock_set_back(ledger, clock())
    if options.dry_run:
        with ledger.database.snapshot():
            return _choose(ledger, Planner(ledger, settings, clock()), options).report
    with lease_held(ledger, clock) as token, ledger.database.transaction():
        now = clock()
        planner = Planner(ledger, settings, now)
        chosen = _choose(ledger, planner, options)
        stale = _carriers(ledger, planner, set(chosen.numbers)) if chosen.numbers else []
        ledger.closures.write_off(
            chosen.pairs(), stale, sorted(chosen.rejected), note=options.note, token=token, now=now
        )
        return chosen.report


def _choose(ledger: Ledger, planner: Planner, options: WriteOffOptions) -> _Chosen:
    chosen = _Chosen()
    if options.request_ids:
        _choose_named(ledger, planner, options, chosen)
        return chosen
    if options.reason == REJECTED:
        for meter_event, carried in ledger.error_reports.rejected(with_voided=True).items():
            if all(map(options.fits, carried)):
                _add_rejected(chosen, meter_event, carried)
        return chosen
    for usage in _waiting(ledger, planner):
        reason = planner.standing_of(usage) if options.fits(usage) else None
        if reason is not None and options.reason in (None, reason):
            chosen.add(usage, reason)
    return chosen


def _add_rejected(chosen: _Chosen, meter_event: int, carried: Sequence[UsageToSeal]) -> None:
    chosen.rejected.add(meter_event)
    for usage in carried:
        chosen.add(usage, REJECTED)


def _waiting(ledger: Ledger, planner: Planner) -> Iterator[UsageToSeal]:
    """Yield what is unsealed, and what is sealed, never reached Stripe, and would be sealed anew."""
    yield from ledger.unsealed.all()
    for event in planner.stale():
        yield from ledger.outbox.usage_of(event.id)


def _carriers(ledger: Ledger, planner: Planner, numbers: set[int]) -> list[int]:
    """Return the meter events that carry any of the usage: they are dissolved first."""
    return [
        event.id
        for event in planner.stale()
        if any(usage.usage_event in numbers for usage in ledger.outbox.usage_of(event.id))
    ]


def _choose_named(ledger: Ledger, planner: Planner, options: WriteOffOptions, chosen: _Chosen) -> None:
    stale = {
        usage.usage_event: usage for event in planner.stale() for usage in ledger.outbox.usage_of(event.id)
    }
    rejected = ledger.error_reports.rejected(with_voided=True)
    carriers = {usage.usage_event: number for number, carried in rejected.items() for usage in carried}
    refused, named = [], set()
    for request_id in dict.fromkeys(options.request_ids):
        rows = [
            row
            for row in ledger.closures.usage_of_request(request_id)
            if options.source in (None, row["source"])
        ]
        if len(rows) != 1:
            refused.append(f"{shown(request_id)} {_nowhere_or_twice([row['source'] for row in rows])}")
            continue
        [row] = rows
        usage = stale.get(row["id"]) or ledger.unsealed.one(row["id"])
        reason = planner.standing_of(usage) if usage else None
        if usage is not None and reason is not None:
            chosen.add(usage, reason)
        elif row["id"] in carriers:
            named.add(row["id"])
        else:
            refused.append(f"{shown(request_id)} is {row['state']}")
    for number in dict.fromkeys(carriers[usage_event] for usage_event in sorted(named)):
        _add_rejected(chosen, number, rejected[number])
        left = [usage for usage in rejected[number] if usage.usage_event not in named]
        if left:
            refused.append(f"{shown(left[0].request_id)} is in one meter event with another, and not named")
    if refused:
        raise UsageError(
            f"only blocked or rejected usage can be written off: {'; '.join(refused)}",
            hint="nothing was changed; `meterledger preview` names what is blocked, `status` the rejected",
        )


def _nowhere_or_twice(sources: list[str]) -> str:
    if not sources:
        return "is not in the ledger"
    return f"is in the sources {', '.join(sources)}: name one with --source"
