"""Preview: what push would send, and what it would not."""

from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from itertools import chain, islice
from typing import TYPE_CHECKING

from meterledger.domain.blocking import BlockReason
from meterledger.domain.meter_event import MeterEvent, UsageToSeal
from meterledger.domain.quantity import ZERO, Quantity, exact_sum
from meterledger.ledger.outbox import StoredMeterEvent
from meterledger.usecases.findings import Finding, counted, period_assumed
from meterledger.usecases.judging import Judge
from meterledger.usecases.planning import (
    Hold,
    Planned,
    Planner,
    SealedBefore,
    refuse_clock_set_back,
    refuse_coarser_scale,
)
from meterledger.usecases.queueing import Queue, Single, always_a_place, queue_pending, unknown_first
from meterledger.usecases.rolling_up import Group, HeldBack, RollUp
from meterledger.usecases.standing import Settling

READ_AT_ONCE = 1000
"""Usage events read in one statement."""

if TYPE_CHECKING:
    from meterledger.domain.dues import Due
    from meterledger.domain.instant import Instant
    from meterledger.domain.sending_order import Lane

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

    def _add(self, event: MeterEvent, planner: Planner) -> None:
        total = self.totals.setdefault((event.event_name, event.stripe_customer_id), Total())
        total.events += 1
        total.value += event.quantity
        sealed = planner.due_of_sealed(event.stripe_customer_id, event.event_name, event.event_time)
        self._note(sealed.due, planner)

    def _note(self, due: "Due", planner: Planner) -> None:
        self.past_deadline += due.deadline < planner.now
        self.assumes_periods = self.assumes_periods or not due.dates_known


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
    _refuse(planner)
    with planner.ledger.database.snapshot():
        sealed_before = _sealed_before(planner)
        for event in _meter_events(planner, result, sealed_before, retry_codes):
            if limit is not None and result.events >= limit:
                continue
            result._add(event, planner)  # noqa: SLF001 # the generator and its result are one
            yield event
    result.findings.extend(_findings(result, sealed_before))


def preview_totals(planner: Planner, result: Preview, *, shown: int = 0) -> list[MeterEvent]:
    """
    Fill ``result`` as drawing every meter event of `preview` would, and return the first of them.

    What goes one to one is added up without being sealed.

    Args:
        planner: As for `preview`.
        result: Complete afterwards.
        shown: How many meter events to return.
    """
    if planner.rolls_up:
        with closing(preview(planner, result)) as events:
            first = list(islice(events, shown))
            deque(events, maxlen=0)
        return first
    _refuse(planner)
    with planner.ledger.database.snapshot():
        sealed_before = _sealed_before(planner)
        for event in sealed_before.resendable:
            result._add(event.sealed, planner)  # noqa: SLF001 # as above
        _add_up(planner, result, [event.id for event in sealed_before.stale])
        drawn = _meter_events(planner, Preview(), sealed_before, None)
        first = list(islice(drawn, min(shown, result.events)))
    result.findings.extend(_findings(result, sealed_before))
    return first


def _refuse(planner: Planner) -> None:
    refuse_coarser_scale(planner.ledger, planner.settings)
    if planner.as_of is None:
        refuse_clock_set_back(planner.ledger, planner.now)


def _sealed_before(planner: Planner) -> SealedBefore:
    return planner.sealed_before() if planner.as_of is None else SealedBefore()


