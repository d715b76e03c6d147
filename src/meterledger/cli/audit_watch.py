"""`meterledger audit --watch`: the countdown to the deadline, on a terminal or line by line in a pipe."""

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.text import Text

from meterledger.cli.audit_document import deadline_text
from meterledger.cli.audit_periods import period_text
from meterledger.cli.follow import Stop
from meterledger.cli.output import Format, console, count_text, harmless, print_json_line, say
from meterledger.cli.streams import abandon_stdout
from meterledger.config.duration import duration_text
from meterledger.domain.dues import NEVER
from meterledger.domain.instant import SECOND, Instant, seconds_floor, to_text
from meterledger.domain.rhythm import SourceState
from meterledger.errors import ExitCode, UsageError
from meterledger.usecases.countdown import Countdown, Ending, Waiting, count_down

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meterledger.cli.context import Context
    from meterledger.domain.rhythm import Outlook
    from meterledger.usecases.audit_answer import AuditOptions
    from meterledger.usecases.countdown import DeadlineAhead, Look

_ENDINGS = {
    Ending.DEADLINE: "The deadline is over",
    Ending.LANDED: "Everything has landed, and by their rhythm all sources have delivered",
    Ending.NOTHING: "No deadline is ahead",
}
_WIDTH = 80
_NEEDS_A_PERSON = (Waiting.BLOCKED, Waiting.IN_DOUBT, Waiting.REJECTED, *list(Waiting)[-2:])


def watch(
    context: "Context", options: "AuditOptions", format_: Format, *, interval: int, until: Instant | None
) -> str | None:
    """Count down, and return the audit's verdict at the end; None where somebody stopped it."""
    if format_ is Format.CSV:
        raise UsageError("--watch prints a table or JSON", hint="use --format json: one object for each line")
    if interval <= 0:
        raise UsageError("--interval has to be longer than nothing", hint="write it like 30s")
    stop = Stop()

    def asked_anew() -> Instant:
        """Ask a server's clock again; it tells one time only."""
        clock = context.clock()
        return clock()

    with stop.listening(), context.ledger() as ledger, _shown(format_) as show:
        try:
            look = count_down(
                Countdown(ledger, context.settings, options, until),
                interval=interval,
                clock=asked_anew,
                wait=stop.wait,
                show=show,
            )
        except (BrokenPipeError, SystemExit):
            # Nobody reads it any more (rich makes SystemExit of it): stopped, and no verdict.
            abandon_stdout()
            context.interruption_reported = True
            return None
    if look.ending is None:
        context.interruption_reported = True
        if format_ is Format.JSON:
            _print_interrupted()
        if not context.quiet:
            say("Stopped before the deadline.")
    return look.verdict


@contextmanager
def _shown(format_: Format) -> "Iterator[Callable[[Look], None]]":
    """Yield what shows a look: in place on a terminal, else whenever something has changed."""
    if format_ is Format.TABLE and sys.stdout.isatty():
        from rich.live import Live

        with Live(console=console(), auto_refresh=False) as live:
            yield lambda look: live.update(look_text(look), refresh=True)
        return
    before: list[tuple[object, ...]] = []

    def show(look: "Look") -> None:
        if before and before[0] == look.what_changes:
            return
        before[:] = [look.what_changes]
        if format_ is Format.JSON:
            print_json_line("audit.watch", _document(look))
        else:
            console().print(look_text(look), soft_wrap=True)
        sys.stdout.flush()

    yield show


def _print_interrupted() -> None:
    from meterledger.errors import Interrupted

    error = Interrupted()
    print_json_line(
        "error", {"code": int(ExitCode.INTERRUPTED), "message": error.message, "hint": error.hint}
    )


def _document(look: "Look") -> dict[str, Any]:
    return {
        "as_of": to_text(look.as_of),
        "deadlines": [_deadline_document(one, look.as_of) for one in look.deadlines],
        "more_deadlines": look.more_deadlines,
        "after_deadline": look.after_deadline,
        "outstanding": list(look.outstanding),
        "ended": look.ending and look.ending.value,
        "verdict": look.verdict,
    }


def _deadline_document(one: "DeadlineAhead", now: Instant) -> dict[str, Any]:
    return {
        "start": to_text(one.period.start),
        "end": to_text(one.period.end),
        "deadline": deadline_text(one.deadline),
        "deadline_source": one.deadline_source.value,
        "seconds_left": None if one.deadline == NEVER else _seconds_left(one.deadline, now),
        "customers": one.customers,
        **{what.value: count for what, count in one.waiting.items()},
        "sources": [_source_document(source, outlook) for source, outlook in one.sources.items()],
    }


def _source_document(source: str, one: "Outlook") -> dict[str, Any]:
    return {
        "source": source,
        "state": one.state.value,
        "last_delivery": to_text(one.last_delivery),
        "reached": to_text(one.reached),
        "has_passed": one.has_passed,
        "next_delivery": None if one.next_delivery is None else to_text(one.next_delivery),
        "complete_by": None if one.complete_by is None else to_text(one.complete_by),
        "days": one.days,
    }


