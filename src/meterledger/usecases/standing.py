"""How the unsealed usage stands: what may go, what waits for its window, and what is blocked."""

from collections import Counter
from dataclasses import dataclass

from meterledger.domain.blocking import BlockReason
from meterledger.domain.instant import Instant
from meterledger.domain.meter import Rollup
from meterledger.usecases.judging import Judge
from meterledger.usecases.planning import Planner


@dataclass(slots=True, kw_only=True)
class Settling:
    """Usage events whose roll-up windows have not settled, and when the first and the last of them go."""

    usage_events: int = 0
    next_at: Instant | None = None
    last_at: Instant | None = None

    def add(self, usage_events: int, ready_at: Instant) -> None:
        """Count usage events of a window."""
        self.usage_events += usage_events
        self.next_at = ready_at if self.next_at is None else min(self.next_at, ready_at)
        self.last_at = ready_at if self.last_at is None else max(self.last_at, ready_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the unsealed usage stands: what may go, and what is blocked, by reason."""

    unsealed: int
    oldest_event_time: Instant | None
    blocked: dict[BlockReason, int]
    settling: Settling
    """Of the unsealed: what waits for its roll-up window to settle."""
    assumes_periods: bool
    """Whether the billing period of any of the unsealed is only assumed."""


def stand(planner: Planner) -> Standing:
    """Count unsealed usage by what holds it back; what only waits counts as unsealed."""
    unsealed, oldest, settling = 0, None, Settling()
    assumes_periods = False
    blocked: Counter[BlockReason] = Counter()
    keeping = planner.ledger.rollups.keeping_identifiers() if planner.rolls_up else set()
    for one in Judge(planner):
        assumes_periods = assumes_periods or one.case.assumes_period
        if one.reason is not None:
            blocked[one.reason] += 1
            continue
        unsealed += 1
        if oldest is None or one.event_time < oldest:
            oldest = one.event_time
        meter = one.case.meter
        if meter is not None and meter.rollup is not Rollup.NONE and one.import_ not in keeping:
            ready_at = planner.ready_at(meter, one.case.lane[1], one.event_time)
            if ready_at is not None and ready_at > planner.now:
                settling.add(1, ready_at)
    in_order = {reason: blocked[reason] for reason in BlockReason if blocked[reason]}
    return Standing(
        unsealed=unsealed,
        oldest_event_time=oldest,
        blocked=in_order,
        settling=settling,
        assumes_periods=assumes_periods,
    )