def _add_up(planner: Planner, result: Preview, anew: Sequence[int]) -> None:
    """Add up what would be sealed one to one, and count what would not."""
    sums: dict[Lane, dict[int, list[int]]] = {}
    # The first of what is blocked: the last of those kept stands first, to be driven out.
    blocked: list[tuple[Instant, int, BlockReason]] = []
    for number, at, units, scale, case, reason, _ in Judge(planner, anew):
        if case.in_doubt:
            result.waiting += 1
        elif reason is not None:
            result.blocked[reason] += 1
            if len(blocked) < BLOCKED_LISTED:
                heappush(blocked, (-at, -number, reason))
            elif -at >= blocked[0][0]:
                heappushpop(blocked, (-at, -number, reason))
        else:
            by_scale = sums.setdefault(case.lane, {})
            if (added := by_scale.get(scale)) is None:
                added = by_scale[scale] = [0, 0]
            added[0] += 1
            added[1] += units
            if case.sealed_due:
                result._note(case.sealed_due, planner)  # noqa: SLF001 # as above
    for lane, by_scale in sums.items():
        total = result.totals.setdefault(lane, Total())
        total.events += sum(events for events, _ in by_scale.values())
        units, scale = exact_sum({scale: units for scale, (_, units) in by_scale.items()})
        total.value += Quantity(units, scale)
    for _, number, reason in sorted(blocked, reverse=True):
        result.blocked_usage.append((planner.ledger.rollups.usage_event(-number), reason))


def _findings(result: Preview, sealed_before: SealedBefore) -> Iterator[Finding]:
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
    past_horizon = sealed_before.past_horizon
    if past_horizon:
        yield Finding(
            code="past_horizon",
            severity="warning",
            message=f"{counted(len(past_horizon), 'meter event')} with an outcome unknown for over 23 h: "
            "not sent again; the next push puts them in doubt",
            details={"meter_events": len(past_horizon)},
        )


def _meter_events(
    planner: Planner, result: Preview, sealed_before: SealedBefore, retry_codes: Sequence[str] | None
) -> Iterator[MeterEvent]:
    resend, stale = sealed_before.resendable, sealed_before.stale
    outbox = planner.ledger.outbox
    if planner.rolls_up:
        retried = [] if retry_codes is None else planner.ledger.error_reports.rejected(retry_codes)
        yield from _rolled_up(planner, result, resend, [*(event.id for event in stale), *retried])
        return
    again = [] if retry_codes is None else planner.ledger.error_reports.usage_of_rejected(retry_codes)
    dissolved = (usage for event in stale for usage in outbox.usage_of(event.id))
    sealed_anew = {usage.usage_event: usage for usage in (*dissolved, *again)}
    queue: Queue[StoredMeterEvent] = Queue(planner)
    queue.add_unsealed()
    for usage in sealed_anew.values():
        queue.add_usage(usage)
    queue_pending(queue, resend)
    for event in unknown_first(resend):
        yield event.sealed
    waiting = queue.draw(always_a_place)
    while chunk := list(islice(waiting, READ_AT_ONCE)):
        numbers = [one.usage_event for one in chunk if isinstance(one, Single)]
        unsealed = planner.ledger.unsealed.by_number(
            [one for one in numbers if one not in sealed_anew], planner.as_of
        )
        for one in chunk:
            if isinstance(one, StoredMeterEvent):
                yield one.sealed
            elif one is not None:
                usage = sealed_anew.get(one.usage_event) or unsealed[one.usage_event]
                yield from _judged(planner.decide(usage), result)


def _rolled_up(
    planner: Planner, result: Preview, resend: Sequence[StoredMeterEvent], anew: list[int]
) -> Iterator[MeterEvent]:
    rollup, usage_event = RollUp(planner, anew), planner.ledger.rollups.usage_event
    for one in chain(unknown_first(resend), rollup.items(resend)):
        match one:
            case StoredMeterEvent():
                yield one.sealed
            case Group():
                yield from (part.sealed for part in rollup.seal(one))
            case Single():
                usage = usage_event(one.usage_event)
                result.alone += planner.goes_alone(usage)
                yield from _judged(planner.decide(usage), result)
            case HeldBack(reason=BlockReason() as reason, usage_events=numbers):
                result.blocked[reason] += len(numbers)
                listed = numbers[: BLOCKED_LISTED - len(result.blocked_usage)]
                result.blocked_usage += ((usage_event(number), reason) for number in listed)
            case HeldBack():
                result.settling.add(len(one.usage_events), one.ready_at)


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
