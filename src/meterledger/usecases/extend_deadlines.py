"""
Move the deadlines of drafts that are behind: more time for usage to come onto the invoice.

Each move is an intent in the ledger before the request leaves, and it counts as made only when the
invoice itself tells the new deadline.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from meterledger.config import Settings
from meterledger.domain.billing_facts import PulledInvoice
from meterledger.domain.instant import DAY, HOUR, SECOND, Instant
from meterledger.errors import StripeError
from meterledger.ledger import Ledger
from meterledger.ledger.subscriptions import SAME_KEY_ANSWERS, Extension, ExtensionOutcome
from meterledger.stripe_gateway.billing import Changed, Refusal
from meterledger.usecases.deadlines import Deadline, list_deadlines
from meterledger.usecases.paced_requests import PacedRequests
from meterledger.usecases.pull_billing import BillingGateway

LATEST_AHEAD = 5 * 365 * DAY
"""How far ahead Stripe takes `automatically_finalizes_at`: five years."""

MOST_UNANSWERED = 2
"""Moves in a row without an answer that end a run: each of them is waited for."""

LONGEST_RUN = HOUR
"""How far before an open intent a move may lie, to be one of the same run."""

_LATER_ALREADY = "its deadline is there already, or later"
_FORBIDDEN = 403
_UNAUTHORIZED = 401


class Result(StrEnum):
    """What became of a draft that was asked for."""

    PLANNED = "planned"
    EXTENDED = "extended"
    UNNEEDED = "unneeded"
    """Its deadline is not before the one asked for."""
    FINAL = "final"
    HELD_OPEN = "held_open"
    TOO_FAR = "too_far"
    REFUSED = "refused"
    UNREADABLE = "unreadable"
    """Right before, the invoice had another form than Stripe's: nothing was asked."""
    UNKNOWN = "unknown"
    """No answer came, and the invoice does not tell the new deadline: the next run looks again."""


@dataclass(slots=True, kw_only=True)
class Line:
    """One draft: from when to when, what became of it, and the deadline that it told last."""

    deadline: Deadline
    invoice: PulledInvoice
    result: Result
    to: Instant | None
    now_at: Instant | None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendOptions:
    """Which drafts, by how much or until when, and whether to ask first."""

    by: int | None = None
    """How much more time, in microseconds; None with ``to``."""
    to: Instant | None = None
    """The deadline that each is to have, or a later one; None with ``by``."""
    customer: str | None = None
    """This customer's; None for all that are behind."""
    dry_run: bool = False
    confirm: Callable[[Sequence[Line]], bool] | None = None

    def target(self, deadline: Instant, now: Instant) -> Instant:
        """Return what a deadline is moved to, in whole seconds, as Stripe has them."""
        wanted = max(deadline, now) + (self.by or 0) if self.to is None else self.to
        return (wanted + SECOND - 1) // SECOND * SECOND


@dataclass(slots=True, kw_only=True)
class ExtendReport:
    """What a run did, draft by draft."""

    lines: list[Line] = field(default_factory=list)
    stopped: StripeError | None = None
    """What ended it early."""
    is_interrupted: bool = False
    """Whether it was canceled: drafts are still planned that it had not come to."""
    left_open: bool = False
    """Whether there are moves whose outcome nobody knows."""
    declined: bool = False


