"""Follow: files that grow into the ledger, complete rows as they come, each exactly once."""

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from meterledger.config import Settings
from meterledger.domain.instant import SECOND, Instant
from meterledger.errors import InputError
from meterledger.ledger import Ledger
from meterledger.readers.files import STDIN
from meterledger.readers.growing_file import Form, GrowingStream
from meterledger.usecases.follow_lock import only_follower
from meterledger.usecases.followed_file import Followed, FollowedFile, FollowedStream, Step
from meterledger.usecases.followed_import import Following, Words
from meterledger.usecases.import_usage import ImportOptions, ImportReport
from meterledger.usecases.mapping_hint import in_words_of_preset
from meterledger.usecases.planning import refuse_coarser_scale

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowOptions:
    """What the user asked for; durations in microseconds."""

    reading: ImportOptions
    """Which files, and how to read them; the part of it that takes rows back does not hold here."""
    poll_interval: int = SECOND
    until_idle: int | None = None
    """End when nothing came for so long; None to go on until somebody stops it."""


def follow_usage(
    ledger: Ledger,
    settings: Settings,
    options: FollowOptions,
    *,
    clock: Callable[[], Instant],
    wait: Callable[[int], bool],
    words: Words | None = None,
) -> ImportReport:
    """
    Read what is added to files into the ledger.

    Rows are committed together with the place behind them, so that the next run goes on there, wherever
    this one ended.

    Args:
        ledger: Where rows and places go.
        settings: The config.
        options: What the user asked for.
        clock: Tells the time.
        wait: Waits so many microseconds, possibly 0, and tells whether somebody wants the run to end.
        words: What to say while it runs.

    Raises:
        LedgerError: Another process follows one of the files into this ledger.
    """
    refuse_coarser_scale(ledger, settings)
    run = Following(
        ledger=ledger,
        settings=settings,
        options=options.reading,
        clock=clock,
        words=words or Words(),
        report=ImportReport(committed=True),
        is_waiting=options.until_idle != 0,
    )
    form = Form(
        input_format=options.reading.input_format,
        delimiter=options.reading.delimiter or options.reading.source.delimiter,
    )
    with ExitStack() as stack:
        followed: dict[str, Followed] = {}
        for name in options.reading.files:
            path = name if name == STDIN else os.path.abspath(name)  # noqa: PTH100 # pathlib would keep the dots
            if path in followed:
                continue
            if name == STDIN:
                followed[path] = FollowedStream(run, _standard_input(form))
            else:
                stack.enter_context(only_follower(ledger.path, options.reading.source.name, path))
                followed[path] = FollowedFile(run, name, path, form)
            stack.callback(followed[path].close)
        _follow(run, list(followed.values()), options, wait)
    return run.report


def _standard_input(form: Form) -> GrowingStream:
    if sys.stdin is None or sys.stdin.closed:
        raise InputError("standard input is closed", hint="pipe lines into it, or name a file")
    return GrowingStream(STDIN, sys.stdin.fileno(), form)


def _follow(
    run: Following, followed: list[Followed], options: FollowOptions, wait: Callable[[int], bool]
) -> None:
    """Take turns until the run is to end, and end it in order."""
    idle, is_interrupted = 0, False
    is_running = options.until_idle != 0
    while not is_interrupted:
        steps = [(one, _guarded(run, one, one.step, is_running=is_running)) for one in followed]
        followed = [one for one, step in steps if step is not None and step is not Step.ENDED]
        found = {step for _, step in steps}
        if not followed or (Step.TOOK not in found and Step.PENDING not in found and _is_over(idle, options)):
            break
        if Step.TOOK in found:
            idle, is_interrupted = 0, wait(0)
        else:
            idle = 0 if Step.PENDING in found else idle + options.poll_interval
            is_interrupted = wait(options.poll_interval)
            run.waits += 1
    for one in followed:
        _guarded(run, one, partial(one.end, is_interrupted=is_interrupted), is_running=False)


def _is_over(idle: int, options: FollowOptions) -> bool:
    return options.until_idle is not None and idle >= options.until_idle


def _guarded(
    run: Following, one: Followed, act: Callable[[], _Result], *, is_running: bool
) -> _Result | None:
    """Do something with one input; where it cannot be read any more, give it up, and not the others."""
    try:
        return act()
    except InputError as error:
        run.report.failed.append(in_words_of_preset(error, run.options.source))
        if is_running:
            run.words.warn(f"{error.message}; it is not followed any more")
        one.give_up()
        return None
