"""How `deadline extend` ends before its end: stopped by a signal or by Stripe, with words on what is next."""

import asyncio
import signal
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from meterledger.domain.instant import to_text
from meterledger.errors import Interrupted, StripeError
from meterledger.usecases.extend_deadlines import Result
from meterledger.usecases.findings import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from meterledger.errors import MeterledgerError
    from meterledger.usecases.extend_deadlines import ExtendOptions, ExtendReport, Line

_NAMED = 10
_ASKED_FOR = (Result.EXTENDED, Result.UNKNOWN, Result.PLANNED, Result.REFUSED)


@contextmanager
def signals_restored() -> "Iterator[None]":
    """Put back what signals did before: an event loop that ends leaves SIGTERM to the system."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stopped_by_signals(options: "ExtendOptions") -> "ExtendOptions":
    """Return the options with signals that end the run in good order, from when it begins to move."""
    confirm = options.confirm

    def begin(lines: "Sequence[Line]") -> bool:
        # Not before: while a person is asked, Ctrl-C has to end the program.
        if confirm is not None and not confirm(lines):
            return False
        if task := asyncio.current_task():
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, _cancel_once, task)
        return True

    return replace(options, confirm=begin)


def _cancel_once(task: "asyncio.Task[object]") -> None:
    if not task.cancelling():
        task.cancel()


def ended_early(report: "ExtendReport", options: "ExtendOptions") -> "MeterledgerError | None":
    """Return what ended a run early, as an error that says what to run next; None for one that was whole."""
    if report.is_interrupted:
        parts = [
            _part(report, Result.EXTENDED, lambda n: f"{n} moved", "none was moved"),
            _part(report, Result.UNKNOWN, lambda n: f"not known of {n}"),
            _part(report, Result.PLANNED, lambda n: f"{n} not moved"),
        ]
        return Interrupted("interrupted: " + "; ".join(filter(None, parts)), hint=_again(report, options))
    if report.stopped is None:
        return None
    error = report.stopped
    begun = {line.result for line in report.lines} & {Result.EXTENDED, Result.UNKNOWN}
    hint = f"{error.hint}; then {_again(report, options)}" if begun else error.hint
    return StripeError(error.message, hint=hint)


def _part(report: "ExtendReport", result: Result, words: "Callable[[str], str]", none: str = "") -> str:
    names = [line.invoice.invoice_id for line in report.lines if line.result is result]
    if not names:
        return none
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{words(counted(len(names), 'draft'))}: {', '.join(names[:_NAMED])}{more}"


def _again(report: "ExtendReport", options: "ExtendOptions") -> str:
    """Return what to run next, so that no draft gets its time twice."""
    if options.to is not None:
        return "run the same command again: it moves no draft beyond that instant"
    targets = {line.to for line in report.lines if line.result in _ASKED_FOR}
    if len(targets) == 1 and (target := targets.pop()) is not None:
        return (
            f"run the same command again with --to {to_text(target)} in place of --by: it moves no draft "
            "beyond that instant"
        )
    if report.left_open:
        return "run the same command again: it goes on with what is left, and gives no draft its time twice"
    return "give the others their time by --customer: with --all-at-risk those that were moved get it again"
