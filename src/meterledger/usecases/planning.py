"""What is to be sent, and what is held back: the one plan behind preview, status and push."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import TypeVar

from meterledger.config import Settings
from meterledger.domain.billing_period import CALENDAR_MONTHS, BillingCycle
from meterledger.domain.blocking import BlockReason, BlockRules, block_reason, stripe_customer
from meterledger.domain.customers import CustomerBook
from meterledger.domain.delivery import LEDGER_AHEAD_LIMIT, State, is_past_horizon
from meterledger.domain.dues import Due, Dues, DueStretch
from meterledger.domain.instant import DAY, HOUR, Instant, to_text
from meterledger.domain.meter import EventTimeWindow, Meter, Rollup
from meterledger.domain.meter_event import MeterEvent, UsageToSeal, seal
from meterledger.domain.rollup import UsageWindow, dimensions_text, seal_rolled_up, stretch_of, sum_of
from meterledger.domain.way import Way
from meterledger.errors import LedgerError, UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.outbox import StoredMeterEvent
from meterledger.usecases.known_dues import known_dues

_Item = TypeVar("_Item")
_ALWAYS = (-(2**62), 2**62)
_WINDOWS = {EventTimeWindow.HOUR: HOUR, EventTimeWindow.DAY: DAY}


class Hold(StrEnum):
    """Why usage that is not blocked still waits."""

    EARLIER_IN_DOUBT = "earlier_in_doubt"
    """On an ordered meter, an earlier event of the same customer has no final outcome yet."""
    SETTLING = "settling"
    """Its roll-up window has not settled: more usage of it may come."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One unsealed usage event: sealed, or held back with the reason."""

    usage: UsageToSeal
    sealed: MeterEvent | None
    held_back: BlockReason | Hold | None = None


