"""
The countdown to a deadline: what is still to be sent, settled or mended, and which sources are late.

A look costs what is unsettled, not what the ledger holds: what has come in is read once, and then only
what is new.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from meterledger.config import Settings
from meterledger.domain.billing_period import BillingPeriod
from meterledger.domain.dues import NEVER, DeadlineSource, Due, Dues
from meterledger.domain.grace import Grace
from meterledger.domain.instant import DAY, SECOND, Instant, seconds_floor
from meterledger.domain.rhythm import HISTORY, Arrivals, Outlook, Rhythm, SourceState
from meterledger.domain.rollup import UsageWindow
from meterledger.errors import LedgerError
from meterledger.ledger import Ledger
from meterledger.ledger.own_files import file_of
from meterledger.usecases.audit import audit, refuse_unknown
from meterledger.usecases.audit_answer import AuditOptions
from meterledger.usecases.known_dues import known_dues
from meterledger.usecases.planning import Planner, refuse_clock_set_back

MOST_DEADLINES = 10
"""The next ones; further ones are only counted."""

_BULK_LOAD = 2 * DAY
"""An import of what was received over a longer time is a bulk load."""


class Waiting(StrEnum):
    """What a usage event, or a refused row, waits for."""

    UNSENT = "unsent"
    SETTLING = "settling"
    """For its roll-up window to settle."""
    BLOCKED = "blocked"
    UNKNOWN = "unknown"
    """On its way, or its outcome is not known."""
    IN_DOUBT = "in_doubt"
    REJECTED = "rejected"
    OPEN_REJECTIONS = "open_rejections"
    OPEN_CONFLICTS = "open_conflicts"


_OF_STATE = {
    "pending": Waiting.UNSENT,
    "sending": Waiting.UNKNOWN,
    "in_doubt": Waiting.IN_DOUBT,
    "rejected": Waiting.REJECTED,
}
_OF_KIND = {"rejection": Waiting.OPEN_REJECTIONS, "conflict": Waiting.OPEN_CONFLICTS}


class Ending(StrEnum):
    """Why a countdown is over."""

    DEADLINE = "deadline"
    LANDED = "landed"
    """Nothing waits, and by their rhythm all sources have delivered."""
    NOTHING = "nothing_to_wait_for"
    """No deadline is ahead."""


class _Key(NamedTuple):
    deadline: Instant
    period: BillingPeriod
    source: DeadlineSource


class _Billed(NamedTuple):
    customer_id: str
    subscription_id: str | None
    feature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineAhead:
    """One period and deadline, and what still waits of it, in usage events and refused rows."""

    deadline: Instant
    """`dues.NEVER` where the draft is held open."""
    period: BillingPeriod
    deadline_source: DeadlineSource
    customers: int
    waiting: dict[Waiting, int]
    sources: dict[str, Outlook]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How things stand at one moment."""

    as_of: Instant
    deadlines: list[DeadlineAhead]
    """The next ones, the nearest first."""
    more_deadlines: int
    after_deadline: int
    """Usage events and refused rows that wait though their deadline is over."""
    ending: Ending | None = None
    outstanding: tuple[str, ...] = ()
    """At the end: sources that by their rhythm had not brought all of what was counted down."""
    verdict: str | None = None
    """At the end: the audit's; at risk instead of ok where sources are outstanding."""

    @property
    def what_changes(self) -> tuple[object, ...]:
        """All of it but the time."""
        return self.deadlines, self.more_deadlines, self.after_deadline, self.ending


