"""`meterledger push --watch`: the worker, its signals, its log and its metrics file."""

import json
import os
import signal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from meterledger.cli.metrics import publisher
from meterledger.cli.output import count_text, print_line, say
from meterledger.errors import ExitCode, OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meterledger.cli.context import Context
    from meterledger.config import Settings
    from meterledger.stripe_gateway.access import StripeAccess
    from meterledger.usecases.metrics import MetricsFile
    from meterledger.usecases.push import PushOptions, PushReport
    from meterledger.usecases.watching import Happening, Worker


class LogFormat(StrEnum):
    """How a worker's log is written."""

    TEXT = "text"
    JSON = "json"


def refuse_beside_watch(options: "Mapping[str, bool]") -> None:
    """Raise UsageError for an option that was given and makes no sense for a worker."""
    for name in (name for name, is_given in options.items() if is_given):
        raise UsageError(f"{name} does not go with --watch", hint="push once with it")


async def watch(
    context: "Context",
    settings: "Settings",
    access: "StripeAccess",
    options: "PushOptions",
    *,
    interval: int,
    log_format: LogFormat,
    metrics: "MetricsFile | None",
) -> "tuple[PushReport, signal.Signals | None]":
    """Let a worker live; return its last report, and the signal that ended it if one did."""
    from meterledger.cli.counterpart import open_stripe
    from meterledger.domain.instant import SECOND
    from meterledger.usecases.metrics import Figures, figures_of
    from meterledger.usecases.push import Pusher
    from meterledger.usecases.watching import Worker

    if interval <= 0:
        raise UsageError("--interval has to be longer than nothing", hint="write it like 5s or 500ms")
    with context.ledger() as ledger:
        async with open_stripe(context, settings, access, options.concurrency) as (stripe, around, gateway):
            figures, deadline = Figures(), None
            if metrics:
                figures = figures_of(ledger, settings, around.clock())
                figures.last_success_at = metrics.last_success()
            if options.max_duration is not None:
                deadline = around.monotonic() + options.max_duration / SECOND
            worker = Worker(
                run=Pusher(
                    ledger=ledger,
                    settings=settings,
                    options=options,
                    stripe=stripe,
                    around=around,
                    deadline=deadline,
                ),
                interval=interval / SECOND,
                tell=_teller(log_format, interval),
                publish=publisher(metrics),
                requests=lambda: gateway.requests,
                figures=figures,
            )
            caught = _listen(worker)
            report = await worker.live()
    return report, caught[0] if caught else None


def exit_code_of(stopped_by: signal.Signals | None, otherwise: int) -> int:
    """Return the exit code of a worker: SIGTERM is how a supervisor ends it, and all is well then."""
    match stopped_by:
        case None:
            return otherwise
        case signal.SIGTERM:
            return ExitCode.DONE
        case _:
            return ExitCode.INTERRUPTED


def _listen(worker: "Worker") -> list[signal.Signals]:
    """Let signals end the worker in good order, and the second one at once; return those that came."""
    import asyncio

    caught: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        if caught:
            os._exit(int(ExitCode.INTERRUPTED))
        caught.append(number)
        worker.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    return caught


def _teller(log_format: LogFormat, interval: int) -> "Callable[[Happening], None]":
    """Return what writes the log; where nobody takes it any more, the work goes on without."""
    is_open = True

    def tell(happening: "Happening") -> None:
        nonlocal is_open
        if not is_open:
            return
        text = _json(happening) if log_format is LogFormat.JSON else _text(happening, interval)
        try:
            print_line(text)
        except (OutputError, BrokenPipeError):
            from meterledger.cli.streams import abandon_stdout

            is_open = False
            abandon_stdout()
            say("Warning: the log cannot be written any more; the worker goes on", style="yellow")

    return tell


def _json(happening: "Happening") -> str:
    from meterledger.domain.instant import to_text

    document: dict[str, Any] = {
        "schema": "meterledger.push.log/1",
        "time": to_text(happening.at),
        "event": happening.what.value,
    }
    if happening.report:
        document |= _of_round(happening)
    if happening.message:
        document["message"] = happening.message
    if happening.again_in is not None:
        document["again_in_seconds"] = round(happening.again_in, 1)
    return json.dumps(document)


def _of_round(happening: "Happening") -> dict[str, Any]:
    from meterledger.domain.delivery import State
    from meterledger.usecases.watching import What

    report, seconds = happening.report, happening.seconds
    if report is None:
        raise AssertionError("unreachable: it is about a round")
    found: dict[str, Any] = {
        "push": report.push,
        "sealed": report.tally.sealed,
        "accepted": report.tally.accepted,
        "rejected": report.tally.rejected,
    }
    if happening.what is What.ROUND:
        found |= {
            "recovered": report.recovered,
            "rejected_later": report.reported[State.REJECTED],
            "pending": report.pending,
            "in_doubt": report.in_doubt,
            "blocked": sum(report.blocked.values()),
            "warnings": report.warnings,
        }
    return found | {
        "seconds": round(seconds, 3),
        "rate": round(report.tally.accepted / seconds, 1) if seconds else 0.0,
        "last_failure": report.tally.last_failure,
    }


def _text(happening: "Happening", interval: int) -> str:
    from meterledger.domain.instant import SECOND, to_text
    from meterledger.usecases.watching import What

    words = [to_text(happening.at // SECOND * SECOND)]
    if happening.report:
        words.append(_round_text(_of_round(happening)))
    elif happening.what is What.STARTED:
        words.append(f"started: a look at the ledger every {interval / SECOND:g} s")
    else:
        words.append(happening.what.value + f": {happening.message}" * bool(happening.message))
    if happening.again_in is not None:
        words.append(f"(again in {happening.again_in:.0f} s)")
    return " ".join(words)


def _round_text(found: dict[str, Any]) -> str:
    done = ", ".join(f"{count_text(found[name])} {name}" for name in ("sealed", "accepted", "rejected"))
    parts = [f"{done} in {found['seconds']:.1f} s ({found['rate']:,.0f}/s)"]
    if "pending" in found:
        names = ("pending", "in_doubt", "blocked")
        standing = (f"{count_text(found[name])} {name.replace('_', ' ')}" for name in names)
        parts.append("in the ledger " + ", ".join(standing))
        parts += [
            f"{count_text(found[name])} {words}"
            for name, words in (
                ("recovered", "recovered from a push that was cut off"),
                ("rejected_later", "rejected by error reports"),
            )
            if found[name]
        ]
        parts += [f"warning: {warning}" for warning in found["warnings"]]
    if found["last_failure"]:
        parts.append(f"last failure: {found['last_failure']}")
    return (f"push {found['push']}: " if found["push"] else "look: ") + "; ".join(parts)