@dataclass(slots=True)
class Planner:
    """Decides about usage by today's config, what Stripe said of its meters, and the clock."""

    ledger: Ledger
    settings: Settings
    now: Instant
    as_of: Instant | None = None
    include_closed: bool = False
    _dues: Dues = field(init=False)
    _customers: CustomerBook | None = field(init=False)
    _rules: BlockRules = field(init=False)
    _cycles: dict[str, tuple[BillingCycle, ...]] = field(init=False)
    """Stripe customer -> billing cycles, where the customers file knows them all."""
    _in_doubt: set[tuple[str, str]] = field(init=False)
    _last_of_lane: dict[tuple[str, str, Instant], Instant | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._dues = known_dues(self.ledger, self.settings, self.as_of)
        self._customers = self._dues.customers
        needed = self.rolls_up and not self.settings.invoicing.calendar_periods
        self._cycles = self.ledger.customers.billing_cycles(self.as_of) if needed else {}
        self.refresh(self.now)

    @property
    def way(self) -> Way:
        """How meter events go in, but for those that may have gone another way before."""
        return self.settings.stripe.api

    def refresh(self, now: Instant) -> None:
        """Look at the clock and the ledger again."""
        self.now = now
        noted = self.ledger.outbox.noted_meters(self.as_of if self.as_of is not None else now)
        declared = {meter.event_name for meter in self.settings.catalogue.meters}
        self._rules = BlockRules(
            catalogue=self.settings.catalogue,
            now=now,
            # What Stripe was never asked about is not held against it.
            missing_meters=frozenset(
                name for name in declared if noted is not None and not noted.get(name, False)
            ),
            customers=self._customers,
        )
        self._in_doubt = self.ledger.outbox.lanes_in_doubt()
        self._last_of_lane = {}

    @property
    def rolls_up(self) -> bool:
        """Tell whether any meter rolls usage up."""
        return any(meter.rollup is not Rollup.NONE for meter in self.settings.catalogue.meters)

    def window_of(self, usage: UsageToSeal) -> UsageWindow | BlockReason | None:
        """Return the window that a usage event is rolled up in, or what blocks it; None: it goes alone."""
        billed = self._billed(usage)
        reason = self._reason(usage, billed)
        meter = self.settings.catalogue.meter_of(usage.feature)
        if reason is not None or meter is None or meter.rollup is Rollup.NONE or usage.keeps_identifier:
            return reason
        invoicing = self.settings.invoicing
        cycles = (CALENDAR_MONTHS,) if invoicing.calendar_periods else self._cycles.get(billed)
        if not cycles:
            return None
        if not self.way.takes(usage.quantity):
            return BlockReason.VALUE_NEEDS_V1
        stretch = stretch_of(cycles, meter.rollup.length, usage.event_time)
        deadline = stretch.period_end + invoicing.grace.shortest_of(meter.event_name)
        return UsageWindow(
            meter=meter,
            stripe_customer_id=billed,
            dimensions=dimensions_text(usage, meter),
            start=stretch.start,
            end=stretch.end,
            ready_at=min(
                stretch.end + meter.settle, deadline - invoicing.safety_margin - invoicing.retry_time
            ),
            closes_at=self.due_of(usage).closes_at,
        )

    def is_steady(self, usage: UsageToSeal) -> bool:
        """Tell whether what becomes of a customer's usage depends on neither its event_time nor its value."""
        any_value = self.way is Way.V1
        return any_value and (self._customers is None or self._customers.is_steady(usage.customer_id))

    def may_go(self, where: UsageWindow, event_times: Iterable[Instant]) -> bool:
        """Tell whether usage of a window at these instants is neither blocked nor settling now."""
        feature = where.meter.features[0]
        blocks = (block_reason(self._rules, feature, where.stripe_customer_id, one) for one in event_times)
        is_closed = not self.include_closed and self.now >= where.closes_at
        return self.now >= where.ready_at and not is_closed and not any(blocks)

    def decide(self, usage: UsageToSeal) -> Planned:
        """Seal one usage event one to one, or say what holds it back."""
        billed = self._billed(usage)
        reason = self._reason(usage, billed)
        if reason is not None:
            return Planned(usage, None, reason)
        meter = self.settings.catalogue.meter_of(usage.feature)
        if meter is None:
            raise AssertionError("unreachable: usage without a meter is blocked")
        if meter.is_ordered:
            if (meter.event_name, billed) in self._in_doubt:
                return Planned(usage, None, Hold.EARLIER_IN_DOUBT)
            if self._is_superseded(usage, meter, billed):
                return Planned(usage, None, BlockReason.SUPERSEDED)
        if not self.way.takes(usage.quantity):
            return Planned(usage, None, BlockReason.VALUE_NEEDS_V1)
        return Planned(usage, seal(usage, meter, billed, way=self.way))

    def stale(self) -> list[StoredMeterEvent]:
        """Return claims that never reached Stripe and that today would be blocked or sealed otherwise."""
        never_reached = set(self.ledger.outbox.never_reached())
        return [
            event
            for event in self.ledger.outbox.unsent(self.way)
            if event.id in never_reached and not self._is_sealed_as_today(event)
        ]

    def resendable(self) -> list[StoredMeterEvent]:
        """Return the meter events sealed before that may still be sent; those past 23 h are left out."""
        stale = {event.id for event in self.stale()}
        return [
            event
            for event in self.ledger.outbox.unsent(self.way)
            if event.id not in stale
            and not is_past_horizon(self.ledger.outbox.attempts_of(event.id), self.now)
        ]

    def standing_of(self, usage: UsageToSeal) -> BlockReason | None:
        """Return what blocks a usage event, without sealing it."""
        billed = self._billed(usage)
        reason = self._reason(usage, billed)
        if reason is not None:
            return reason
        meter = self.settings.catalogue.meter_of(usage.feature)
        if meter and meter.is_ordered and self._is_superseded(usage, meter, billed):
            return BlockReason.SUPERSEDED
        return None if self.way.takes(usage.quantity) else BlockReason.VALUE_NEEDS_V1

    def lane_of(self, usage: UsageToSeal) -> tuple[str, str] | None:
        """Return meter and Stripe customer of a usage event, whatever else holds it back; None without."""
        meter, billed = self.settings.catalogue.meter_of(usage.feature), self._billed(usage)
        return None if meter is None or isinstance(billed, BlockReason) else (meter.event_name, billed)

    def past_horizon(self) -> list[StoredMeterEvent]:
        """Return the meter events whose unknown outcome is too old for another attempt."""
        outbox = self.ledger.outbox
        return [e for e in outbox.unsent(self.way) if is_past_horizon(outbox.attempts_of(e.id), self.now)]

    def schedule(
        self,
        resend: Iterable[StoredMeterEvent],
        unsealed: Iterable[_Item],
        event_time_of: Callable[[_Item], int],
    ) -> "Iterator[StoredMeterEvent | _Item]":
        """
        Put what is sealed already and what is not into the order in which it is sent.

        Unknown outcomes first: their time to be sent again is running out. Then by event_time, because on
        ordered meters an older event that came in meanwhile goes before one that was not taken.
        """
        resend = list(resend)
        # What went together goes together again.
        together: dict[str, list[StoredMeterEvent]] = {}
        for event in resend:
            if event.state is State.SENDING:
                together.setdefault(event.last_key, []).append(event)
        yield from chain.from_iterable(together.values())
        pending = deque(event for event in resend if event.state is State.PENDING)
        for item in unsealed:
            while pending and pending[0].sealed.event_time <= event_time_of(item):
                yield pending.popleft()
            yield item
        yield from pending

    def _is_sealed_as_today(self, event: StoredMeterEvent) -> bool:
        usage_events = self.ledger.outbox.usage_of(event.id)
        meters = (self.settings.catalogue.meter_of(usage.feature) for usage in usage_events)
        if any(meter and meter.is_ordered for meter in meters):
            # They go by event_time, together with what came in since: all of them are sealed anew.
            return False
        if event.sealed.window or self.rolls_up:
            windows = {self.window_of(usage) for usage in usage_events}
            if event.sealed.window or windows != {None}:
                return self._is_rolled_up_as_today(event.sealed, usage_events, windows)
        planned = [self.decide(usage) for usage in usage_events]
        return [one.sealed for one in planned] == [event.sealed]

    def _is_rolled_up_as_today(
        self,
        sealed: MeterEvent,
        usage_events: list[UsageToSeal],
        windows: set[UsageWindow | BlockReason | None],
    ) -> bool:
        """Tell whether usage would be rolled up into this meter event, at its revision and as its part."""
        where = windows.pop() if len(windows) == 1 else None
        if not isinstance(where, UsageWindow) or sealed.window is None:
            return False
        return sealed == seal_rolled_up(
            where,
            sum_of(usage.quantity for usage in usage_events),
            max(usage.event_time for usage in usage_events),
            part=sealed.window.part,
            revision=sealed.revision,
        )

    def due_of(self, usage: UsageToSeal) -> DueStretch:
        """Return the billing period and the deadline of a usage event, by today's meter of its feature."""
        meter = self.settings.catalogue.meter_of(usage.feature)
        event_name = meter.event_name if meter else None
        return self._dues.at(usage.customer_id, usage.subscription_id, event_name, usage.event_time)

    def due_of_sealed(self, event: MeterEvent) -> Due:
        """Return the billing period and the deadline of a meter event, as far as its own words tell."""
        return self._dues.at(event.stripe_customer_id, None, event.event_name, event.event_time).due

    def is_blocked_by_time_alone(self, feature: str) -> bool:
        """Tell whether within one period neither value nor order blocks single usage events of a feature."""
        meter = self.settings.catalogue.meter_of(feature)
        return self.way is Way.V1 and (meter is None or not meter.is_ordered)

    def _reason(self, usage: UsageToSeal, billed: str | BlockReason) -> BlockReason | None:
        """Return what blocks a usage event, whatever the order and the value."""
        reason = block_reason(self._rules, usage.feature, billed, usage.event_time)
        if reason is None and not self.include_closed and self.now >= self.due_of(usage).closes_at:
            return BlockReason.CLOSED_PERIOD
        return reason

    def _billed(self, usage: UsageToSeal) -> str | BlockReason:
        """Return the Stripe customer of a usage event, or why there is not exactly one."""
        return stripe_customer(self._rules, usage.customer_id, usage.subscription_id, usage.event_time)

    def _is_superseded(self, usage: UsageToSeal, meter: Meter, billed: str) -> bool:
        """Tell whether the meter has a later value, which this one would replace."""
        length = _WINDOWS.get(meter.event_time_window)
        start = usage.event_time - usage.event_time % length if length else _ALWAYS[0]
        lane = (billed, meter.event_name, start)
        if lane not in self._last_of_lane:
            within = (start, start + length) if length else _ALWAYS
            self._last_of_lane[lane] = self.ledger.outbox.last_of_lane(
                billed,
                meter.event_name,
                within,
                self.as_of if self.as_of is not None else self.now,
            )
        last = self._last_of_lane[lane]
        return last is not None and usage.event_time < last


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the unsealed usage stands: what may go, and what is blocked, by reason."""

    unsealed: int
    oldest_event_time: Instant | None
    blocked: dict[BlockReason, int]
    settling: "Settling"
    """Of the unsealed: what waits for its roll-up window to settle."""
    assumes_periods: bool
    """Whether the billing period of any of the unsealed is only assumed."""


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


def stand(planner: Planner) -> Standing:
    """Count unsealed usage by what holds it back; what only waits counts as unsealed."""
    unsealed, oldest, settling = 0, None, Settling()
    assumes_periods = False
    rolls_up = planner.rolls_up
    blocked: Counter[BlockReason] = Counter()
    for usage in planner.ledger.outbox.unsealed(planner.as_of):
        assumes_periods = assumes_periods or not planner.due_of(usage).due.dates_known
        reason = planner.standing_of(usage)
        if reason:
            blocked[reason] += 1
        else:
            unsealed += 1
            oldest = usage.event_time if oldest is None else min(oldest, usage.event_time)
            where = planner.window_of(usage) if rolls_up else None
            if isinstance(where, UsageWindow) and where.ready_at > planner.now:
                settling.add(1, where.ready_at)
    in_order = {reason: blocked[reason] for reason in BlockReason if blocked[reason]}
    return Standing(
        unsealed=unsealed,
        oldest_event_time=oldest,
        blocked=in_order,
        settling=settling,
        assumes_periods=assumes_periods,
    )


def refuse_coarser_scale(ledger: Ledger, settings: Settings) -> None:
    """Raise UsageError if a meter's decimal_places was lowered below what its unsealed usage has."""
    for feature, scale in ledger.outbox.finest_unsealed_scale().items():
        meter = settings.catalogue.meter_of(feature)
        if meter and meter.decimal_places < scale:
            raise UsageError(
                f"meters.{meter.event_name}.decimal_places is {meter.decimal_places}, but unsealed usage of "
                f"{feature} was imported with {scale}",
                hint=f"set it to {scale} again, or push that usage first under the old config",
            )


def refuse_clock_set_back(ledger: Ledger, now: Instant) -> None:
    """Raise LedgerError if the clock was set back: it would make old attempts look young."""
    latest = ledger.outbox.latest_own_instant()
    if latest is not None and latest > now + LEDGER_AHEAD_LIMIT:
        raise LedgerError(
            f"the ledger holds an instant of {to_text(latest)}, but the clock says {to_text(now)}",
            hint="set this machine's clock right; or METERLEDGER_CLOCK=server, if that made the ledger",
        )
