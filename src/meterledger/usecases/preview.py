"""Preview: what push would send, and what it would not."""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from operator import attrgetter

from meterledger.domain.blocking import BlockReason
from meterledger.domain.meter_event import MeterEvent, UsageToSeal
from meterledger.domain.quantity import ZERO, Quantity
from meterledger.errors import UsageError
from meterledger.ledger.outbox import StoredMeterEvent
from meterledger.usecases.findings import Finding, counted, period_assumed
from meterledger.usecases.planning import (
    Hold,
    Planned,
    Planner,
    Settling,
    refuse_clock_set_back,
    refuse_coarser_scale,
)
from meterledger.usecases.rolling_up import Group, HeldBack, RollUp, Single

BLOCKED_LISTED = 100
"""Blocked usage events that a report lists."""


@dataclass(slots=True)
class Total:
    """Meter events of one meter and customer: how many, and what they add up to."""

    events: int = 0
    value: Quantity = ZERO


@dataclass(slots=True)
class Preview:
    """Totals that fill up while the meter events are drawn."""

    totals: dict[tuple[str, str], Total] = field(default_factory=dict)
    blocked: Counter[BlockReason] = field(default_factory=Counter)
    blocked_usage: list[tuple[UsageToSeal, BlockReason]] = field(default_factory=list)
    """The first of what is blocked."""
    waiting: int = 0
    settling: Settling = field(default_factory=Settling)
    """What waits for its roll-up window to settle."""
    alone: int = 0
    """Usage of rolled-up meters that goes one to one: the periods of its customer are not known."""
    past_deadline: int = 0
    """Meter events of periods whose invoice should be final by now."""
    assumes_periods: bool = False
    """Whether the billing period of any meter event is only assumed."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def events(self) -> int:
        """How many meter events were drawn so far."""
        return sum(total.events for total in self.totals.values())

    def _add(self, event: MeterEvent) -> None:
        total = self.totals.setdefault((event.event_name, event.stripe_customer_id), Total())
        total.events += 1
        total.value += event.quantity


def preview(
    planner: Planner,
    result: Preview,
    *,
    limit: int | None = None,
    retry_codes: Sequence[str] | None = None,
) -> Generator[MeterEvent, None, None]:
    """
    Yield the meter events that push would send now, in its order, and fill ``result`` on the way.

    Args:
        planner: Judges by the config, the clock and what Stripe said; the ledger is read and not changed.
        result: Complete when the last meter event was drawn.
        limit: Draw at most so many meter events; what is blocked is counted all the same.
        retry_codes: As if what was rejected with these codes (with any, if none is named) were sealed again;
            None if it is not.
    """
    refuse_coarser_scale(planner.ledger, planner.settings)
    if planner.as_of is None:
        refuse_clock_set_back(planner.ledger, planner.now)
    with planner.ledger.database.snapshot():
        for event in _meter_events(planner, result, retry_codes):
            if limit is not None and result.events >= limit:
                continue
            result._add(event)  # noqa: SLF001 # the generator and its result are one
            due = planner.due_of_sealed(event)
            result.past_deadline += due.deadline < planner.now
            result.assumes_periods = result.assumes_periods or not due.dates_known
            yield event
    result.findings.extend(_findings(planner, result))


def _findings(planner: Planner, result: Preview) -> Iterator[Finding]:
    if result.assumes_periods:
        yield period_assumed()
    if result.past_deadline:
        yield Finding(
            code="past_deadline",
            severity="warning",
            message=f"{counted(result.past_deadline, 'meter event')} of a period whose deadline is over: "
            "Stripe may take them and never bill them; see `meterledger audit`",
            details={"meter_events": result.past_deadline},
        )
    if result.waiting:
        yield Finding(
            code="waits_for_outcome",
            severity="warning",
            message=f"{counted(result.waiting, 'usage event')} held back: an earlier one of the same "
            "customer and meter is in doubt, and the order matters there",
            details={"usage_events": result.waiting},
        )
    if result.alone:
        yield Finding(
            code="periods_unknown",
            severity="info",
            message=f"{counted(result.alone, 'usage event')} of rolled-up meters one to one: the billing "
            'periods of the customers are not known; say anchors = "calendar" below [invoicing], or import a '
            "customers file with billing_cycle_anchor",
            details={"usage_events": result.alone},
        )
    past_horizon = planner.past_horizon() if planner.as_of is None else []
    if past_horizon:
        yield Finding(
            code="past_horizon",
            severity="warning",
            message=f"{counted(len(past_horizon), 'meter event')} with an outcome unknown for over 23 h: "
            "not sent again; the next push puts them in doubt",
            details={"meter_events": len(past_horizon)},
        )


def _meter_events(
    planner: Planner, result: Preview, retry_codes: Sequence[str] | None
) -> Iterator[MeterEvent]:
    if planner.as_of is None:
        resend, stale = planner.resendable(), planner.stale()
    else:
        resend, stale = [], []
    outbox = planner.ledger.outbox
    if planner.rolls_up:
        if retry_codes is not None:
            raise UsageError(
                "what a retry of rejected usage would send cannot be shown while a meter rolls up",
                hint="`meterledger explain IDENTIFIER` shows one; then `meterledger push --retry-rejected`",
            )
        yield from _rolled_up(planner, result, resend, [event.id for event in stale])
        return
    retried = [] if retry_codes is None else planner.ledger.error_reports.usage_of_rejected(retry_codes)
    dissolved = (usage for event in stale for usage in outbox.usage_of(event.id))
    sealed_anew = sorted((*dissolved, *retried), key=_in_order)
    unsealed = merge(sealed_anew, outbox.unsealed(planner.as_of), key=_in_order)
    for one in planner.schedule(resend, unsealed, attrgetter("event_time")):
        if isinstance(one, StoredMeterEvent):
            yield one.sealed
        else:
            yield from _judged(planner.decide(one), result)


def _rolled_up(
    planner: Planner, result: Preview, resend: list[StoredMeterEvent], stale: list[int]
) -> Iterator[MeterEvent]:
    rollup, usage_event = RollUp(planner, stale), planner.ledger.rollups.usage_event
    for one in planner.schedule(resend, rollup.items(), attrgetter("event_time")):
        match one:
            case StoredMeterEvent():
                yield one.sealed
            case Group():
                yield from (part.sealed for part in rollup.seal(one))
            case Single():
                yield from _judged(planner.decide(usage_event(one.usage_event)), result)
            case HeldBack(reason=BlockReason() as reason, usage_events=numbers):
                result.blocked[reason] += len(numbers)
                listed = numbers[: BLOCKED_LISTED - len(result.blocked_usage)]
                result.blocked_usage += ((usage_event(number), reason) for number in listed)
            case HeldBack():
                result.settling.add(len(one.usage_events), one.ready_at)
        if isinstance(one, Single) and one.rolls_up:
            result.alone += 1


def _in_order(usage: UsageToSeal) -> tuple[int, int]:
    return usage.event_time, usage.usage_event


def _judged(planned: Planned, result: Preview) -> Iterator[MeterEvent]:
    match planned.held_back:
        case None if planned.sealed:
            yield planned.sealed
        case Hold.EARLIER_IN_DOUBT:
            result.waiting += 1
        case BlockReason() as reason:
            result.blocked[reason] += 1
            if len(result.blocked_usage) < BLOCKED_LISTED:
                result.blocked_usage.append((planned.usage, reason))
