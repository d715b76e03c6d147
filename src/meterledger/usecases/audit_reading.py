"""
The audit's one pass over all usage events: counts and sums by customer, source, meter and stretch of time.

Whatever is the same for all usage of a stretch (period, deadline, what blocks it) is worked out once for
it; a usage event itself costs a few comparisons and additions.
"""

from collections import Counter
from collections.abc import Mapping
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

_SCALES = 13
"""0 to 12, as in the ledger."""

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
    sealed_for: str | None
    """The meter of the meter events that carry it; None where it is unsealed."""
    due: Due
    start: Instant
    end: Instant
    is_asked_for: bool
    delays: Delays
    safe_before: Instant
    """What was accepted before this instant has landed."""
    late_from: Instant
    time_of_day: Instant
    """The period end's, in microseconds, of whole seconds."""
    boundaries: tuple[Instant, Instant]
    """Between which instants the end is rehearsed: 35 days before now, and now."""
    ended_by: Instant
    """What was accepted at this instant or later came after the end; NEVER while the period lasts."""
    free_from: Instant = 0
    free_until: Instant = 0
    """Unsealed usage from between is not blocked; what else is unsealed has to be asked about."""
    day_start: Instant = 0
    day_end: Instant = 0
    """The two boundaries at the period end's time of day around the usage event looked at last."""
    landed: Pile = field(default_factory=Pile)
    waiting: Pile = field(default_factory=Pile)
    at_risk: Pile = field(default_factory=Pile)
    missed: Pile = field(default_factory=Pile)
    unsampled: Pile = field(default_factory=Pile)
    """Of all of it, what says nothing about delays."""
    after_end: dict[int, Pile] = field(default_factory=dict)
    """What came after the period's end, by the whole hours of grace period that it would have taken."""
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
        features, sources = max(self._features, default=0) + 1, max(self._sources, default=0) + 1
        bulk_imports = _bulk_imports(reports.bulk_imports())
        cancelable_after, old_before = now - CANCEL_WINDOW, now - TOO_OLD_WARNING
        current: dict[int, Share] = {}
        for (
            lane, subscription_id, event_name, units, event_time, arrived_at, import_, accepted_from,
            accepted_by, state,
        ) in reports.usage_as_known(now, features=features, sources=sources):  # fmt: skip
            share = current.get(lane)
            if (
                share is None
                or not share.start < event_time < share.end
                or event_name != share.sealed_for
                or subscription_id != share.subscription_id
            ):
                rest, scale = divmod(lane, _SCALES)
                rest, source = divmod(rest, sources)
                customer, feature = divmod(rest, features)
                key = (customer, feature, source, subscription_id, scale, event_name)
                share = current[lane] = self._share(key, event_time)
            if state is None:
                known_by = accepted_by
                if accepted_by < share.safe_before:
                    pile = share.landed
                else:
                    since = accepted_by if accepted_from is None else accepted_from
                    pile = share.missed if since >= share.late_from else share.at_risk
                if accepted_by > cancelable_after:
                    self._note_cancelable(share, accepted_by if accepted_from is None else accepted_from)
            else:
                known_by = now
                if state == "unsealed" and share.free_from <= event_time < share.free_until:
                    pile = share.waiting
                else:
                    found = self._pile(share, state, Quantity(units, share.scale), event_time)
                    if found is None:
                        continue
                    pile = found
                if event_time < old_before:
                    self._note_old(share, state, event_time)
            pile.events += 1
            pile.units += units
            if event_time == share.start:
                self.on_boundary += share.is_asked_for and event_time == share.due.period.start
            if import_ in bulk_imports or state == "already_billed":
                share.unsampled.add(units)
                left_out = "already_billed" if state == "already_billed" else bulk_imports[import_]
                self.left_out[left_out] += share.is_asked_for
                continue
            delays = share.delays
            taken = known_by - event_time
            if state is None:
                delays.arrival.append(arrived_at - event_time)
                delays.ingestion.append(taken)
            else:
                delays.unaccepted.append(arrived_at - event_time)
            if known_by >= share.ended_by:
                share.note_after_end(known_by, units)
            if not share.day_start <= event_time < share.day_end:
                share.day_end = event_time - (event_time - share.time_of_day) % DAY + DAY
                share.day_start = share.day_end - DAY
            if known_by >= share.day_end and taken > delays.lateness:
                delays.rehearse(event_time, known_by, share.time_of_day, share.boundaries)

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
        nothing = Delays()
        return {
            key: lateness.expected_delivery(
                self.delays.get(key, nothing).delivery + self.elsewhere.get(key, nothing).delivery
            )
            for key in self.delays.keys() | self.elsewhere.keys()
        }

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
        customer, feature, source, subscription_id, scale, sealed_for = key
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
            sealed_for=sealed_for,
            due=due,
            start=stretch.start,
            end=stretch.end,
            is_asked_for=is_asked_for,
            delays=known.setdefault((source_name, meter), Delays()),
            safe_before=(yardstick.safe_until + 1) * SECOND,
            late_from=(yardstick.deadline + 1) * SECOND,
            time_of_day=time_of_day * SECOND,
            boundaries=(self.now // SECOND * SECOND - lateness.HISTORY_DAYS * DAY, self.now),
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


def _bulk_imports(imports: Mapping[int, bool]) -> dict[int, str]:
    """Return why usage of an import says nothing about delays; negative for usage with a received_at."""
    found = {number: "backfill" if backfill else "first_import" for number, backfill in imports.items()}
    return found | {-number: "backfill" for number, backfill in imports.items() if backfill}