@dataclass(slots=True)
class Countdown:
    """Looks at a ledger again and again until a deadline."""

    ledger: Ledger
    settings: Settings
    options: AuditOptions
    until: Instant | None = None
    """Until when to go on, over several deadlines; None for those of the periods that are due next."""
    _opened: tuple[int, int] | None = field(init=False)
    """Which file the ledger is."""
    _read_up_to: int = 0
    _billed: set[_Billed] = field(default_factory=set)
    _arrived: dict[str, dict[tuple[int, bool], list[tuple[int, int | None, Arrivals]]]] = field(
        default_factory=dict
    )
    """By source and by import (and whether it followed a file), with recorded_at and received_at."""
    _rhythms: dict[str, Rhythm] = field(default_factory=dict)
    _periods: frozenset[BillingPeriod] | None = None
    """Those whose deadline was the nearest at the first look."""
    _ends: set[Instant] = field(default_factory=set)
    """Of all periods that were counted down, over or not."""

    def __post_init__(self) -> None:
        """Note which file is looked at."""
        self._opened = file_of(self.ledger.path)

    def look(self, now: Instant) -> Look:
        """
        Look once; at the end with the audit's verdict.

        Raises:
            LedgerError: Another ledger stands in the place of the one that is open, or none.
        """
        if file_of(self.ledger.path) != self._opened:
            raise LedgerError(
                f"the ledger {self.ledger.path} was replaced or removed during the countdown",
                hint="start it again: it looks at the ledger that is there then",
            )
        refuse_clock_set_back(self.ledger, now)
        with self.ledger.database.snapshot():
            refuse_unknown(self.ledger, self.settings, self.options)
            self._read_on(now)
            look = self._look(now)
            if look.ending is None:
                return look
            verdict = audit(self.ledger, self.settings, self.options, now=now).verdict
        outstanding = self._outstanding(now)
        if outstanding and verdict == "ok":
            # The audit judges what is in the ledger; what never came is not.
            verdict = "at_risk"
        return replace(look, verdict=verdict, outstanding=outstanding)

    def next_look(self, look: Look, interval: int) -> int:
        """Return how long to wait before the next look, in microseconds: at most until just after the end."""
        ends = [one.deadline for one in self._watched(look.deadlines) if one.deadline < NEVER]
        end = self.until if self.until is not None else max(ends, default=NEVER) + SECOND
        return max(min(interval, end - look.as_of), 1)

    def _read_on(self, now: Instant) -> None:
        """Read what has come in since the last look."""
        reports = self.ledger.reports
        up_to = reports.last_usage_event()
        if up_to == self._read_up_to:
            return
        span = {"after": self._read_up_to, "up_to": up_to}
        self._billed |= {_Billed(*row) for row in reports.billed_since(**span)}
        changed = set()
        for row in reports.arrivals_since(**span):
            changed.add(row["source"])
            imports = self._arrived.setdefault(row["source"], {})
            arrivals = Arrivals(
                row["recorded_at"], row["first_event_time"], row["last_event_time"], row["usage_events"]
            )
            key = (row["import"], bool(row["followed"]))
            imports.setdefault(key, []).append((row["recorded_at"], row["received_at"], arrivals))
        for source in changed:
            arrived = (
                one
                for (_, followed), some in self._arrived[source].items()
                for one in _dated(some, followed=followed)
            )
            recent = [one for one in arrived if one.arrived_at > now - HISTORY - DAY]
            if recent:
                self._rhythms[source] = Rhythm(recent)
        self._read_up_to = up_to

    def _look(self, now: Instant) -> Look:
        dues = self._dues(now)
        customers = self._customers_by_deadline(dues, now)
        waiting: dict[_Key, dict[Waiting, int]] = {}
        after_deadline = 0
        for due, what in self._all_that_waits(dues, now):
            key = _key(due)
            if _is_over(due.deadline, now):
                after_deadline += 1
            else:
                counts = waiting.setdefault(key, dict.fromkeys(Waiting, 0))
                counts[what] += 1
        keys = sorted(customers.keys() | waiting.keys())
        ahead = [
            DeadlineAhead(
                deadline=key.deadline,
                period=key.period,
                deadline_source=key.source,
                customers=len(customers.get(key, ())),
                waiting=waiting.get(key) or dict.fromkeys(Waiting, 0),
                sources={},
            )
            for key in keys
        ]
        ending = self._ending(ahead, now)
        return Look(
            as_of=now,
            deadlines=[self._with_sources(one, now) for one in ahead[:MOST_DEADLINES]],
            more_deadlines=max(len(ahead) - MOST_DEADLINES, 0),
            after_deadline=after_deadline,
            ending=ending,
        )

    def _ending(self, ahead: list[DeadlineAhead], now: Instant) -> Ending | None:
        dated = [one for one in ahead if one.deadline < NEVER]
        if self._periods is None:
            if not dated and self.until is None:
                return Ending.NOTHING
            nearest = min((one.deadline for one in dated), default=NEVER)
            self._periods = frozenset(one.period for one in dated if one.deadline == nearest)
        watched = self._watched(dated)
        self._ends |= {one.period.end for one in watched}
        if self.until is not None and now >= self.until:
            return Ending.DEADLINE
        if not watched:
            return Ending.DEADLINE if self.until is None else None
        return Ending.LANDED if all(self._has_landed(one, now) for one in watched) else None

    def _watched(self, ahead: list[DeadlineAhead]) -> list[DeadlineAhead]:
        if self.until is not None:
            return [one for one in ahead if one.deadline <= self.until]
        return [one for one in ahead if one.period in (self._periods or ())]

    def _has_landed(self, one: DeadlineAhead, now: Instant) -> bool:
        """Tell whether a period is over, nothing of it waits, and no source is to bring more of it."""
        if one.period.end > now or any(one.waiting.values()):
            return False
        sources = self._outlooks(one.period.end, now)
        return bool(sources) and all(outlook.state is SourceState.COMPLETE for outlook in sources.values())

    def _outstanding(self, now: Instant) -> tuple[str, ...]:
        """Return the sources that are to bring more of what was counted down, as far as is known of them."""
        return tuple(
            sorted(
                {
                    source
                    for end in self._ends
                    for source, outlook in self._outlooks(end, now).items()
                    if outlook.state in (SourceState.LATE, SourceState.EXPECTED)
                }
            )
        )

    def _with_sources(self, one: DeadlineAhead, now: Instant) -> DeadlineAhead:
        return replace(one, sources=self._outlooks(one.period.end, now))

    def _outlooks(self, end: Instant, now: Instant) -> dict[str, Outlook]:
        """Return how the sources stand to a period's end, but for those that brought nothing for long."""
        found = {source: self._rhythms[source].outlook(end, now) for source in sorted(self._rhythms)}
        return {source: one for source, one in found.items() if one.last_delivery > now - HISTORY}

    def _dues(self, now: Instant) -> Dues:
        grace = None
        if self.options.grace_period is not None:
            grace = Grace(default=self.options.grace_period, is_configured=True)
        return known_dues(self.ledger, self.settings, now, grace=grace)

    def _customers_by_deadline(self, dues: Dues, now: Instant) -> dict[_Key, set[str]]:
        """Return whose deadlines are ahead: those of the current period, and of the one before."""
        found: dict[_Key, set[str]] = {}
        for customer_id, subscription_id, feature in self._billed:
            event_name = self._meter_name(feature)
            if not self._is_asked_for(customer_id, event_name):
                continue
            current = dues.at(customer_id, subscription_id, event_name, now).due
            before = dues.at(customer_id, subscription_id, event_name, current.period.start - 1).due
            for due in (current, before):
                if not _is_over(due.deadline, now):
                    found.setdefault(_key(due), set()).add(customer_id)
        return found

    def _all_that_waits(self, dues: Dues, now: Instant) -> Iterator[tuple[Due, Waiting]]:
        """Yield everything that is not settled with its due."""
        planner = Planner(self.ledger, self.settings, now)
        rolls_up = planner.rolls_up
        for usage in self.ledger.unsealed.all():
            event_name = self._meter_name(usage.feature)
            if self._is_asked_for(usage.customer_id, event_name):
                due = dues.at(usage.customer_id, usage.subscription_id, event_name, usage.event_time).due
                what = Waiting.BLOCKED if planner.standing_of(usage) else Waiting.UNSENT
                where = planner.window_of(usage) if rolls_up and what is Waiting.UNSENT else None
                settles = isinstance(where, UsageWindow) and where.ready_at > now
                yield due, Waiting.SETTLING if settles else what
        reports = self.ledger.reports
        for customer_id, subscription_id, event_name, event_time, state in reports.unsettled_usage():
            if self._is_asked_for(customer_id, event_name):
                yield dues.at(customer_id, subscription_id, event_name, event_time).due, _OF_STATE[state]
        for row in reports.open_rejects_with_event_time(now):
            customer_id, event_name = row["customer_id"] or "", self._meter_name(row["feature"])
            if self._is_asked_for(customer_id, event_name):
                yield dues.at(customer_id, None, event_name, row["event_time"]).due, _OF_KIND[row["kind"]]

    def _is_asked_for(self, customer_id: str, event_name: str | None) -> bool:
        return self.options.customer in (None, customer_id) and self.options.meter in (None, event_name)

    def _meter_name(self, feature: str | None) -> str | None:
        meter = self.settings.catalogue.meter_of(feature) if feature else None
        return meter.event_name if meter else None


