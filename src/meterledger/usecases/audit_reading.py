"""
The audit's one pass over all usage events: counts and sums by customer, source, meter and stretch of time.

Whatever is the same for all usage of a stretch (period, deadline, what blocks it) is worked out once for
it; a usage event itself costs a few comparisons and additions.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from meterledger.config import Settings
from meterledger.domain import lateness
from meterledger.domain.blocking import MAX_AGE, MAX_AHEAD
from meterledger.domain.correction import CANCEL_WINDOW
from meterledger.domain.delivery import RESEND_HORIZON
from meterledger.domain.dues import NEVER, Due, Dues, DueStretch
from meterledger.domain.instant import DAY, HOUR, SECOND, Instant, seconds_floor
from meterledger.domain.lateness import Condition, Delays, Landing, Yardstick
from meterledger.domain.meter_event import UsageToSeal
from meterledger.domain.quantity import ZERO, Quantity
from meterledger.ledger import Ledger
from meterledger.usecases.audit_answer import AuditOptions
from meterledger.usecases.audit_share import Day, Pile, Share
from meterledger.usecases.planning import Planner

TOO_OLD_WARNING = 32 * DAY
"""Unsent usage older than this nears the 35 days after which Stripe refuses it."""

UNKNOWN_WARNING = RESEND_HORIZON - 3 * HOUR
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

_UNSENT = frozenset(_CONDITIONS.keys() - {"accepted", "already_billed"} | {"unsealed"})

_ARRIVALS = (None, "first_import", "backfill")
"""By the number that the ledger gives it: why what an import brought says nothing about delays."""

_ROWS_AT_ONCE = 250

# Numbers of customer, feature and source, subscription, scale, event_name of the meter event, if any, and
# why it says nothing about delays.
_Row = tuple[Any, ...]
_Key = tuple[int, int, int, str | None, int, str | None, str | None]
SourceAndMeter = tuple[str, str | None]


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
    _feature_count: int = 1
    _source_count: int = 1
    _current: dict[int, Share] = field(default_factory=dict)
    """The share that usage of a lane was last counted with."""
    _noted: dict[tuple[str, str | None, bool], tuple[list[_Row], Delays]] = field(default_factory=dict)
    """Rows whose delays are still to be counted."""
    _days: dict[Instant, Day] = field(default_factory=dict)

    def read(self) -> None:
        """Take every usage event of the ledger; a snapshot is open."""
        reports = self.ledger.reports
        self.customers = reports.names_of("customer")
        self._features, self._sources = reports.names_of("feature"), reports.names_of("source")
        self._feature_count = max(self._features, default=0) + 1
        self._source_count = max(self._sources, default=0) + 1
        usage = reports.usage_as_known(self.now, features=self._feature_count, sources=self._source_count)
        current = self._current
        while rows := list(islice(usage, _ROWS_AT_ONCE)):
            for row in rows:
                lane, event_time, accepted_by, units, _, event_name, subscription_id, state = row
                share = current.get(lane)
                if (
                    share is not None
                    and state is None
                    and accepted_by < share.calm_until
                    and share.start < event_time < share.end
                    and (day := share.day).start <= event_time < day.end
                    and accepted_by < day.end
                    and event_name == share.sealed_for
                    and subscription_id == share.subscription_id
                ):
                    pile = share.landed
                    pile.events += 1
                    pile.units += units
                    share.note_delays(row)
                else:
                    self._take(row)
            self._count_delays()
        for share in self.shares.values():
            if share.is_asked_for:
                self.left_out["already_billed"] += share.already_billed.events
                if share.left_out:
                    self.left_out[share.left_out] += share.usage.events - share.already_billed.events
        self.left_out = +self.left_out

    def _count_delays(self) -> None:
        for noted, delays in self._noted.values():
            if noted:
                _, event_times, acceptances, _, arrivals, *_ = zip(*noted, strict=True)
                delays.count(event_times, arrivals, acceptances)
                noted.clear()

    def _take(self, row: _Row) -> None:
        """Take one usage event, wherever it stands."""
        lane, event_time, accepted_by, units, _, event_name, subscription_id, state = row
        share = self._current.get(lane)
        if (
            share is None
            or not share.start < event_time < share.end
            or event_name != share.sealed_for
            or subscription_id != share.subscription_id
        ):
            share = self._current[lane] = self._share(lane, subscription_id, event_name, event_time)
        is_accepted = state is None or state.isdigit()
        if is_accepted:
            pile = self._pile_of_accepted(share, int(state or accepted_by), accepted_by)
        else:
            found = self._pile(share, state, units, event_time)
            if found is None:
                return
            pile = found
        pile.add(units)
        if event_time == share.start:
            self.on_boundary += share.is_asked_for and event_time == share.due.period.start
        if state == "already_billed":
            share.already_billed.add(units)
        elif not share.left_out:
            self._sample(share, row, is_accepted=is_accepted)

    def _sample(self, share: Share, row: _Row, *, is_accepted: bool) -> None:
        """Take what a usage event says of delays."""
        _, event_time, accepted_by, units, arrival, *_ = row
        known_by = accepted_by if is_accepted else self.now
        if is_accepted:
            share.note_delays(row)
        else:
            share.delays.count_unaccepted(event_time, arrival)
        if known_by >= share.ended_by:
            share.note_after_end(known_by, units)
        day = share.day
        if not day.start <= event_time < day.end:
            day.move_to(event_time)
        if known_by >= day.end:
            share.delays.rehearse(event_time, known_by, day.time_of_day, share.boundaries)

    def yardstick(self, due: Due, delivery_delay: int = 0) -> Yardstick:
        """Return what usage of a period is measured against."""
        invoicing = self.settings.invoicing
        return Yardstick(
            deadline=seconds_floor(due.deadline),
            now=seconds_floor(self.now),
            safety_margin=invoicing.safety_margin // SECOND,
            retry_time=invoicing.retry_time // SECOND,
            delivery_delay=delivery_delay,
        )

    def expected_delivery(self) -> dict[SourceAndMeter, int]:
        """Return the delivery delay to expect, in seconds, by all usage, asked for or not."""
        nothing = Delays()
        return {
            key: lateness.expected_delivery(
                self.delays.get(key, nothing).kinds()["delivery"]
                + self.elsewhere.get(key, nothing).kinds()["delivery"]
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

    def _pile(self, share: Share, state: str, units: int, event_time: Instant) -> Pile | None:
        """Return where a usage event that is not accepted counts; None where it is left out of the audit."""
        if share.is_asked_for and event_time < self.now - TOO_OLD_WARNING:
            self.nearing_too_old += state in _UNSENT and event_time >= self.now - MAX_AGE
        if state == "unsealed":
            share.free = share.free or self._free_between(share)
            if share.free[0] <= event_time < share.free[1]:
                return share.waiting
        condition = self.condition(state, self._usage(share, Quantity(units, share.scale), event_time))
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

    def _pile_of_accepted(self, share: Share, accepted_from: Instant, accepted_by: Instant) -> Pile:
        """Return where an accepted usage event counts."""
        if accepted_by > share.cancelable_after and share.is_asked_for:
            self.cancelable += 1
            self.cancelable_since = min(self.cancelable_since or accepted_from, accepted_from)
        if accepted_by < share.safe_before:
            return share.landed
        return share.missed if accepted_from >= share.late_from else share.at_risk

    def _share(
        self, lane: int, subscription_id: str | None, event_name: str | None, event_time: Instant
    ) -> Share:
        """Return what usage of a customer, source and meter at an instant is counted with."""
        rest, arrival = divmod(lane, len(_ARRIVALS))
        rest, scale = divmod(rest, _SCALES)
        rest, source = divmod(rest, self._source_count)
        customer, feature = divmod(rest, self._feature_count)
        key = (customer, feature, source, subscription_id, scale, event_name, _ARRIVALS[arrival])
        meter = event_name or self.meter_name(self._features[feature])
        stretch = self.dues.at(self.customers[customer], subscription_id, meter, event_time)
        share = self.shares.get((key, stretch.start))
        if share is None:
            share = self.shares[key, stretch.start] = self._new_share(key, meter, stretch)
        return share

    def _new_share(self, key: _Key, meter: str | None, stretch: DueStretch) -> Share:
        customer, feature, source, subscription_id, scale, sealed_for, left_out = key
        due, source_name = stretch.due, self._sources[source]
        is_asked_for = self.options.customer in (None, self.customers[customer]) and (
            self.options.meter in (None, meter)
        )
        known = self.delays if is_asked_for else self.elsewhere
        yardstick = self.yardstick(due)
        end = seconds_floor(due.period.end)
        time_of_day = end % lateness.DAY_SECONDS * SECOND
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
            is_billed=stretch.is_billed,
            delays=known.setdefault((source_name, meter), Delays()),
            safe_before=(yardstick.safe_until + 1) * SECOND,
            late_from=(yardstick.deadline + 1) * SECOND,
            cancelable_after=self.now - CANCEL_WINDOW,
            day=self._days.setdefault(time_of_day, Day(time_of_day)),
            boundaries=(self.now // SECOND * SECOND - lateness.HISTORY_DAYS * DAY, self.now),
            ended_by=(end + 1) * SECOND if due.period.end <= self.now else NEVER,
            left_out=left_out,
        )
        if not left_out:
            noted, _ = self._noted.setdefault((source_name, meter, is_asked_for), ([], share.delays))
            share.note_delays = noted.append
        return share

    def _free_between(self, share: Share) -> tuple[Instant, Instant]:
        """Return between which instants unsealed usage of a share only waits, as far as one can tell."""
        if seconds_floor(self.now) > seconds_floor(share.due.deadline):
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
