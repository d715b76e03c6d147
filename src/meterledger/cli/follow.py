"""`meterledger import --follow`: files that grow, until somebody stops it or nothing comes any more."""

import os
import select
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from meterledger.cli.output import count_text, say
from meterledger.domain.instant import SECOND
from meterledger.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meterledger.cli.context import Context
    from meterledger.ledger.imports import Counts
    from meterledger.usecases.follow import FollowOptions
    from meterledger.usecases.followed_import import Words
    from meterledger.usecases.import_usage import ImportReport

_OUTCOMES = ("accepted", "duplicates", "conflicts", "rejected")


class Stop:
    """SIGINT and SIGTERM end the run in good order; the second one ends it at once."""

    def __init__(self) -> None:
        self.asked = False
        self._reading, self._writing = os.pipe()

    @contextmanager
    def listening(self) -> "Iterator[None]":
        """Take the signals for the time of a run."""
        before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._reading)
            os.close(self._writing)

    def wait(self, microseconds: int) -> bool:
        """Wait, at most until a signal comes, and tell whether one has come."""
        if not self.asked:
            # By a pipe, so that a signal just before the waiting ends it too.
            select.select([self._reading], [], [], microseconds / SECOND)
        return self.asked

    def _ask(self, _number: int, _frame: object) -> None:
        if self.asked:
            os._exit(int(ExitCode.INTERRUPTED))
        self.asked = True
        os.write(self._writing, b".")


def follow(context: "Context", options: "FollowOptions") -> "tuple[ImportReport, bool]":
    """Follow files; return what became of their rows, and whether somebody stopped it."""
    from meterledger.usecases.follow import follow_usage

    if options.poll_interval <= 0:
        raise UsageError("--poll-interval has to be longer than nothing", hint="write it like 1s or 500ms")
    stop = Stop()
    with stop.listening(), context.ledger() as ledger:
        report = follow_usage(
            ledger,
            context.settings,
            options,
            clock=context.clock(),
            wait=stop.wait,
            words=_words(context),
        )
    return report, stop.asked


def _words(context: "Context") -> "Words":
    from meterledger.usecases.followed_import import Words

    def warn(text: str) -> None:
        say(f"Warning: {text}", style="yellow")

    if context.quiet:
        return Words(warn=warn)

    def batch(file: str, counts: "Counts", line: int) -> None:
        outcomes = ((name, getattr(counts, name)) for name in _OUTCOMES)
        parts = [f"{count_text(count)} {name}" for name, count in outcomes if count]
        say(f"{file}: {', '.join(parts)} up to line {count_text(line)}")

    return Words(note=say, warn=warn, batch=batch)
