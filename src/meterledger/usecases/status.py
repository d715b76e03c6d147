"""Status: what is in the ledger, and what to do next."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from meterledger.config import Settings
from meterledger.domain.blocking import BlockReason
from meterledger.domain.delivery import State
from meterledger.domain.instant import DAY, Instant
from meterledger.ledger import Ledger
from meterledger.usecases.findings import Finding, counted, period_assumed
from meterledger.usecases.planning import Planner, refuse_clock_set_back
from meterledger.usecases.standing import Settling, stand

REPORTED_SINCE = 35 * DAY
"""Error reports of an earlier time are about usage that Stripe would take no more."""


@dataclass(slots=True, kw_only=True)
class Status:
    """The state of a ledger at an instant."""

    usage_events: int
    unsealed: int
    """Unsealed and not blocked."""
    meter_events: dict[str, int]
    blocked: dict[BlockReason, int]
    settling: Settling
    """Of the unsealed: what waits for its roll-up window to settle."""
    oldest_pending_event_time: Instant | None
    """Of usage and meter events that are still to be sent."""
    closed: dict[str, int]
    """Usage events that are never sent, by how they were closed."""
    open_rejections: int
    open_conflicts: int
    findings: list[Finding] = field(default_factory=list)

    @property
    def unsent(self) -> int:
        """What push would still send, in usage and meter events."""
        return self.unsealed + self.meter_events[State.PENDING] + self.meter_events[State.SENDING]

    @property
    def next_command(self) -> str:
        """What to run next, in one line: the first that applies."""
        applies = (
            (not self.usage_events, "`meterledger import FILE` reads usage into the ledger."),
            (
                self.meter_events[State.SENDING],
                "`meterledger push` at once: it finds out what became of what is on its way.",
            ),
            (
                self.meter_events[State.IN_DOUBT],
                "`meterledger resolve IDENTIFIER --as sent|not-sent --note TEXT` settles what is in doubt.",
            ),
            (
                self.unsent and self.unsent == self.settling.usage_events,
                "`meterledger push` when roll-up windows have settled.",
            ),
            (self.unsent, "`meterledger preview` shows what `meterledger push` would send."),
            (
                self.open_rejections or self.open_conflicts,
                "`meterledger rejects list` shows the refused rows, and how to mend them.",
            ),
            (
                self.blocked,
                "`meterledger preview` names blocked usage; mend it, or `meterledger write-off` closes it.",
            ),
            (
                self.meter_events[State.REJECTED],
                "mend what was rejected for `meterledger push --retry-rejected`, or `write-off` closes it.",
            ),
            (True, "`meterledger audit` tells whether everything makes its invoice."),
        )
        return next(command for condition, command in applies if condition)


def status(ledger: Ledger, settings: Settings, *, now: Instant, as_of: Instant | None = None) -> Status:
    """Look at a ledger as it is now, or as it was known at ``as_of``."""
    if as_of is None:
        refuse_clock_set_back(ledger, now)
    planner = Planner(ledger, settings, now, as_of)
    known_by = now if as_of is None else as_of
    with ledger.database.snapshot():
        standing = stand(planner)
        states = ledger.reports.meter_events_as_of(known_by)
        rejections, conflicts = ledger.reports.count_open_rejects(known_by)
        closed = ledger.closures.counts(known_by)
        usage_events = ledger.reports.count_usage_events(known_by)
        unknown_rejected = ledger.error_reports.count_unknown_rejected(known_by - REPORTED_SINCE, known_by)
    counts = {row["state"]: row["count"] for row in states}
    waiting = [row["oldest_event_time"] for row in states if row["state"] in (State.PENDING, State.SENDING)]
    if standing.oldest_event_time is not None:
        waiting.append(standing.oldest_event_time)
    return Status(
        usage_events=usage_events,
        unsealed=standing.unsealed,
        meter_events={state.value: counts.get(state.value, 0) for state in State},
        blocked=standing.blocked,
        settling=standing.settling,
        oldest_pending_event_time=min(waiting, default=None),
        closed=closed,
        open_rejections=rejections,
        open_conflicts=conflicts,
        findings=[
            *([period_assumed()] if standing.assumes_periods else ()),
            *_unknown_rejected(*unknown_rejected),
        ],
    )


def _unknown_rejected(events: int, reports: int) -> Iterator[Finding]:
    """Say that Stripe rejected more than it named: some of it may be of this ledger."""
    if events:
        yield Finding(
            code="unknown_rejected",
            severity="warning",
            message=f"{counted(events, 'meter event')} that Stripe rejected and did not name, in "
            f"{counted(reports, 'error report')} of the last 35 days; `meterledger reconcile --errors-only` "
            "lists meters and windows",
            details={"meter_events": events, "error_reports": reports},
        )