def look_text(look: "Look") -> Text:
    """Return a look for people; no line but with long names is wider than 80 columns."""
    # Above, for the lines that have no room in a terminal are cut off below.
    more = f", the next {len(look.deadlines)} of {{}} deadlines" if look.more_deadlines else ""
    count = count_text(len(look.deadlines) + look.more_deadlines)
    lines = [Text(f"{_minute(look.as_of, year=True)} UTC{more.format(count)}")]
    if look.after_deadline:
        late = f"{count_text(look.after_deadline)} wait though their deadline is over: see `audit`"
        lines.append(Text(late, style="bold red"))
    said: set[str] = set()
    for number, one in enumerate(look.deadlines):
        # Of many, which are minutes apart, the nearest is in full; the others have a line each.
        is_short = bool(look.more_deadlines and number)
        lines += _short_lines(one, look.as_of) if is_short else _deadline_lines(one, look.as_of)
        for source, outlook in one.sources.items():
            line = _source_line(harmless(source), outlook, one.deadline, look.as_of)
            if number == 0 or (outlook.state is SourceState.LATE and line.plain not in said):
                lines.append(line)
                said.add(line.plain)
    if look.ending is not None:
        style = "green" if look.verdict == "ok" else "bold red"
        if look.outstanding:
            sources = harmless(", ".join(look.outstanding))
            lines.append(Text(f"Usage is to be expected still of source {sources}", style="bold yellow"))
        lines.append(Text(f"{_ENDINGS[look.ending]}: {look.verdict}", style=style))
    return Text("\n").join([*lines, Text()])


def _deadline_lines(one: "DeadlineAhead", now: Instant) -> "Iterator[Text]":
    period, deadline = period_text(one.period), f"deadline {_deadline_words(one)}"
    if len(f"{period}, {deadline}") <= _WIDTH:
        yield Text(f"{period}, {deadline}", style="bold")
    else:
        yield Text(f"{period},", style="bold")
        yield Text(f"  {deadline}", style="bold")
    summary, waiting = Text("  ") + _left(one, now), list(_waiting(one))
    yield summary if waiting else summary + _nothing_waits()
    yield from (Text("  ") + text for text in waiting)


def _short_lines(one: "DeadlineAhead", now: Instant) -> "Iterator[Text]":
    """Yield a line for a deadline that is not the next one, or two where much waits."""
    line = Text(f"{_deadline_words(one)}: ", style="bold") + _left(one, now)
    waiting = Text(", ", style="").join(_waiting(one))
    if not waiting:
        yield line + _nothing_waits()
    elif len(line) + len(", ") + len(waiting) <= _WIDTH:
        yield line + Text(", ", style="") + waiting
    else:
        yield line
        yield Text("  ") + waiting


def _deadline_words(one: "DeadlineAhead") -> str:
    deadline = deadline_text(one.deadline)
    return "held open" if deadline is None else f"{deadline} ({one.deadline_source.value})"


def _left(one: "DeadlineAhead", now: Instant) -> Text:
    """Write how much time is left, and for how many."""
    left = f"{duration_text(_seconds_left(one.deadline, now) * SECOND)} left, " * (one.deadline != NEVER)
    return Text(f"{left}{count_text(one.customers)} customer{'s' * (one.customers != 1)}", style="")


def _waiting(one: "DeadlineAhead") -> "Iterator[Text]":
    for what, count in one.waiting.items():
        if count:
            style = "yellow" if what in _NEEDS_A_PERSON else ""
            yield Text(f"{what.value.replace('_', ' ')} {count_text(count)}", style=style)


def _nothing_waits() -> Text:
    return Text(", nothing waits", style="green")


def _source_line(source: str, one: "Outlook", deadline: Instant, now: Instant) -> Text:
    brought = f"  source {source}: up to {_minute(one.reached)}, came {_minute(one.last_delivery)}"
    due = one.complete_by
    if one.state is SourceState.COMPLETE:
        return Text(f"{brought}, complete", style="green")
    if due is None:
        return Text(f"{brought}, too little history")
    if one.state is SourceState.LATE:
        # Late may also be what was to come before.
        since = f", due {_minute(due)}" if due <= now else ""
        return Text(f"{brought}, late{since}", style="bold yellow")
    if due > deadline:
        return Text(f"{brought}, too late at {_minute(due)}", style="bold red")
    return Text(f"{brought}, expected {_minute(due)}")


def _minute(instant: Instant, *, year: bool = False) -> str:
    """Write an instant in UTC to the minute, rounded down."""
    return to_text(instant)[0 if year else 5 : 16].replace("T", " ")


def _seconds_left(deadline: Instant, now: Instant) -> int:
    return max(seconds_floor(deadline) - seconds_floor(now), 0)
