"""What is to be sent, and what is held back: the one plan behind preview, status and push."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from meterledger.config import Settings
from meterledger.domain.billing_period import CALENDAR_MONTHS, BillingCycle
from meterledger.domain.blocking import MAX_AGE, BlockReason, BlockRules, block_reason, stripe_customer
from meterledger.domain.customers import CustomerBook
from meterledger.domain.delivery import LEDGER_AHEAD_LIMIT, is_past_horizon
from meterledger.domain.dues import NEVER, Dues, DueStretch
from meterledger.domain.instant import DAY, HOUR, Instant, to_text
from meterledger.domain.meter import EventTimeWindow, Meter, Rollup
from meterledger.domain.meter_event import MeterEvent, UsageToSeal, seal
from meterledger.domain.quantity import Quantity
from meterledger.domain.rollup import (
    Stretch,
    UsageWindow,
    dimensions_text,
    seal_rolled_up,
    stretch_of,
    sum_of,
)
from meterledger.domain.way import Way
from meterledger.errors import LedgerError, UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.outbox import StoredMeterEvent
from meterledger.usecases.known_dues import known_dues
from meterledger.usecases.sealable import Sealable, SealableCases

_ALWAYS = (-(2**62), 2**62)
_WINDOWS = {EventTimeWindow.HOUR: HOUR, EventTimeWindow.DAY: DAY}


class Hold(StrEnum):
    """Why usage that is not blocked still waits."""

    EARLIER_IN_DOUBT = "earlier_in_doubt"
    """On an ordered meter, an earlier event of the same customer has no final outcome yet."""
    SETTLING = "settling"
    """Its roll-up window has not settled: more usage of it may come."""


class Planned(NamedTuple):
    """One unsealed usage event: sealed, or held back with the reason."""

    usage: UsageToSeal
    sealed: MeterEvent | None
    held_back: BlockReason | Hold | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBefore:
    """The meter events that were sealed before and are still to be sent, by what becomes of them now."""

    stale: Sequence[StoredMeterEvent] = ()
    """Claims that never reached Stripe and that today would be blocked or sealed otherwise."""
    resendable: Sequence[StoredMeterEvent] = ()
    """May still be sent as they are."""
    past_horizon: Sequence[StoredMeterEvent] = ()
    """Their unknown outcome is too old for another attempt."""
    lapse_at: Mapping[int, Instant] = field(default_factory=dict)
    """When the clock blocks what some of the resendable carry, which never reached Stripe, by their ids."""


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
    _cycles: dict[str, tuple[BillingCycle, ...]] | None = field(init=False, default=None)
    """Stripe customer -> billing cycles, where the customers file knows them all; None: not read yet."""
    _in_doubt: set[tuple[str, str]] = field(init=False)
    _last_of_lane: dict[tuple[str, str, Instant], Instant | None] = field(init=False, default_factory=dict)
    _cases: SealableCases = field(init=False, default_factory=SealableCases)
    _missing_meters: frozenset[str] = field(init=False, default=frozenset())

    def __post_init__(self) -> None:
        self._dues = known_dues(self.ledger, self.settings, self.as_of)
        self._customers = self._dues.customers
        self.refresh(self.now)

    @property
    def way(self) -> Way:
        """How meter events go in, but for those that may have gone another way before."""
        return self.settings.stripe.api

    def refresh(self, now: Instant) -> None:
        """Look at the clock and the ledger again."""
        self.now = now
        noted = self.ledger.stripe_meters.noted(self.as_of if self.as_of is not None else now)
        declared = {meter.event_name for meter in self.settings.catalogue.meters}
        # What Stripe was never asked about is not held against it.
        missing = frozenset(name for name in declared if noted is not None and not noted.get(name, False))
        if missing != self._missing_meters:
            self._missing_meters = missing
            self._cases.clear()
        self._rules = BlockRules(
            catalogue=self.settings.catalogue,
            now=now,
            missing_meters=missing,
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
        billed, reason = self.judge(usage.customer_id, usage.subscription_id, usage.feature, usage.event_time)
        meter = self.settings.catalogue.meter_of(usage.feature)
        if reason is not None or meter is None or meter.rollup is Rollup.NONE or usage.keeps_identifier:
            return reason
        if isinstance(billed, BlockReason):
            return billed
        stretch = self._stretch_of(meter, billed, usage.event_time)
        if stretch is None:
            return None
        if not self.way.takes(usage.quantity):
            return BlockReason.VALUE_NEEDS_V1
        return UsageWindow(
            meter=meter,
            stripe_customer_id=billed,
            dimensions=dimensions_text(usage, meter),
            start=stretch.start,
            end=stretch.end,
            ready_at=self._ready_at(meter, stretch),
            closes_at=self.due_at(
                usage.customer_id, usage.subscription_id, usage.feature, usage.event_time
            ).closes_at,
        )

    def ready_at(self, meter: Meter, billed: str, event_time: Instant) -> Instant | None:
        """Return when usage of a rolled-up meter is sealed with its window; None: it goes alone."""
        stretch = self._stretch_of(meter, billed, event_time)
        return None if stretch is None else self._ready_at(meter, stretch)

    def goes_alone(self, usage: UsageToSeal) -> bool:
        """Tell whether usage of a meter that rolls up goes one to one for want of known periods."""
        meter = self.settings.catalogue.meter_of(usage.feature)
        rolls_up = meter is not None and meter.rollup is not Rollup.NONE and not usage.keeps_identifier
        return rolls_up and self.window_of(usage) is None

    def may_go(self, where: UsageWindow, event_times: Iterable[Instant]) -> bool:
        """Tell whether usage of a window at these instants is neither blocked nor settling now."""
        feature = where.meter.features[0]
        blocks = (block_reason(self._rules, feature, where.stripe_customer_id, one) for one in event_times)
        is_closed = not self.include_closed and self.now >= where.closes_at
        return self.now >= where.ready_at and not is_closed and not any(blocks)

    def judge(
        self, customer_id: str, subscription_id: str | None, feature: str, event_time: Instant
    ) -> tuple[str | BlockReason, BlockReason | None]:
        """Return who is billed for usage, and what blocks it whatever its value and its place in an order."""
        billed = stripe_customer(self._rules, customer_id, subscription_id, event_time)
        reason = block_reason(self._rules, feature, billed, event_time)
        if reason is None and not self.include_closed:
            closes_at = self.due_at(customer_id, subscription_id, feature, event_time).closes_at
            reason = BlockReason.CLOSED_PERIOD if self.now >= closes_at else None
        return billed, reason

    def changes_of(self, customer_id: str) -> list[Instant]:
        """Return the instants from which on something else may hold of a customer."""
        return [] if self._customers is None else self._customers.changes_of(customer_id)

    def waits_in_lane(self, meter: Meter, billed: str) -> bool:
        """Tell whether an earlier event of an ordered lane is in doubt."""
        return meter.is_ordered and (meter.event_name, billed) in self._in_doubt

    def block_of_one(
        self, meter: Meter, billed: str, event_time: Instant, quantity: Quantity
    ) -> BlockReason | None:
        """Return what blocks a usage event by its value, or by its place in an order."""
        if meter.is_ordered and self._is_superseded(event_time, meter, billed):
            return BlockReason.SUPERSEDED
        return None if self.way.takes(quantity) else BlockReason.VALUE_NEEDS_V1

    def decide(self, usage: UsageToSeal) -> Planned:
        """Seal one usage event one to one, or say what holds it back."""
        case = self._cases.find(usage, self.now) or self._judged(usage)
        if isinstance(case, BlockReason):
            return Planned(usage, None, case)
        meter, billed = case.meter, case.billed
        if case.is_ordered and self.waits_in_lane(meter, billed):
            return Planned(usage, None, Hold.EARLIER_IN_DOUBT)
        if case.is_ordered and self._is_superseded(usage.event_time, meter, billed):
            return Planned(usage, None, BlockReason.SUPERSEDED)
        way = self.way
        if not way.takes(usage.quantity):
            return Planned(usage, None, BlockReason.VALUE_NEEDS_V1)
        return Planned(usage, seal(usage, meter, billed, way=way))

    def _judged(self, usage: UsageToSeal) -> Sealable | BlockReason:
        """Judge a usage event, and remember what holds of others like it."""
        names = (usage.customer_id, usage.subscription_id, usage.feature, usage.event_time)
        billed, reason = self.judge(*names)
        if reason is not None:
            return reason
        meter = self.settings.catalogue.meter_of(usage.feature)
        if meter is None or isinstance(billed, BlockReason):
            raise AssertionError("unreachable: usage without a meter or a customer is blocked")
        due = self.due_at(*names)
        closes_at = NEVER if self.include_closed else due.closes_at
        case = Sealable(due.start, due.end, closes_at, meter, billed, meter.is_ordered)
        self._cases.add(usage, case)
        return case

    def sealed_before(self) -> SealedBefore:
        """Return what is sealed and not yet settled, read and judged once."""
        outbox = self.ledger.outbox
        stale: list[StoredMeterEvent] = []
        resendable: list[StoredMeterEvent] = []
        past_horizon: list[StoredMeterEvent] = []
        lapse_at: dict[int, Instant] = {}
        if unsent := outbox.unsent(self.way):
            never_reached = set(outbox.never_reached())
            attempts = outbox.attempts_of_unsent()
            for event in unsent:
                if event.id in never_reached:
                    usage_events = outbox.usage_of(event.id)
                    if not self._is_sealed_as_today(event, usage_events):
                        stale.append(event)
                        continue
                    lapse_at[event.id] = min(map(self._lapses_at, usage_events))
                if is_past_horizon(attempts.get(event.id, ()), self.now):
                    past_horizon.append(event)
                else:
                    resendable.append(event)
        return SealedBefore(stale=stale, resendable=resendable, past_horizon=past_horizon, lapse_at=lapse_at)

    def stale(self) -> Sequence[StoredMeterEvent]:
        """Return claims that never reached Stripe and that today would be blocked or sealed otherwise."""
        return self.sealed_before().stale

    def standing_of(self, usage: UsageToSeal) -> BlockReason | None:
        """Return what blocks a usage event, without sealing it."""
        billed, reason = self.judge(usage.customer_id, usage.subscription_id, usage.feature, usage.event_time)
        meter = self.settings.catalogue.meter_of(usage.feature)
        if reason is not None or meter is None or isinstance(billed, BlockReason):
            return reason
        return self.block_of_one(meter, billed, usage.event_time, usage.quantity)

    def lane_of(self, usage: UsageToSeal) -> tuple[str, str] | None:
        """Return meter and Stripe customer of a usage event, whatever else holds it back; None without."""
        return self.lane_at(usage.customer_id, usage.subscription_id, usage.feature, usage.event_time)

    def lane_at(
        self, customer_id: str, subscription_id: str | None, feature: str, event_time: Instant
    ) -> tuple[str, str] | None:
        """Return the same of usage that is named by its parts."""
        meter = self.settings.catalogue.meter_of(feature)
        billed = stripe_customer(self._rules, customer_id, subscription_id, event_time)
        return None if meter is None or isinstance(billed, BlockReason) else (meter.event_name, billed)

    def cycles_of(self, stripe_customer_id: str) -> tuple[BillingCycle, ...] | None:
        """
        Return the billing cycles of a Stripe customer; None where its periods are not known.

        Those of the customers file and those of Stripe: what is cut at the boundaries of both is in one
        period of each.
        """
        pulled = self._dues.cycles_of(stripe_customer_id)
        if self.settings.invoicing.calendar_periods:
            return (CALENDAR_MONTHS, *pulled)
        if self._cycles is None:
            has_customers = self._customers is not None
            self._cycles = self.ledger.customers.billing_cycles(self.as_of) if has_customers else {}
        said = self._cycles.get(stripe_customer_id, ())
        return tuple(dict.fromkeys((*said, *pulled))) or None

    def bills_alike(self, customer_id: str) -> bool:
        """Tell whether who is billed for a customer's usage never depends on when it took place."""
        return self._customers is None or self._customers.is_steady(customer_id)

    def _lapses_at(self, usage: UsageToSeal) -> Instant:
        """Return from when on the clock blocks usage that nothing blocks now."""
        too_old_at = usage.event_time + MAX_AGE + 1
        if self.include_closed:
            return too_old_at
        due = self.due_at(usage.customer_id, usage.subscription_id, usage.feature, usage.event_time)
        return min(too_old_at, due.closes_at)

    def _is_sealed_as_today(self, event: StoredMeterEvent, usage_events: list[UsageToSeal]) -> bool:
        meters = (self.settings.catalogue.meter_of(usage.feature) for usage in usage_events)
        if any(meter and meter.is_ordered for meter in meters):
            # They go by event_time, together with what came in since: all of them are sealed anew.
            return False
        if event.sealed.window or self.rolls_up:
            windows = {self.window_of(usage) for usage in usage_events}
            if event.sealed.window or windows != {None}:
                return self._is_rolled_up_as_today(event.sealed, usage_events, windows)
        sealed = [self.decide(usage).sealed for usage in usage_events]
        return len(sealed) == 1 and sealed[0] is not None and event.sealed.is_sealed_as(sealed[0])

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
        as_today = seal_rolled_up(
            where,
            sum_of(usage.quantity for usage in usage_events),
            max(usage.event_time for usage in usage_events),
            part=sealed.window.part,
            revision=sealed.revision,
        )
        return sealed.is_sealed_as(as_today)

    def _stretch_of(self, meter: Meter, billed: str, event_time: Instant) -> Stretch | None:
        cycles = self.cycles_of(billed)
        if not cycles:
            return None
        # A subscription that ends in mid-window: no sum is stamped later than what it may bill of it.
        boundaries = self._dues.boundaries_of(billed, meter.event_name)
        return stretch_of(cycles, meter.rollup.length, event_time).cut_at(boundaries, event_time)

    def _ready_at(self, meter: Meter, stretch: Stretch) -> Instant:
        invoicing = self.settings.invoicing
        deadline = stretch.period_end + invoicing.grace.shortest_of(meter.event_name)
        return min(stretch.end + meter.settle, deadline - invoicing.safety_margin - invoicing.retry_time)

    def due_at(
        self, customer_id: str, subscription_id: str | None, feature: str, event_time: Instant
    ) -> DueStretch:
        """Return the billing period and the deadline of usage, by today's meter of its feature."""
        meter = self.settings.catalogue.meter_of(feature)
        event_name = meter.event_name if meter else None
        return self._dues.at(customer_id, subscription_id, event_name, event_time)

    def due_of_sealed(self, stripe_customer_id: str, event_name: str, event_time: Instant) -> DueStretch:
        """Return the billing period and the deadline of a meter event, as far as its own words tell."""
        return self._dues.at(stripe_customer_id, None, event_name, event_time)

    def is_blocked_by_time_alone(self, feature: str) -> bool:
        """Tell whether within one period neither value nor order blocks single usage events of a feature."""
        meter = self.settings.catalogue.meter_of(feature)
        return self.way is Way.V1 and (meter is None or not meter.is_ordered)

    def _is_superseded(self, event_time: Instant, meter: Meter, billed: str) -> bool:
        """Tell whether the meter has a later value, which this one would replace."""
        length = _WINDOWS.get(meter.event_time_window)
        start = event_time - event_time % length if length else _ALWAYS[0]
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
        return last is not None and event_time < last


def refuse_coarser_scale(ledger: Ledger, settings: Settings) -> None:
    """Raise UsageError if a meter's decimal_places was lowered below what its unsealed usage has."""
    for feature, scale in ledger.unsealed.finest_scale().items():
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