@dataclass(slots=True, kw_only=True)
class Extender:
    """Moves deadlines; everything was pulled just before."""

    ledger: Ledger
    settings: Settings
    gateway: BillingGateway
    paced: PacedRequests

    async def run(self, options: ExtendOptions, on_moving: Callable[[], None] = lambda: None) -> ExtendReport:
        """
        Settle what an earlier run left open, plan, ask, and move; ``on_moving`` is told before it moves.

        Raises:
            UsageError: Nothing is known of the customer.
            StripeError: Stripe cannot be reached before anything was planned.
        """
        left_open, odd = await self._left_open()
        made: set[str] = set()
        if (left_open or odd) and options.to is None:
            # What the run that was cut off had made is made: it gets no second extension by this one. An
            # instant needs none of that: who has it is left alone.
            made = {extension.invoice_id for extension, read in left_open if _is_made(extension, read)}
            made |= self._still_moved(self.ledger.subscriptions.extended_beside_open(LONGEST_RUN))
        report = ExtendReport(lines=self._planned(options, made, odd))
        planned = [line for line in report.lines if line.result is Result.PLANNED]
        if options.dry_run:
            return report
        if planned and options.confirm is not None and not options.confirm(report.lines):
            report.declined = True
            return report
        on_moving()
        # Not before: the open intents are what tells that a run was cut off.
        for extension, read in left_open:
            self._settle(extension, read, Changed(status=None, message="settled by a later run"))
        await self._extend_all(report, planned)
        report.left_open = bool(self.ledger.subscriptions.open_extensions())
        return report

    async def _extend_all(self, report: ExtendReport, planned: Sequence[Line]) -> None:
        """Move one deadline after the other; note what ended that early."""
        unanswered = 0
        for line in planned:
            try:
                await self._extend(line)
            except StripeError as error:
                report.stopped = error
                return
            except asyncio.CancelledError:
                # At a point where something is waited for: the intent of this draft is open.
                report.is_interrupted = True
                return
            unanswered = unanswered + 1 if line.result is Result.UNKNOWN else 0
            if unanswered == MOST_UNANSWERED and line is not planned[-1]:
                report.stopped = StripeError(
                    f"Stripe gave no answer to {unanswered} moves in a row, and the drafts do not tell them",
                    hint="run the same command again: it looks at them first, and goes on from there",
                )
                return

    async def _left_open(self) -> tuple[list[tuple[Extension, PulledInvoice | None]], dict[str, str]]:
        """
        Return the intents of a run that was cut off, each with what its invoice says now.

        And the invoices that cannot be read, with what is wrong: their intents stay open.
        """
        found, odd = [], {}
        for extension in self.ledger.subscriptions.open_extensions():
            read = await self.paced.ask(partial(self.gateway.billing.invoice, extension.invoice_id))
            if isinstance(read, Refusal):
                odd[extension.invoice_id] = _odd_or_raise(read)
            else:
                found.append((extension, read))
        return found, odd

    def _still_moved(self, moved: Mapping[str, Instant]) -> set[str]:
        """Return those of the moved drafts that nobody has moved back since, as they were pulled just now."""
        invoices = self.ledger.subscriptions.facts().invoices if moved else {}
        told = {key: _deadline_told(invoices[key].invoice) for key in moved if key in invoices}
        return {key for key, at in told.items() if at is not None and at >= moved[key]}

    def _planned(self, options: ExtendOptions, settled: set[str], odd: dict[str, str]) -> list[Line]:
        now = self.paced.clock()
        deadlines = list_deadlines(self.ledger, self.settings, now=now, customer=options.customer)
        lines = []
        for one in deadlines:
            if one.invoice is None or not (
                options.customer or one.is_behind or one.invoice.invoice_id in settled
            ):
                continue
            line = _plan(one, one.invoice, options, now, settled)
            if message := odd.get(one.invoice.invoice_id):
                line.result, line.message = Result.UNKNOWN, message
            lines.append(line)
        return lines

    async def _extend(self, line: Line) -> None:
        """Move one deadline: commit the intent, look again, ask, and look what the invoice says."""
        to = line.to or 0
        # Before anything is waited for: a run that is cut off anywhere leaves an open intent.
        extension = self._intended(line.invoice, line.invoice.finalizes_at or 0, to)
        fresh = await self.paced.ask(partial(self.gateway.billing.invoice, line.invoice.invoice_id))
        if isinstance(fresh, Refusal):
            line.message = _odd_or_raise(fresh)
            line.result, fresh = Result.UNREADABLE, None
        elif fresh is None or not fresh.is_draft:
            line.result, line.now_at = Result.FINAL, fresh.finalized_at if fresh else None
        elif fresh.is_held_open or fresh.finalizes_at is None:
            line.result = Result.HELD_OPEN
        else:
            line.now_at = fresh.finalizes_at
            if fresh.finalizes_at < to:
                await self._move(line, self._renewed(extension, fresh, fresh.finalizes_at))
                return
            line.result, line.message = Result.UNNEEDED, _LATER_ALREADY
        self._settle(extension, fresh, Changed(status=None, message="left alone"))

    def _renewed(self, extension: Extension, fresh: PulledInvoice, before: Instant) -> Extension:
        """Return the intent; another one where the deadline that it starts from is no longer that."""
        if before == extension.from_deadline:
            return extension
        self._settle(extension, fresh, Changed(status=None, message="its deadline had changed"))
        return self._intended(fresh, before, extension.to_deadline)

    async def _move(self, line: Line, extension: Extension) -> None:
        """Ask for another deadline, and look what the invoice says."""
        line.result = Result.UNKNOWN
        changed = await self.paced.ask(
            partial(
                self.gateway.billing.move_deadline,
                extension.invoice_id,
                extension.to_deadline,
                extension.idempotency_key,
            )
        )
        line.message = changed.message
        read = await self.paced.ask(partial(self.gateway.billing.invoice, extension.invoice_id))
        self._conclude(line, extension, changed, read)

    def _intended(self, invoice: PulledInvoice, before: Instant, to: Instant) -> Extension:
        answers = self.ledger.subscriptions.answers_of(invoice.invoice_id, before, to)
        content = f"{invoice.invoice_id}\0{before}\0{to}".encode()
        key = f"meterledger-deadline-{hashlib.sha256(content).hexdigest()[:40]}"
        if answers >= SAME_KEY_ANSWERS:
            key = f"{key}:{answers}"
        extension = Extension(
            invoice_id=invoice.invoice_id,
            stripe_customer_id=invoice.stripe_customer_id,
            from_deadline=before,
            to_deadline=to,
            idempotency_key=key,
        )
        number = self.ledger.subscriptions.begin_extension(extension, self.paced.clock())
        return extension.numbered(number)

    def _conclude(
        self,
        line: Line,
        extension: Extension,
        changed: Changed,
        read: PulledInvoice | Refusal | None,
    ) -> None:
        if isinstance(read, Refusal):
            line.message = _odd_or_raise(read, "what became of it is settled by the next run")
            return
        told = _deadline_told(read)
        if _is_made(extension, read):
            self._settle(extension, read, changed)
            line.result, line.now_at = Result.EXTENDED, told
            return
        line.now_at = told
        # With an answer the request is over, whatever it says, and the invoice tells what came of it.
        if changed.status is not None or told is None:
            self._settle(extension, read, changed)
            line.result = Result.FINAL if told is None else Result.REFUSED
            if changed.status in (_UNAUTHORIZED, _FORBIDDEN):
                raise StripeError(
                    f"Stripe refused to move a deadline ({changed.status}): {changed.message}",
                    hint="the key needs to be allowed to write invoices",
                )
            return
        # Without an answer it may still be on its way: the next run looks at the invoice again.

    def _settle(self, extension: Extension, read: PulledInvoice | None, changed: Changed) -> None:
        outcome = ExtensionOutcome(
            is_extended=_is_made(extension, read),
            http_status=changed.status,
            message=changed.message,
            deadline=_deadline_told(read),
        )
        self.ledger.subscriptions.settle_extension(extension.number, outcome, read, self.paced.clock())


