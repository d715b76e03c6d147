"""
The audit's one pass over all usage events: counts and sums by customer, source, meter and stretch of time.

Whatever is the same for all usage of a stretch (period, deadline, what blocks it) is worked out once for
it; a usage event itself costs a few comparisons and additions.
"""

from array import array
from collections import Counter
from dataclasses import dataclass, field

from meterledger.config import Settings
from meterledger.domain import lateness
from meterledger.domain.blocking import MAX_AGE, MAX_AHEAD
from meterledger.domain.correction import CANCEL_WINDOW
from meterledger.domain.delivery import RESEND_HORIZON
from meterledger.domain.dues import NEVER, Due, Dues, DueStretch
from meterledger.domain.instant import DAY, HOUR, SECOND, Instant
from meterledger.domain.lateness import Condition, Delays, Landing, Yardstick
from meterledger.domain.meter_event import UsageToSeal
from meterledger.domain.quantity import ZERO, Quantity
from meterledger.ledger import Ledger
from meterledger.usecases.audit_answer import AuditOptions
from meterledger.usecases.planning import Planner

TOO_OLD_WARNING = 32 * DAY
"""Unsent usage older than this nears the 35 days after which Stripe refuses it."""

UNKNOWN_WARNING = RESEND_HORIZON - 3 * HOUR
MOST_HOURS = 72
"""Of grace period; what is later misses the longest one too."""

HOUR_SECONDS = 3600

_CONDITIONS = {
    "accepted": Condition.ACCEPTED,
    "already_billed": Condition.ALREADY_BILLED,
    "sending": Condition.UNKNOWN,
    "in_doubt": Condition.UNKNOWN,
    "rejected": Condition.HELD,
    "pending": Condition.WAITING,
}
"""By state, where it tells; what is voided or written off is in no audit."""

# Numbers of customer, feature and source, subscription, scale, and event_name of the meter event, if any.
_Key = tuple[int, int, int, str | None, int, str | None]
SourceAndMeter = tuple[str, str | None]


@dataclass(slots=True)
class Pile:
    """Usage events of one scale: how many, and the sum of their units."""

    events: int = 0
    units: int = 0

    def add(self, units: int) -> None:
        """Add one."""
        self.events += 1
        self.units += units


