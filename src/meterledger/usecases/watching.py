"""
The worker: pushes round by round as usage arrives, until somebody stops it.

Between rounds it holds no lease and asks Stripe nothing; a look at whether anybody committed to the ledger
is all it does. An outage is waited out; what a person has to mend ends it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from meterledger.domain.instant import Instant
from meterledger.errors import InUseError, KeyRefusedError, LedgerError, MeterledgerError, StripeError
from meterledger.ledger import Ledger
from meterledger.ledger.own_files import file_of
from meterledger.usecases.door import LEASE_ASKED_SECONDS, knock, lease_held
from meterledger.usecases.follow_lock import only_worker
from meterledger.usecases.metrics import Figures
from meterledger.usecases.planning import Planner
from meterledger.usecases.preview import Preview, preview
from meterledger.usecases.push import (
    Pusher,
    PushReport,
    is_declined,
    may_go_in,
    poll_reports,
    refuse_at_the_door,
    send_all,
    sum_up,
)
from meterledger.usecases.sending import Sender, Stop

LOOK_AT_STRIPE_SECONDS = 300.0
"""How often Stripe is asked for error reports, account and meters, and what time alone frees is sent."""

LONGEST_BACKOFF_SECONDS = 300.0
PROGRESS_SECONDS = 30.0
"""How often a long round is told of while it goes on."""

HEARTBEAT_SECONDS = 60.0
"""How often figures are published while nothing happens."""

_KEY_REFUSED_STATUSES = frozenset({401, 403})
_MOST_DOUBLINGS = 16
_Result = TypeVar("_Result")


class What(StrEnum):
    """What a worker tells of."""

    STARTED = "started"
    ROUND = "round"
    PROGRESS = "progress"
    FAILED = "failed"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of the log; ``report`` where it is about a round."""

    what: What
    at: Instant
    message: str = ""
    report: PushReport | None = None
    seconds: float = 0.0
    """How long the round has taken."""
    again_in: float | None = None
    """Seconds until the next try, after a failure."""


class _StoppedError(Exception):
    """Somebody stopped the worker while it read; nothing was in flight."""


