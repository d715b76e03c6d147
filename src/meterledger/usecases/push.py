"""Push: recover, claim, send, finish; each meter event counted at Stripe once and never lost."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from meterledger import __version__
from meterledger.config import Settings
from meterledger.domain.blocking import BlockReason
from meterledger.domain.delivery import State
from meterledger.domain.foreign_usage import ForeignUsage
from meterledger.domain.instant import SECOND, Instant
from meterledger.domain.way import Way
from meterledger.errors import LedgerError, StripeError
from meterledger.ledger import Ledger
from meterledger.usecases.door import (
    Counterpart,
    knock,
    lease_awaited,
    refuse_other_binding,
    refuse_without_live,
)
from meterledger.usecases.draining import STREAM_CHUNK_METER_EVENTS, Drain, drain
from meterledger.usecases.error_reports import poll_error_reports
from meterledger.usecases.foreign_usage import compare_with_stripe
from meterledger.usecases.planning import Planner, refuse_clock_set_back, refuse_coarser_scale
from meterledger.usecases.preview import Preview, preview
from meterledger.usecases.restored import note_push
from meterledger.usecases.rolling_up import RollUp
from meterledger.usecases.sending import (
    FLUSH_OUTCOMES,
    Sender,
    Stop,
    Surroundings,
    Tally,
)
from meterledger.usecases.standing import Settling, stand
from meterledger.usecases.streaming import WaySender

CONCURRENCY = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutToPush:
    """What a person is asked before anything is sent to a live account."""

    account: str
    mode: str
    host: str
    meter_events: int
    customers: int
    goes_on: bool = False
    """Whether more is sent later without another question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOptions:
    """What the user asked for; a duration in microseconds."""

    live: bool = False
    limit: int | None = None
    max_duration: int | None = None
    include_closed: bool = False
    allow_foreign_usage: bool = False
    """Take what Stripe has beyond this ledger as its baseline, instead of stopping."""
    concurrency: int = CONCURRENCY
    retry_rejected: bool = False
    """Seal the usage of rejected meter events again, under the next revision."""
    retry_codes: Sequence[str] = ()
    """Only of these codes; of all if there are none."""
    confirm: Callable[[AboutToPush], bool] | None = None
    """Asked before anything is sealed; False ends the push."""
    wait: bool = False
    """Wait for the lease while another process holds it, up to ``max_duration``."""
    on_wait: Callable[[str], None] = lambda _why: None
    """Told once that it waits, and why."""