def _odd_or_raise(refusal: Refusal, hint: str = "the key needs to be allowed to read invoices") -> str:
    """Return what is wrong with an invoice of another form; StripeError where it could not be read at all."""
    if refusal.is_odd:
        return refusal.warning
    raise StripeError(refusal.warning, hint=hint)


def _deadline_told(read: PulledInvoice | None) -> Instant | None:
    return read.finalizes_at if read is not None and read.is_draft else None


def _is_made(extension: Extension, read: PulledInvoice | None) -> bool:
    """Tell whether an invoice has the time that was asked for."""
    told = _deadline_told(read)
    return told is not None and told >= extension.to_deadline


def _plan(
    one: Deadline, invoice: PulledInvoice, options: ExtendOptions, now: Instant, settled: set[str]
) -> Line:
    at = invoice.finalizes_at
    line = Line(deadline=one, invoice=invoice, result=Result.PLANNED, to=None, now_at=at)
    if invoice.is_held_open or at is None:
        line.result = Result.HELD_OPEN
        return line
    if invoice.invoice_id in settled:
        line.result, line.to = Result.EXTENDED, at
        line.message = "an earlier run that was cut off had moved it already"
        return line
    line.to = options.target(at, now)
    if line.to <= at:
        line.result, line.message = Result.UNNEEDED, _LATER_ALREADY
    elif line.to > now + LATEST_AHEAD:
        line.result = Result.TOO_FAR
    return line