@dataclass(slots=True, kw_only=True)
class Worker:
    """
    One worker while it lives.

    Attributes:
        run: What it pushes with; ``options.wait`` lets it wait for another worker, or a push, at its start.
        interval: Seconds between two looks at the ledger.
        tell: Takes what happened.
        publish: Takes the figures, after each round and regularly in between.
        requests: How many requests were made so far.
    """

    run: Pusher
    interval: float
    tell: Callable[[Happening], None]
    publish: Callable[[Figures], None] = lambda _figures: None
    requests: Callable[[], int] = lambda: 0
    figures: Figures = field(default_factory=Figures)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _sender: Sender | None = None
    _report: PushReport = field(default_factory=PushReport)
    """That of the last round."""
    _begun: float = 0.0
    _told: float = 0.0
    _published: float = 0.0
    _tide: int | None = None
    """The ledger's at the last round; None if there was none, or it failed."""
    _next_full: float = 0.0
    _failures: int = 0
    _is_let_in: bool = False
    """Whether it had the lease once, and nobody said no."""
    _is_waiting: bool = False
    _warned: list[str] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        """The ledger that it pushes."""
        return self.run.ledger

    def stop(self) -> None:
        """Let what is in flight end, and then the worker."""
        self._stop.set()
        if self._sender:
            self._sender.request_stop(Stop.INTERRUPTED)

    async def live(self) -> PushReport:
        """
        Push until it is stopped, or until something has to be mended; return the last round's report.

        Raises:
            UsageError: The key is of another mode or account, or the config contradicts a meter.
            LedgerError: Another worker is there, or the ledger cannot be used.
            KeyRefusedError: Stripe refused the key.
        """
        self.run = replace(self.run, on_start=self._on_start)
        with contextlib.ExitStack() as stack:
            while not self._is_over() and not self._is_only_one(stack):
                await self._pause(LEASE_ASKED_SECONDS)
            try:
                self._tell(What.STARTED)
                opened = file_of(self.ledger.path)
                while not self._is_over() and not self._report.stopped_at_door:
                    if file_of(self.ledger.path) != opened:
                        raise LedgerError(
                            f"the ledger {self.ledger.path} was replaced or removed while it was pushed",
                            hint="start the worker again: it goes on with the ledger that is there then",
                        )
                    await self._pause(await self._next())
            except MeterledgerError as error:
                self._end(error.message)
                raise
            self._end("")
        return self._report

    def _is_only_one(self, stack: contextlib.ExitStack) -> bool:
        try:
            stack.enter_context(only_worker(self.ledger.path))
        except InUseError as error:
            self._wait_for_others(error)
            return False
        self._is_waiting = False
        return True

    def _wait_for_others(self, error: InUseError) -> None:
        """Wait where somebody else has the ledger; at the start only if the user said so."""
        if not self._is_let_in and not self.run.options.wait:
            raise error
        if not self._is_waiting:
            self._tell(What.WAITING, error.message)
        self._is_waiting = True

    async def _next(self) -> float:
        """Make a round if one is due, and return after how many seconds to look again."""
        tide, full = self.ledger.database.tide(), self.run.around.monotonic() >= self._next_full
        if not (full or tide != self._tide or self._has_settled()):
            return self.interval
        self._begun = self._told = self.run.around.monotonic()
        self._report = report = PushReport()
        try:
            await self._round(report, tide, full=full)
            failure = self._failure_of(report)
        except _StoppedError:
            return 0.0
        except InUseError as error:
            self._tide = None
            self._wait_for_others(error)
            return LEASE_ASKED_SECONDS
        except KeyRefusedError:
            self._count(report, failed=True)
            raise
        except StripeError as error:
            failure = error.message
            report.stop, report.stop_message = Stop.UNREACHABLE, error.message
        finally:
            self._sender = None
        self._count(report, failed=bool(failure))
        self._tell_round(report)
        if report.stop_status in _KEY_REFUSED_STATUSES:
            raise KeyRefusedError(
                f"Stripe refused: {report.stop_message}", hint="check the key and what it may do"
            )
        return self._delay(failure, full=full)

    async def _round(self, report: PushReport, tide: int, *, full: bool) -> None:
        run, clock = self.run, self.run.around.clock
        refuse_at_the_door(run)
        with lease_held(self.ledger, clock) as token:
            self._tide, self._is_waiting = tide, False
            report.recovered = self.ledger.outbox.recover(token, clock())
            if full:
                report.warnings += await self._unless_stopped(
                    knock(self.ledger, run.settings, run.stripe, clock)
                )
            planner = Planner(self.ledger, run.settings, clock(), include_closed=run.options.include_closed)
            if not self._is_let_in and is_declined(run, planner, goes_on=True):
                report.stopped_at_door = True
            self._is_let_in = True
            if not report.stopped_at_door and _has_work(planner):
                if await self._unless_stopped(may_go_in(run, planner, token, report)):
                    await send_all(run, planner, token, report)
                else:
                    report.stopped_at_door = True
            if full and report.stop is None and not report.stopped_at_door:
                await self._unless_stopped(poll_reports(run, token, report))
        sum_up(planner, clock(), report)
        self.figures.take_in(report)
        if full:
            self.figures.meter_events = self.ledger.outbox.counts()

    def _on_start(self, sender: Sender, _work: int) -> None:
        self._sender = sender
        sender.on_progress = self._on_progress
        if self._stop.is_set():
            sender.request_stop(Stop.INTERRUPTED)

    def _on_progress(self, _finished: int) -> None:
        if self.run.around.monotonic() - self._told >= PROGRESS_SECONDS:
            self._tell(What.PROGRESS, report=self._report)
            self._publish()

    def _has_settled(self) -> bool:
        next_at = self._report.settling.next_at
        return next_at is not None and self.run.around.clock() >= next_at

    def _failure_of(self, report: PushReport) -> str:
        """Return why a round did not come to its end; empty if it did."""
        if report.stop in (Stop.REFUSED, Stop.UNREACHABLE):
            return report.stop_message
        if report.tally.exhausted and report.stop is None:
            return f"{report.tally.exhausted} meter events could not be settled: {report.tally.last_failure}"
        return ""

    def _delay(self, failure: str, *, full: bool) -> float:
        """Return after how many seconds to look again: later after each failure, and with some chance."""
        around = self.run.around
        if failure:
            self._failures += 1
            self._tide, self._next_full = None, 0.0
            doubled = self.interval * 2.0 ** min(self._failures, _MOST_DOUBLINGS)
            longest = max(self.interval, min(LONGEST_BACKOFF_SECONDS, doubled))
            delay = longest * (1 + around.chance()) / 2
            self._tell(What.FAILED, failure, again_in=delay)
        else:
            self._failures, delay = 0, self.interval
            self.figures.last_success_at = around.clock()
            if full:
                self._next_full = around.monotonic() + LOOK_AT_STRIPE_SECONDS
        self.figures.up = not failure
        self._publish()
        return delay

    def _count(self, report: PushReport, *, failed: bool) -> None:
        self.figures.count(report, failed=failed)
        self.figures.last_round_seconds = self.run.around.monotonic() - self._begun

    def _tell_round(self, report: PushReport) -> None:
        """Tell of a round that did anything; of the same warnings once."""
        is_new = report.warnings != self._warned
        self._warned = report.warnings
        did = (
            report.push,
            report.recovered,
            report.new_reports,
            report.stopped_at_door,
            report.reported.total(),
        )
        if any(did) or (is_new and report.warnings):
            self._tell(What.ROUND, report=report)

    def _end(self, message: str) -> None:
        """Tell that it ended, with every figure once more as far as the ledger can be read."""
        with contextlib.suppress(MeterledgerError):
            self.figures.meter_events = self.ledger.outbox.counts()
        self.figures.up = False
        self._publish()
        self._tell(What.ENDED, message)

    def _publish(self) -> None:
        self._published = self.run.around.monotonic()
        self.figures.at, self.figures.requests = self.run.around.clock(), self.requests()
        self.publish(self.figures)

    def _tell(
        self,
        what: What,
        message: str = "",
        *,
        report: PushReport | None = None,
        again_in: float | None = None,
    ) -> None:
        around = self.run.around
        self._told = around.monotonic()
        seconds = self._told - self._begun if report else 0.0
        self.tell(
            Happening(
                what=what,
                at=around.clock(),
                message=message,
                report=report,
                seconds=seconds,
                again_in=again_in,
            )
        )

    def _is_over(self) -> bool:
        deadline = self.run.deadline
        return self._stop.is_set() or (deadline is not None and self.run.around.monotonic() >= deadline)

    async def _pause(self, seconds: float) -> None:
        """Sleep, with a sign of life now and then."""
        around = self.run.around
        ends = [around.monotonic() + seconds, *([] if self.run.deadline is None else [self.run.deadline])]
        with contextlib.suppress(_StoppedError):
            while not self._is_over() and (left := min(ends) - around.monotonic()) > 0:
                await self._unless_stopped(around.sleep(min(left, HEARTBEAT_SECONDS)))
                if around.monotonic() - self._published >= HEARTBEAT_SECONDS:
                    self._publish()

    async def _unless_stopped(self, work: Awaitable[_Result]) -> _Result:
        """Let something come to its end that may be dropped; _StoppedError if the worker is stopped first."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            for each in (task, stopped):
                each.cancel()
            await asyncio.gather(task, stopped, return_exceptions=True)
        raise _StoppedError


def _has_work(planner: Planner) -> bool:
    """Tell whether a push would change anything: send, seal, dissolve, or put in doubt."""
    sealed_before = planner.sealed_before()
    if sealed_before.past_horizon or sealed_before.stale:
        return True
    with contextlib.closing(preview(planner, Preview())) as events:
        return next(events, None) is not None