@dataclass(slots=True, kw_only=True)
class PushReport:
    """What this run did, and what is open in the ledger at its end."""

    push: int | None = None
    """The number of the push; None if nothing was begun."""
    tally: Tally = field(default_factory=Tally)
    pending: int = 0
    unsealed: int = 0
    """Of the pending: usage events that are neither sealed nor blocked."""
    open_meter_events: dict[str, int] = field(default_factory=dict)
    """Meter events in each state that is not settled."""
    oldest_pending_event_time: Instant | None = None
    in_doubt: int = 0
    rejected_in_ledger: int = 0
    blocked: dict[BlockReason, int] = field(default_factory=dict)
    settling: Settling = field(default_factory=Settling)
    """Of the pending usage: what waits for its roll-up window to settle."""
    recovered: int = 0
    retried: int = 0
    """Rejected meter events whose usage is to be sealed again."""
    reported: Counter[State] = field(default_factory=Counter)
    """Meter events by the state that error reports brought them into."""
    new_reports: int = 0
    """Error reports that were not known before."""
    warnings: list[str] = field(default_factory=list)
    foreign_usage: list[ForeignUsage] = field(default_factory=list)
    """What Stripe has beyond this ledger; it stopped the push, unless it was taken as the baseline."""
    stopped_at_door: bool = False
    """Nothing was sealed or sent: foreign usage, or a person said no."""
    stop: Stop | None = None
    stop_message: str = ""
    stop_status: int | None = None
    """The HTTP status that stopped it, if one did."""

    def note_stop(self, sender: Sender) -> None:
        """Take over why a sender stopped, if it did."""
        self.stop, self.stop_message, self.stop_status = sender.stop, sender.stop_message, sender.stop_status

    @property
    def needs_a_person(self) -> bool:
        """Tell whether anything is open that no further push mends by itself."""
        return bool(
            self.in_doubt
            or self.rejected_in_ledger
            or self.blocked
            or (self.foreign_usage and self.stopped_at_door)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pusher:
    """What a push works with, and all rounds of a worker."""

    ledger: Ledger
    settings: Settings
    options: PushOptions
    stripe: Counterpart
    around: Surroundings
    on_start: Callable[[Sender, int], None] = lambda _sender, _unsealed: None
    """Called with the sender and the amount of work, before the first request that sends."""
    deadline: float | None = None
    """When to stop, in monotonic seconds."""


async def push(
    ledger: Ledger,
    settings: Settings,
    options: PushOptions,
    stripe: Counterpart,
    around: Surroundings,
    on_start: Callable[[Sender, int], None] = lambda _sender, _unsealed: None,
) -> PushReport:
    """
    Send what is unsealed or unsettled.

    Args:
        ledger: The ledger; its lease is held from here to the end.
        settings: The config.
        options: What the user asked for.
        stripe: Key mode, host, and who speaks to it.
        around: Clock, sleep, chance, pace.
        on_start: Called with the sender and the amount of work, before the first request.

    Raises:
        UsageError: The key is of another mode or account than the ledger, or ``live`` is missing.
        LedgerError: Another push is at work, or the ledger is ahead of the clock.
        StripeError: Stripe refused the key, could not be reached, or its clock is too far from ours.
    """
    deadline = None if options.max_duration is None else around.monotonic() + options.max_duration / SECOND
    run = Pusher(
        ledger=ledger,
        settings=settings,
        options=options,
        stripe=stripe,
        around=around,
        on_start=on_start,
        deadline=deadline,
    )
    refuse_at_the_door(run)
    report = PushReport()
    until = deadline if options.wait else around.monotonic()
    async with lease_awaited(ledger, around, until=until, on_wait=options.on_wait) as token:
        # Whoever was waited for may have bound it.
        refuse_other_binding(ledger.lease.binding(), stripe.access)
        report.warnings = await knock(ledger, settings, stripe, around.clock)
        now = around.clock()
        report.recovered = ledger.outbox.recover(token, now)
        planner = Planner(ledger, settings, now, include_closed=options.include_closed)
        if not await may_go_in(run, planner, token, report) or is_declined(run, planner):
            report.stopped_at_door = True
            sum_up(planner, around.clock(), report)
            return report
        _retry_rejected(ledger, options, token, around.clock(), report)
        sender = await send_all(run, planner, token, report)
        await _poll_reports(run, sender, token, report)
    sum_up(planner, around.clock(), report)
    return report


def refuse_at_the_door(run: Pusher) -> None:
    """Raise what no push may begin with: a key of another mode, another binding, a clock set back."""
    refuse_without_live(run.stripe.access, live=run.options.live)
    refuse_clock_set_back(run.ledger, run.around.clock())
    refuse_other_binding(run.ledger.lease.binding(), run.stripe.access)
    refuse_coarser_scale(run.ledger, run.settings)


async def may_go_in(run: Pusher, planner: Planner, token: int, report: PushReport) -> bool:
    """Tell whether Stripe has nothing that this ledger does not know of, where that is to be compared."""
    compared = await compare_with_stripe(
        planner,
        run.stripe.gateway,
        run.around,
        token=token,
        allow=run.options.allow_foreign_usage,
        paced=run.stripe.access.is_stripe,
    )
    report.warnings += compared.warnings
    report.foreign_usage = compared.foreign
    return not compared.stops


async def send_all(run: Pusher, planner: Planner, token: int, report: PushReport) -> Sender:
    """Seal and send everything that may go, as one push of the ledger's history; return who sent it."""
    ledger, options, around = run.ledger, run.options, run.around
    now = around.clock()
    planner.refresh(now)
    for event in planner.stale():
        ledger.outbox.dissolve(event.id, token, now)
    if planner.way is Way.STREAM:
        ledger.lease.bind_meter_events_host(run.stripe.access.meter_events_base)
    report.push = ledger.outbox.begin_push(planner.way, __version__, token, now)
    # A ledger that is restored from a backup finds out by this that it is older than its last push.
    note_push(ledger, report.push)
    sender = WaySender(
        gateway=run.stripe.gateway,
        ledger=ledger,
        push=report.push,
        token=token,
        around=around,
        concurrency=options.concurrency,
        deadline=run.deadline,
        tally=report.tally,
        flush_outcomes=STREAM_CHUNK_METER_EVENTS if planner.way is Way.STREAM else FLUSH_OUTCOMES,
        is_ordered=run.settings.catalogue.ordered.__contains__,
    )
    drained = Drain(
        ledger=ledger,
        limit=options.limit,
        around=around,
        planner=planner,
        sender=sender,
        push=report.push,
        token=token,
        rollup=RollUp(planner) if planner.rolls_up else None,
    )
    await drain(drained, run.on_start)
    ledger.outbox.finish_push(report.push, around.clock())
    _note_end(ledger, report.push, report)
    report.note_stop(sender)
    return sender


def _retry_rejected(
    ledger: Ledger, options: PushOptions, token: int, now: Instant, report: PushReport
) -> None:
    if not options.retry_rejected:
        return
    retried = ledger.error_reports.retry_rejected(options.retry_codes, token, now)
    report.retried = retried.meter_events
    if retried.of_voided_imports:
        report.warnings.append(
            f"{retried.of_voided_imports} rejected meter events are of imports that were taken back: "
            "they are not sealed again; `meterledger write-off --reason rejected` closes them"
        )


async def _poll_reports(run: Pusher, sender: Sender, token: int, report: PushReport) -> None:
    """Ask for error reports at the end of a run that reached its end; without an answer nothing changes."""
    if report.stop not in (None, Stop.MAX_DURATION):
        return
    try:
        await poll_reports(run, token, report, lambda: sender.stop is Stop.INTERRUPTED)
    except StripeError as error:
        report.warnings.append(f"error reports were not read: {error.message}")
    report.note_stop(sender)


async def poll_reports(
    run: Pusher, token: int, report: PushReport, is_stopping: Callable[[], bool] = lambda: False
) -> None:
    """Ask for error reports; StripeError without an answer."""
    if run.stripe.reports is None:
        return
    polled = await poll_error_reports(
        run.ledger, run.stripe.reports, token=token, clock=run.around.clock, is_stopping=is_stopping
    )
    report.reported, report.new_reports = polled.settled, polled.new_reports
    report.warnings += polled.warnings


def is_declined(run: Pusher, planner: Planner, *, goes_on: bool = False) -> bool:
    """Tell whether a person who was asked said no."""
    options, access = run.options, run.stripe.access
    if options.confirm is None:
        return False
    result = Preview()
    for _event in preview(planner, result, limit=options.limit):
        pass
    binding = planner.ledger.lease.binding()
    about = AboutToPush(
        account=access.stripe_account or (binding and binding.account_id) or "",
        mode=access.mode,
        host=access.base,
        meter_events=result.events,
        customers=len({customer for _, customer in result.totals}),
        goes_on=goes_on,
    )
    return not options.confirm(about)


def _note_end(ledger: Ledger, number: int, report: PushReport) -> None:
    """Note in the head that the push ended; all is done by then: a failure is told, not raised."""
    try:
        note_push(ledger, number)
    except LedgerError as error:
        report.warnings.append(f"{error.message}; a backup taken during this push would not be told from it")


def sum_up(planner: Planner, now: Instant, report: PushReport) -> None:
    """Take into the report what is open in the ledger now."""
    planner.refresh(now)
    standing = stand(planner)
    counts, oldest = planner.ledger.outbox.open_counts()
    report.blocked, report.settling = standing.blocked, standing.settling
    report.open_meter_events, report.unsealed = counts, standing.unsealed
    report.pending = counts[State.PENDING] + counts[State.SENDING] + standing.unsealed
    report.in_doubt = counts[State.IN_DOUBT]
    report.rejected_in_ledger = counts[State.REJECTED]
    waiting = [one for one in (oldest, standing.oldest_event_time) if one is not None]
    report.oldest_pending_event_time = min(waiting, default=None)
