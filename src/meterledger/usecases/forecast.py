"""Feeds the forecast from the ledger: each closing period's end, rehearsed on the days of the history."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from meterledger.config import Settings
from meterledger.domain.dues import NEVER, Dues
from meterledger.domain.forecast import Closing, LateUsage, SourceHistory, forecast
from meterledger.domain.instant import DAY, SECOND, Instant, seconds_floor
from meterledger.domain.lateness import HISTORY_DAYS, Landing
from meterledger.domain.pace import meter_events_per_second
from meterledger.domain.push_schedule import PushSchedule
from meterledger.ledger import Ledger
from meterledger.usecases.audit_answer import Amount, AuditOptions, Entry
from meterledger.usecases.forecast_answer import Forecasted

_STRIPE_DOMAIN = ".stripe.com"


@dataclass(slots=True, kw_only=True)
class _Group:
    """A closing period with what was found of its history."""

    closing: Closing
    open: Amount = field(default_factory=Amount)
    at_risk: Amount = field(default_factory=Amount)
    late: dict[str, LateUsage] = field(default_factory=dict)
    """By source."""


def forecasts(
    ledger: Ledger,
    settings: Settings,
    dues: Dues,
    options: AuditOptions,
    entries: Iterable[Entry],
    *,
    now: Instant,
) -> list[Forecasted]:
    """
    Return the forecast of each period and meter of an audit whose deadline is ahead; a snapshot is open.

    Args:
        ledger: When usage arrived, and when pushes began.
        settings: Safety margin, meters, and the way into Stripe.
        dues: Which period usage of a customer is due in.
        options: The schedule of pushes, if one is given, and which customer was asked for.
        entries: Those of the audit.
        now: What was recorded later is not known.
    """
    groups = _closing_groups(entries, now)
    if not groups:
        return []
    since = now - (HISTORY_DAYS + 1) * DAY
    schedule = PushSchedule.of(
        options.push_every, ledger.arrivals.pushes(since=since, as_of=now), _per_second(ledger, settings, now)
    )
    reading = _Reading(ledger=ledger, settings=settings, dues=dues, now=now, since=since, groups=groups)
    schedule = reading.read_rhythm(schedule)
    reading.read_late(schedule, only_customer=options.customer)
    return [
        Forecasted(
            forecast=forecast(
                group.closing, reading.histories.get(group.closing.event_name, {}), group.late, now=now
            ),
            schedule=schedule,
            open=group.open,
            at_risk=group.at_risk,
        )
        for group in groups.values()
    ]


def _closing_groups(entries: Iterable[Entry], now: Instant) -> dict[Closing, _Group]:
    groups: dict[Closing, _Group] = {}
    for entry in entries:
        is_ahead = seconds_floor(now) <= seconds_floor(entry.deadline) and entry.deadline < NEVER
        if entry.event_name is None or not is_ahead:
            continue
        closing = Closing(period=entry.period, deadline=entry.deadline, event_name=entry.event_name)
        group = groups.setdefault(closing, _Group(closing=closing))
        for whole, where in ((group.open, Landing.OPEN), (group.at_risk, Landing.AT_RISK)):
            whole.add(entry.amounts[where].events, entry.amounts[where].quantity)
    return groups


def _per_second(ledger: Ledger, settings: Settings, now: Instant) -> float | None:
    """Return the pace that Stripe allows the ledger; that of a live key where it was not bound yet."""
    binding = ledger.lease.binding(as_of=now)
    return meter_events_per_second(
        is_stripe=binding is None or binding.host.endswith(_STRIPE_DOMAIN),
        mode="live" if binding is None else binding.mode,
        connected=bool(settings.stripe.account),
        way=settings.stripe.api,
    )


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What is read of the history; instants in microseconds."""

    ledger: Ledger
    settings: Settings
    dues: Dues
    now: Instant
    since: Instant
    groups: Mapping[Closing, _Group]
    histories: dict[str, dict[str, SourceHistory]] = field(default_factory=dict)
    """By meter and source."""

    def read_rhythm(self, schedule: PushSchedule) -> PushSchedule:
        """Read when usage arrived, and return the schedule with what each push found waiting."""
        reports = self.ledger.reports
        sources, features = reports.names_of("source"), reports.names_of("feature")
        waiting: dict[int, int] = {}
        for source, feature, push, events, first, last in self.ledger.arrivals.by_push(
            since=self.since, as_of=self.now, every=schedule.every, phase=schedule.phase
        ):
            waiting[push] = waiting.get(push, 0) + events
            if event_name := self._meter_name(features[feature]):
                of_meter = self.histories.setdefault(event_name, {})
                of_meter.setdefault(sources[source], SourceHistory()).note(first, last, events)
        return replace(schedule, waiting=waiting)

    def read_late(self, schedule: PushSchedule, *, only_customer: str | None) -> None:
        """Read the usage that reached Stripe too late for a boundary of any group."""
        reports = self.ledger.reports
        customers = reports.names_of("customer")
        sources, features = reports.names_of("source"), reports.names_of("feature")
        margin = self.settings.invoicing.safety_margin
        times = {group.closing.period.end % DAY for group in self.groups.values()}
        shortest = min(group.closing.grace_period for group in self.groups.values())
        sending = schedule.seconds_to_send(max(schedule.waiting.values(), default=0)) * SECOND
        known: dict[tuple[int, int, int, str | None], list[LateUsage]] = {}
        for (
            customer,
            source,
            feature,
            subscription_id,
            units,
            scale,
            event_time,
            arrival,
        ) in self.ledger.arrivals.late(
            since=self.since,
            as_of=self.now,
            reach=schedule.every + sending + SECOND - shortest,
            time_of_day=times.pop() if len(times) == 1 else None,
        ):
            key = (customer, source, feature, subscription_id)
            found = known.get(key)
            if found is None:
                found = known[key] = []
                if only_customer in (None, customers[customer]):
                    found += [
                        group.late.setdefault(sources[source], LateUsage.of(group.closing, schedule, margin))
                        for group in self._groups_of(customers[customer], subscription_id, features[feature])
                    ]
            for late in found:
                late.note(event_time, arrival, units, scale)

    def _groups_of(self, customer_id: str, subscription_id: str | None, feature: str) -> Iterable[_Group]:
        """Yield the closing periods that usage of a customer comes in: the current one, and the last."""
        event_name = self._meter_name(feature)
        if event_name is None:
            return
        current = self.dues.at(customer_id, subscription_id, event_name, self.now).due
        before = self.dues.at(customer_id, subscription_id, event_name, current.period.start - 1).due
        for due in (current, before):
            closing = Closing(period=due.period, deadline=due.deadline, event_name=event_name)
            if closing in self.groups:
                yield self.groups[closing]

    def _meter_name(self, feature: str) -> str | None:
        meter = self.settings.catalogue.meter_of(feature)
        return meter.event_name if meter else None
