"""Preview: what push would send, and what it would not."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import merge
from operator import attrgetter

from meterledger.domain.blocking import BlockReason
from meterledger.domain.meter_event import MeterEvent, UsageToSeal
from meterledger.domain.quantity import ZERO, Quantity
from meterledger.ledger.outbox import StoredMeterEvent
from meterledger.usecases.findings import Finding, counted, period_assumed
from meterledger.usecases.planning import Hold, Planned, Planner, refuse_coarser_scale


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
    waiting: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def events(self) -> int:
        """How many meter events were drawn so far."""
        return sum(total.events for total in self.totals.values())

    def _add(self, event: MeterEvent) -> None:
        total = self.totals.setdefault((event.event_name, event.stripe_customer_id), Total())
        total.events += 1
        total.value += event.quantity


def preview(planner: Planner, result: Preview, *, limit: int | None = None) -> Iterator[MeterEvent]:
    """
    Yield the meter events that push would send now, in its order, and fill ``result`` on the way.

    Args:
        planner: Judges by the config, the clock and what Stripe said; the ledger is read and not changed.
        result: Complete when the last meter event was drawn.
        limit: Draw at most so many meter events; what is blocked is counted all the same.
    """
    refuse_coarser_scale(planner.ledger, planner.settings)
    with planner.ledger.database.snapshot():
        for event in _meter_events(planner, result):
            if limit is not None and result.events >= limit:
                continue
            result._add(event)  # noqa: SLF001 # the generator and its result are one
            yield event
    if result.events:
        result.findings.extend(period_assumed(planner.settings))
    if result.waiting:
        result.findings.append(
            Finding(
                code="waits_for_outcome",
                severity="warning",
                message=f"{counted(result.waiting, 'usage event')} held back: an earlier one of the same "
                "customer and meter is in doubt, and the order matters there",
                details={"usage_events": result.waiting},
            )
        )


def _meter_events(planner: Planner, result: Preview) -> Iterator[MeterEvent]:
    if planner.as_of is None:
        resend, stale = planner.resendable(), planner.stale()
    else:
        resend, stale = [], []
    outbox = planner.ledger.outbox
    sealed_anew = sorted((usage for event in stale for usage in outbox.usage_of(event.id)), key=_in_order)
    unsealed = merge(sealed_anew, outbox.unsealed(planner.as_of), key=_in_order)
    for one in planner.schedule(resend, unsealed, attrgetter("event_time")):
        if isinstance(one, StoredMeterEvent):
            yield one.sealed
        else:
            yield from _judged(planner.decide(one), result)


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