@dataclass(slots=True, kw_only=True)
class Share:
    """One customer's usage of a source, meter and scale, in a stretch of time in which it has one due."""

    customer: int
    source: str
    event_name: str | None
    feature: str
    subscription_id: str | None
    scale: int
    due: Due
    period_start: Instant
    start: Instant
    end: Instant
    is_asked_for: bool
    delays: Delays
    safe_before: Instant
    """What was accepted before this instant has landed."""
    late_from: Instant
    time_of_day: Instant
    """The period end's, in microseconds, of whole seconds."""
    first_boundary: Instant
    ended_by: Instant
    """What was accepted at this instant or later came after the end; NEVER while the period lasts."""
    free_from: Instant = 0
    free_until: Instant = 0
    """Unsealed usage from between is not blocked; what else is unsealed has to be asked about."""
    landed: Pile = field(default_factory=Pile)
    waiting: Pile = field(default_factory=Pile)
    at_risk: Pile = field(default_factory=Pile)
    missed: Pile = field(default_factory=Pile)
    unsampled: Pile = field(default_factory=Pile)
    """Of all of it, what says nothing about delays."""
    after_end: dict[int, Pile] = field(default_factory=dict)
    """What came after the period's end, by the whole hours of grace period that it would have taken."""
    lateness: int = 0
    has_unsettled: bool = False

    @property
    def events(self) -> int:
        """How many usage events it is."""
        return self.landed.events + self.waiting.events + self.at_risk.events + self.missed.events

    @property
    def is_unsettled(self) -> bool:
        """Tell whether any of it is neither accepted nor closed."""
        return self.has_unsettled or self.waiting.events > 0

    def note_after_end(self, known_by: Instant, units: int) -> None:
        """Note a usage event that was accepted, or not even that, so long after the period's end."""
        late = lateness.seconds(known_by) - lateness.seconds(self.due.period.end)
        hours = min(-(-late // HOUR_SECONDS), MOST_HOURS + 1)
        pile = self.after_end.get(hours)
        if pile is None:
            pile = self.after_end[hours] = Pile()
        pile.add(units)


@dataclass(slots=True, kw_only=True)
class Reading:
    """What the pass has found; durations in seconds, instants in microseconds."""

    ledger: Ledger
    settings: Settings
    options: AuditOptions
    now: Instant
    dues: Dues
    planner: Planner
    shares: dict[tuple[_Key, Instant], Share] = field(default_factory=dict)
    customers: dict[int, str] = field(default_factory=dict)
    delays: dict[SourceAndMeter, Delays] = field(default_factory=dict)
    elsewhere: dict[SourceAndMeter, Delays] = field(default_factory=dict)
    """Those of usage that was not asked for: they tell what to expect all the same."""
    left_out: Counter[str] = field(default_factory=Counter)
    on_boundary: int = 0
    nearing_too_old: int = 0
    cancelable: int = 0
    cancelable_since: Instant | None = None
    _features: dict[int, str] = field(default_factory=dict)
    _sources: dict[int, str] = field(default_factory=dict)

    def read(self) -> None:  # noqa: C901, PLR0912, PLR0915 # a call for each of millions is dear
        """Take every usage event of the ledger; a snapshot is open."""
        reports, now = self.ledger.reports, self.now
        self.customers = reports.names_of("customer")
        self._features, self._sources = reports.names_of("feature"), reports.names_of("source")
        bulk_imports = reports.bulk_imports()
        cancelable_after, old_before = now - CANCEL_WINDOW, now - TOO_OLD_WARNING
        current: dict[_Key, Share] = {}
        for (
            customer, feature, source, import_, subscription_id, units, scale, event_time, received_at,
            recorded_at, event_name, accepted_from, accepted_by, state,
        ) in reports.usage_as_known(now):  # fmt: skip
            key = (customer, feature, source, subscription_id, scale, event_name)
            share = current.get(key)
            if share is None or not share.start <= event_time < share.end:
                share = current[key] = self._share(key, event_time)
            if state == "accepted":
                known_by = accepted_by
                if accepted_by < share.safe_before:
                    pile = share.landed
                else:
                    pile = share.missed if accepted_from >= share.late_from else share.at_risk
                if accepted_from > cancelable_after:
                    self._note_cancelable(share, accepted_from)
            else:
                known_by = now
                if state == "unsealed" and share.free_from <= event_time < share.free_until:
                    pile = share.waiting
                else:
                    found = self._pile(share, state, Quantity(units, scale), event_time)
                    if found is None:
                        continue
                    pile = found
                if event_time < old_before:
                    self._note_old(share, state, event_time)
            pile.events += 1
            pile.units += units
            if event_time == share.period_start:
                self.on_boundary += share.is_asked_for
            if import_ in bulk_imports or state == "already_billed":
                left_out = _left_out(state, received_at, is_backfill=bulk_imports.get(import_))
                if left_out:
                    share.unsampled.add(units)
                    self.left_out[left_out] += share.is_asked_for
                    continue
            arrived = recorded_at if received_at is None else received_at
            delays = share.delays
            delays.arrival.append(-((event_time - arrived) // SECOND))
            if state == "accepted":
                delays.delivery.append(-((arrived - known_by) // SECOND))
                delays.ingestion.append(-((event_time - known_by) // SECOND))
            if known_by >= share.ended_by:
                share.note_after_end(known_by, units)
            boundary = event_time - (event_time - share.time_of_day) % DAY + DAY
            boundary = max(boundary, share.first_boundary)
            if boundary <= known_by and boundary <= now:
                late = known_by // SECOND - boundary // SECOND
                share.lateness = max(share.lateness, late)

    def yardstick(self, due: Due, delivery_delay: int = 0) -> Yardstick:
        """Return what usage of a period is measured against."""
        invoicing = self.settings.invoicing
        return Yardstick(
            deadline=lateness.seconds(due.deadline),
            now=lateness.seconds(self.now),
            safety_margin=invoicing.safety_margin // SECOND,
            retry_time=invoicing.retry_time // SECOND,
            delivery_delay=delivery_delay,
        )

    def expected_delivery(self) -> dict[SourceAndMeter, int]:
        """Return the delivery delay to expect, in seconds, by all usage, asked for or not."""
        expected = {}
        for key in self.delays.keys() | self.elsewhere.keys():
            found = [one[key] for one in (self.delays, self.elsewhere) if key in one]
            delivery = array("q")
            for one in found:
                delivery += one.delivery
            expected[key] = Delays(delivery=delivery).expected_delivery()
        return expected

    def meter_name(self, feature: str | None) -> str | None:
        """Return the meter that the config gives a feature today."""
        meter = self.settings.catalogue.meter_of(feature) if feature else None
        return meter.event_name if meter else None

    def condition(self, state: str, usage: UsageToSeal) -> Condition | None:
        """Return what is known of a usage event's delivery; None where it is left out of the audit."""
        if state == "unsealed":
            return Condition.HELD if self.planner.standing_of(usage) else Condition.WAITING
        return _CONDITIONS.get(state)

    def _pile(self, share: Share, state: str, quantity: Quantity, event_time: Instant) -> Pile | None:
        """Return where a usage event that is not accepted counts; None where it is left out of the audit."""
        usage = self._usage(share, quantity, event_time)
        condition = self.condition(state, usage)
        if condition is None:
            self.left_out[state] += share.is_asked_for
            return None
        if condition is Condition.WAITING:
            return share.waiting
        share.has_unsettled = share.has_unsettled or condition is not Condition.ALREADY_BILLED
        match lateness.judged(condition, self.yardstick(share.due), None, None).landing:
            case Landing.LANDED:
                return share.landed
            case Landing.MISSED:
                return share.missed
            case _:
                return share.at_risk

    def _note_cancelable(self, share: Share, accepted_from: Instant) -> None:
        if share.is_asked_for:
            self.cancelable += 1
            since = self.cancelable_since
            self.cancelable_since = accepted_from if since is None else min(since, accepted_from)

    def _note_old(self, share: Share, state: str, event_time: Instant) -> None:
        if share.is_asked_for and state != "already_billed" and event_time >= self.now - MAX_AGE:
            self.nearing_too_old += 1

    def _share(self, key: _Key, event_time: Instant) -> Share:
        """Return what usage of a customer, source and meter at an instant is counted with."""
        customer, feature, _, subscription_id, _, event_name = key
        customer_id, feature_name = self.customers[customer], self._features[feature]
        meter = event_name or self.meter_name(feature_name)
        stretch = self.dues.at(customer_id, subscription_id, meter, event_time)
        share = self.shares.get((key, stretch.start))
        if share is None:
            share = self.shares[key, stretch.start] = self._new_share(key, meter, stretch)
        return share

    def _new_share(self, key: _Key, meter: str | None, stretch: DueStretch) -> Share:
        customer, feature, source, subscription_id, scale, _ = key
        due, source_name = stretch.due, self._sources[source]
        is_asked_for = self.options.customer in (None, self.customers[customer]) and (
            self.options.meter in (None, meter)
        )
        known = self.delays if is_asked_for else self.elsewhere
        yardstick = self.yardstick(due)
        end = lateness.seconds(due.period.end)
        time_of_day = end % lateness.DAY_SECONDS
        share = Share(
            customer=customer,
            source=source_name,
            event_name=meter,
            feature=self._features[feature],
            subscription_id=subscription_id,
            scale=scale,
            due=due,
            period_start=due.period.start,
            start=stretch.start,
            end=stretch.end,
            is_asked_for=is_asked_for,
            delays=known.setdefault((source_name, meter), Delays()),
            safe_before=(yardstick.safe_until + 1) * SECOND,
            late_from=(yardstick.deadline + 1) * SECOND,
            time_of_day=time_of_day * SECOND,
            first_boundary=lateness.first_boundary(yardstick.now, time_of_day) * SECOND,
            ended_by=(end + 1) * SECOND if due.period.end <= self.now else NEVER,
        )
        share.free_from, share.free_until = self._free_between(share, yardstick)
        return share

    def _free_between(self, share: Share, yardstick: Yardstick) -> tuple[Instant, Instant]:
        """Return between which instants unsealed usage of a share only waits, as far as one can tell."""
        if yardstick.now > yardstick.deadline:
            # Too late is too late, blocked or not.
            return share.start, share.end
        if not self.planner.is_blocked_by_time_alone(share.feature):
            return 0, 0
        start, end = max(share.start, self.now - MAX_AGE), min(share.end, self.now + MAX_AHEAD + 1)
        usage = self._usage(share, ZERO, start)
        return (start, end) if start < end and not self.planner.standing_of(usage) else (0, 0)

    def _usage(self, share: Share, quantity: Quantity, event_time: Instant) -> UsageToSeal:
        return UsageToSeal(
            usage_event=0,
            source=share.source,
            request_id="",
            customer_id=self.customers[share.customer],
            subscription_id=share.subscription_id,
            feature=share.feature,
            quantity=quantity,
            event_time=event_time,
            dimensions=None,
        )


def _left_out(state: str, received_at: Instant | None, *, is_backfill: bool | None) -> str:
    """Name why a usage event says nothing about delays: nobody here sent it, or a bulk load comes late."""
    if state == "already_billed":
        return "already_billed"
    if is_backfill:
        return "backfill"
    return "first_import" if received_at is None else ""
