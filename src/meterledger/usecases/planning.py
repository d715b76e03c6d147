"""What is to be sent, and what is held back: the one plan behind preview, status and push."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import TypeVar

from meterledger.config import Settings
from meterledger.domain.blocking import BlockReason, BlockRules, block_reason, stripe_customer
from meterledger.domain.customers import CustomerBook
from meterledger.domain.delivery import LEDGER_AHEAD_LIMIT, State, is_past_horizon
from meterledger.domain.instant import DAY, HOUR, Instant, to_text
from meterledger.domain.meter import EventTimeWindow, Meter
from meterledger.domain.meter_event import MeterEvent, UsageToSeal, seal
from meterledger.domain.way import Way
from meterledger.errors import LedgerError, UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.outbox import StoredMeterEvent

_Item = TypeVar("_Item")
_ALWAYS = (-(2**62), 2**62)
_WINDOWS = {EventTimeWindow.HOUR: HOUR, EventTimeWindow.DAY: DAY}


class Hold(StrEnum):
    """Why usage that is not blocked still waits."""

    EARLIER_IN_DOUBT = "earlier_in_doubt"
    """On an ordered meter, an earlier event of the same customer has no final outcome yet."""


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
    _customers: CustomerBook | None = field(init=False)
    _rules: BlockRules = field(init=False)
    _in_doubt: set[tuple[str, str]] = field(init=False)
    _last_of_lane: dict[tuple[str, str, Instant], Instant | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._customers = self.ledger.customers.book(self.as_of)
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
            calendar_periods=self.settings.invoicing.calendar_periods,
            include_closed=self.include_closed,
            customers=self._customers,
        )
        self._in_doubt = self.ledger.outbox.lanes_in_doubt()
        self._last_of_lane = {}

    def decide(self, usage: UsageToSeal) -> Planned:
        """Seal one usage event, or say what holds it back."""
        billed = self._billed(usage)
        reason = block_reason(self._rules, usage.feature, billed, usage.event_time)
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
        reason = block_reason(self._rules, usage.feature, billed, usage.event_time)
        if reason is not None:
            return reason
        meter = self.settings.catalogue.meter_of(usage.feature)
        if meter and meter.is_ordered and self._is_superseded(usage, meter, billed):
            return BlockReason.SUPERSEDED
        return None if self.way.takes(usage.quantity) else BlockReason.VALUE_NEEDS_V1

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
        planned = [self.decide(usage) for usage in usage_events]
        return [one.sealed for one in planned] == [event.sealed]

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


def stand(planner: Planner) -> Standing:
    """Count unsealed usage by what holds it back; what only waits for an outcome counts as unsealed."""
    unsealed, oldest = 0, None
    blocked: Counter[BlockReason] = Counter()
    for usage in planner.ledger.outbox.unsealed(planner.as_of):
        reason = planner.standing_of(usage)
        if reason:
            blocked[reason] += 1
        else:
            unsealed += 1
            oldest = usage.event_time if oldest is None else min(oldest, usage.event_time)
    in_order = {reason: blocked[reason] for reason in BlockReason if blocked[reason]}
    return Standing(unsealed=unsealed, oldest_event_time=oldest, blocked=in_order)


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
