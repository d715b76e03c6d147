"""
The foreign-usage check: is Stripe ahead of what this ledger knows it has sent?

A ledger that was made anew, or restored from a backup, would send again what it sent before; Stripe's
identifiers stop that for 24 hours alone. So before it sends, Stripe's summaries of what is about to be
pushed are compared with the ledger.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from meterledger.domain.blocking import MAX_AGE, BlockReason
from meterledger.domain.foreign_usage import ForeignUsage, window_length, window_start
from meterledger.domain.instant import SECOND, Instant
from meterledger.domain.meter_event import MeterEvent
from meterledger.domain.sending_order import Lane
from meterledger.ledger import Ledger
from meterledger.ledger.baselines import Compared
from meterledger.usecases.findings import counted as counted_text
from meterledger.usecases.judging import Judge
from meterledger.usecases.planning import Planner, refuse_coarser_scale
from meterledger.usecases.preview import Preview, preview
from meterledger.usecases.restored import stand_to_head
from meterledger.usecases.sending import Surroundings
from meterledger.usecases.window_totals import About, SummaryGateway, WindowTotals


class Cause(StrEnum):
    """Why a comparison is due."""

    FIRST_PUSH = "first_push"
    RESTORED = "restored"
    LATE_USAGE = "late_usage"
    """Usage from before the ledger's own time came in after the first comparison."""


@dataclass(slots=True)
class Comparison:
    """What came of it: the surplus found, and what could not be looked at."""

    foreign: list[ForeignUsage] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    recorded: bool = False

    @property
    def stops(self) -> bool:
        """Whether nothing may be sent."""
        return bool(self.foreign) and not self.recorded


async def compare_with_stripe(
    planner: Planner, gateway: SummaryGateway, around: Surroundings, *, token: int, allow: bool, paced: bool
) -> Comparison:
    """
    Compare what is about to be pushed with Stripe's summaries, if that is due.

    Args:
        planner: What is to be pushed.
        gateway: Reads the summaries.
        around: Clock and sleep.
        token: Of the lease, which is kept.
        allow: Record a surplus as the baseline, instead of stopping.
        paced: Whether Stripe's limits hold.

    Raises:
        StripeError: Stripe cannot tell for now; nothing was sent.
    """
    ledger, now = planner.ledger, around.clock()
    standing = stand_to_head(ledger)
    result = Comparison(warnings=[standing.warning] if standing.warning else [])
    cause = _cause(ledger, now, is_behind=standing.is_behind)
    if cause is None:
        return result
    latest = ledger.baselines.latest()
    before = latest.unknown_before if latest and cause is Cause.LATE_USAGE else now
    about, is_all = _about_to_be_pushed(planner, before)
    totals = WindowTotals(planner=planner, gateway=gateway, around=around, token=token, paced=paced)
    result.foreign = await totals.foreign_among(about) if about else []
    result.warnings += totals.warnings
    if result.foreign and not allow:
        return result
    if about or cause is Cause.RESTORED:
        so_far = latest.compared_up_to if latest and cause is Cause.LATE_USAGE else 0
        compared = Compared(
            cause=cause,
            unknown_before=before,
            # What is held back for now has no customer or meter yet: it is looked at when it may go.
            compared_up_to=ledger.baselines.last_usage_event() if is_all else so_far,
            lanes=len(about) - totals.not_compared,
            not_compared=totals.not_compared,
        )
        ledger.baselines.record(compared, result.foreign, token, around.clock())
    if result.foreign:
        result.recorded = True
        found = counted_text(len(result.foreign), "window")
        result.warnings.append(f"usage that this ledger did not send was taken as its baseline: {found}")
    return result


def _cause(ledger: Ledger, now: Instant, *, is_behind: bool) -> Cause | None:
    if is_behind:
        return Cause.RESTORED
    if not ledger.baselines.may_have_sent():
        return Cause.FIRST_PUSH
    latest = ledger.baselines.latest()
    if latest and ledger.baselines.leaves_unsealed(latest, since=now - MAX_AGE):
        return Cause.LATE_USAGE
    return None


def _about_to_be_pushed(planner: Planner, before: Instant) -> tuple[dict[Lane, About], bool]:
    """Return what push would send of the time before an instant, and whether nothing is held back."""
    if planner.rolls_up:
        return _drawn(planner, before)
    refuse_coarser_scale(planner.ledger, planner.settings)
    about: dict[Lane, About] = {}
    waits = False
    with planner.ledger.database.snapshot():
        sealed_before = planner.sealed_before()
        for event in sealed_before.resendable:
            _note(planner, about, event.sealed, before)
        for _, at, _, _, case, reason, _ in Judge(planner, [event.id for event in sealed_before.stale]):
            if case.in_doubt or reason is not None:
                waits = waits or reason is not BlockReason.TOO_OLD
            elif at < before and case.meter is not None:
                lane = about.get(case.lane)
                if lane is None:
                    lane = about[case.lane] = About(case.meter)
                lane.events += 1
                lane.starts.add(window_start(at, window_length(case.meter)))
    return about, not waits


def _drawn(planner: Planner, before: Instant) -> tuple[dict[Lane, About], bool]:
    about: dict[Lane, About] = {}
    result = Preview()
    for event in preview(planner, result):
        _note(planner, about, event, before)
    held_back = sum(count for reason, count in result.blocked.items() if reason is not BlockReason.TOO_OLD)
    return about, not (held_back or result.waiting or result.settling.usage_events)


def _note(planner: Planner, about: dict[Lane, About], event: MeterEvent, before: Instant) -> None:
    meters = {meter.event_name: meter for meter in planner.settings.catalogue.meters}
    meter = meters.get(event.event_name)
    if meter is None or event.event_time >= before:
        return
    lane = about.setdefault((event.event_name, event.stripe_customer_id), About(meter))
    lane.events += 1
    lane.starts.add(window_start(event.timestamp * SECOND, window_length(meter)))