def count_down(
    countdown: Countdown,
    *,
    interval: int,
    clock: Callable[[], Instant],
    wait: Callable[[int], bool],
    show: Callable[[Look], None],
) -> Look:
    """
    Look until the countdown is over or somebody stops it, and return the last look.

    Args:
        countdown: What looks.
        interval: Between two looks, in microseconds.
        clock: Asked before each look.
        wait: Waits so many microseconds, and tells whether somebody has stopped it.
        show: Shows each look.
    """
    while True:
        look = countdown.look(clock())
        show(look)
        if look.ending is not None or wait(countdown.next_look(look, interval)):
            return look


def _dated(some: list[tuple[Instant, Instant | None, Arrivals]], *, followed: bool) -> Iterator[Arrivals]:
    """
    Yield what an import brought, by when it got into the ledger.

    Only of a bulk load, received over days and imported at once, is that no rhythm: there it is when the rows
    were received.
    """
    received = [one for _, one, _ in some if one is not None]
    is_bulk = not followed and bool(received) and max(received) - min(received) > _BULK_LOAD
    for recorded_at, received_at, arrivals in some:
        if is_bulk and received_at is not None:
            yield arrivals._replace(arrived_at=min(received_at, recorded_at))
        else:
            yield arrivals


def _key(due: Due) -> _Key:
    return _Key(due.deadline, due.period, due.source)


def _is_over(deadline: Instant, now: Instant) -> bool:
    """Tell whether a deadline is over, by whole seconds as everywhere in the audit."""
    return seconds_floor(now) > seconds_floor(deadline)
