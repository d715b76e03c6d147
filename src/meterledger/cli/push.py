"""`meterledger push`: meter events to Stripe, each counted once."""

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import Context, context_of
from meterledger.cli.counterpart import open_stripe
from meterledger.cli.door import confirm_live, foreign_rows, print_foreign_usage
from meterledger.cli.metrics import measured
from meterledger.cli.output import (
    Format,
    PreviewFormat,
    count_text,
    print_csv,
    print_error_json,
    print_json,
    print_table,
    say,
    say_error,
)
from meterledger.cli.preview import show_preview
from meterledger.cli.progress import progress_bar
from meterledger.cli.settling import settling_document, settling_lines
from meterledger.cli.watch import LogFormat, exit_code_of, refuse_beside_watch, watch
from meterledger.domain.way import Way
from meterledger.errors import ExitCode, Interrupted, MeterledgerError, StripeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress as Bar

    from meterledger.config import Settings
    from meterledger.stripe_gateway.access import StripeAccess
    from meterledger.usecases.metrics import MetricsFile
    from meterledger.usecases.push import PushOptions, PushReport
    from meterledger.usecases.sending import Sender

_SHOWN = 5


def push(
    ctx: typer.Context,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be sent, as preview does.")
    ] = False,
    live: Annotated[bool, typer.Option("--live", help="Needed with a live key: real invoices.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, max=2**31, metavar="N", help="Send at most so many meter events.")
    ] = None,
    max_duration: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Stop after so long, e.g. 50m; what is in flight ends."),
    ] = None,
    include_closed: Annotated[
        bool, typer.Option("--include-closed", help="Send usage of periods whose invoice is final.")
    ] = False,
    retry_rejected: Annotated[
        bool,
        typer.Option(
            "--retry-rejected", help="Seal the usage of rejected meter events again, under the next revision."
        ),
    ] = False,
    codes: Annotated[
        list[str] | None,
        typer.Option(
            "--code", metavar="CODE", help="With --retry-rejected: only what was rejected so; repeatable."
        ),
    ] = None,
    allow_foreign_usage: Annotated[
        bool,
        typer.Option(
            "--allow-foreign-usage",
            help="Take what Stripe has beyond this ledger as its baseline, and go on.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --live: do not ask on a terminal.")] = False,
    api: Annotated[
        Way | None, typer.Option("--api", help="The way in; [stripe] api of the config unless told.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for another push or worker, up to --max-duration.")
    ] = False,
    watching: Annotated[
        bool, typer.Option("--watch", help="Go on: push what comes in, until somebody stops it.")
    ] = False,
    interval: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="With --watch: between two looks; 5s unless told."),
    ] = None,
    log_format: Annotated[
        LogFormat | None,
        typer.Option("--log-format", help="With --watch: the log's form; text unless told."),
    ] = None,
    metrics_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write figures for Prometheus into this file.")
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, metavar="N", help="Customers and meters that are sent at once.")
    ] = 32,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the key from this file, not STRIPE_API_KEY.")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """
    Send meter events to Stripe. Interrupted or killed, run it again: nothing is lost or counted twice.

    The key comes from STRIPE_API_KEY or --api-key-file. STRIPE_API_BASE names another host, such as a
    local simulator.
    """
    import asyncio

    context = context_of(ctx)
    retry_codes = tuple(codes or ())
    if retry_codes and not retry_rejected:
        raise UsageError("--code goes with --retry-rejected", hint="add --retry-rejected")
    if watching:
        refuse_beside_watch(
            {
                "--dry-run": dry_run,
                "--limit": limit is not None,
                "--retry-rejected": retry_rejected,
                "--allow-foreign-usage": allow_foreign_usage,
                "--format": format_ is not Format.TABLE,
            }
        )
    elif interval is not None or log_format is not None:
        raise UsageError("--interval and --log-format go with --watch", hint="add --watch")
    if dry_run:
        show_preview(
            context,
            limit=limit,
            include_closed=include_closed,
            as_of=None,
            format_=PreviewFormat(format_),
            retry_codes=retry_codes if retry_rejected else None,
            api=api,
        )
        return
    from meterledger.stripe_gateway.access import read_access
    from meterledger.usecases.metrics import MetricsFile
    from meterledger.usecases.push import PushOptions

    settings = context.settings.by_way(api)
    access = read_access(os.environ, api_key_file, settings.stripe.account)
    options = PushOptions(
        live=live,
        limit=limit,
        max_duration=context.duration(max_duration, "--max-duration"),
        include_closed=include_closed,
        allow_foreign_usage=allow_foreign_usage,
        concurrency=concurrency,
        retry_rejected=retry_rejected,
        retry_codes=retry_codes,
        confirm=confirm_live if live and not yes else None,
        wait=wait,
        on_wait=lambda why: None if context.quiet else say(f"Waiting: {why}."),
    )
    metrics = MetricsFile(metrics_file, settings.ledger_path) if metrics_file else None
    if metrics:
        metrics.refuse_unwritable()
    if watching:
        report, stopped_by = asyncio.run(
            watch(
                context,
                settings,
                access,
                options,
                interval=context.duration(interval or "5s", "--interval") or 0,
                log_format=log_format or LogFormat.TEXT,
                metrics=metrics,
            )
        )
        context.interruption_reported = True
        _say_how_it_stands(report, failure=None if stopped_by else _failure(report))
        raise typer.Exit(exit_code_of(stopped_by, _exit_code(report)))
    with progress_bar(wanted=not context.quiet) as bar:
        report = asyncio.run(_push(context, settings, access, options, bar, metrics))
    context.interruption_reported = True
    _print(report, format_, context)
    raise typer.Exit(_exit_code(report))


async def _push(
    context: Context,
    settings: "Settings",
    access: "StripeAccess",
    options: "PushOptions",
    bar: "Bar | None",
    metrics: "MetricsFile | None",
) -> "PushReport":
    from meterledger.usecases.push import push as run_push

    on_start = _on_start(bar, context, access, settings.stripe.api)
    with context.ledger() as ledger:
        async with open_stripe(context, settings, access, options.concurrency) as (stripe, around, gateway):
            with measured(metrics, ledger, settings, around, lambda: gateway.requests) as measure:
                report = await run_push(ledger, settings, options, stripe, around, on_start)
                measure(report, failed=_failure(report) is not None)
    return report


def _say_if_the_stream_would_pay(work: int, access: "StripeAccess", way: Way) -> None:
    """Say so in one line where it saves much; in Stripe's test mode the limits are the same for all."""
    from meterledger.domain.pace import seconds_by_way_and_stream

    if access.is_stripe and access.mode == "test":
        return
    connected = bool(access.stripe_account)
    if found := seconds_by_way_and_stream(work, mode="live", connected=connected, way=way):
        slow, fast = (count_text(max(1, round(seconds / 60))) for seconds in found)
        say(
            f"{count_text(work)} meter events: by Stripe's limits some {slow} min by {way}, and some "
            f"{fast} min with --api stream."
        )


def _on_start(
    bar: "Bar | None", context: Context, access: "StripeAccess", way: Way
) -> "Callable[[Sender, int], None]":
    """Let Ctrl-C and SIGTERM end the run in good order, and show progress."""

    def started(sender: "Sender", work: int) -> None:
        import asyncio

        from meterledger.usecases.sending import Stop

        if not context.quiet:
            _say_if_the_stream_would_pay(work, access, way)
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            if sender.stop is Stop.INTERRUPTED:
                os._exit(int(ExitCode.INTERRUPTED))
            sender.request_stop(Stop.INTERRUPTED)
            if not context.quiet:
                say("Stopping: what is in flight ends first. Once more stops at once, and is safe too.")

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
        if bar is None:
            return
        task = bar.add_task("meter events", total=work, rate="")
        begun = time.monotonic()
        done = 0

        def advance(finished: int) -> None:
            nonlocal done
            done += finished
            rate = done / max(time.monotonic() - begun, 0.001)
            bar.update(task, completed=min(done, work), rate=f"{rate:,.0f}/s")

        sender.on_progress = advance

    return started


def _exit_code(report: "PushReport") -> int:
    from meterledger.usecases.sending import Stop

    match report.stop:
        case Stop.INTERRUPTED:
            return ExitCode.INTERRUPTED
        case Stop.REFUSED | Stop.UNREACHABLE:
            return ExitCode.STRIPE
    if report.tally.exhausted:
        return ExitCode.STRIPE
    return ExitCode.NEEDS_A_PERSON if report.needs_a_person else ExitCode.DONE


def _document(report: "PushReport") -> dict[str, Any]:
    return {
        "sealed": report.tally.sealed,
        "accepted": report.tally.accepted,
        "rejected": report.tally.rejected,
        "recovered": report.recovered,
        "retried": report.retried,
        "rejected_later": _rejected_later(report),
        "pending": report.pending,
        "in_doubt": report.in_doubt,
        "blocked": sum(report.blocked.values()),
        "settling": settling_document(report.settling),
        "foreign_usage": foreign_rows(report.foreign_usage),
        "warnings": report.warnings,
    }


def _rejected_later(report: "PushReport") -> int:
    from meterledger.domain.delivery import State

    return report.reported[State.REJECTED]


def _failure(report: "PushReport") -> MeterledgerError | None:
    """Return what ended the run early, as an error."""
    from meterledger.usecases.sending import Stop

    again = "progress is kept; run the same command again"
    mended = "progress is kept; mend that, and run the same command again"
    match report.stop:
        case Stop.INTERRUPTED:
            return Interrupted()
        case Stop.REFUSED:
            return StripeError(f"the push was stopped by {report.stop_message}", hint=mended)
        case Stop.UNREACHABLE:
            return StripeError(f"Stripe does not answer: {report.stop_message}", hint=again)
    if report.tally.exhausted and report.stop is None:
        return StripeError(
            f"{report.tally.exhausted} meter events could not be settled (last: {report.tally.last_failure})",
            hint=again,
        )
    return None


def _print(report: "PushReport", format_: Format, context: Context) -> None:
    failure = _failure(report)
    document = _document(report)
    match format_:
        case Format.JSON if failure:
            print_error_json(failure, document)
        case Format.JSON:
            print_json("push", document)
        case Format.CSV:
            document["settling"] = report.settling.usage_events
            columns = [key for key in document if not isinstance(document[key], list)]
            print_csv(columns, [[document[key] for key in columns]])
        case Format.TABLE:
            _print_for_people(report, context)
    for warning in report.warnings:
        say(f"Warning: {warning}", style="yellow")
    _say_how_it_stands(report, failure)


def _say_how_it_stands(report: "PushReport", failure: MeterledgerError | None) -> None:
    if report.foreign_usage and report.stopped_at_door:
        print_foreign_usage(report.foreign_usage)
    if failure:
        say_error(failure)


def _print_for_people(report: "PushReport", context: Context) -> None:
    tally, later = report.tally, _rejected_later(report)
    print_table(
        [("this run", "left"), ("meter events", "right")],
        [
            ["sealed", count_text(tally.sealed)],
            ["accepted", count_text(tally.accepted)],
            ["rejected", count_text(tally.rejected)],
            *([["rejected later, by error reports", count_text(later)]] * (later > 0)),
            *([["rejected before, and sealed again", count_text(report.retried)]] * (report.retried > 0)),
            *(
                [["recovered from a push that was cut off", count_text(report.recovered)]]
                * (report.recovered > 0)
            ),
        ],
    )
    print_table(
        [("in the ledger now", "left"), ("", "right"), ("", "fold")],
        [
            ["pending", count_text(report.pending), "still to be sent"],
            [
                "in doubt",
                count_text(report.in_doubt),
                "settle them with `meterledger resolve`" * bool(report.in_doubt),
            ],
            [
                "rejected",
                count_text(report.rejected_in_ledger),
                "mend the cause, then `meterledger push --retry-rejected`" * bool(report.rejected_in_ledger),
            ],
            *settling_lines(report.settling),
            *(
                [f"blocked: {reason.value}", count_text(count), reason.mend]
                for reason, count in report.blocked.items()
            ),
        ],
    )
    for refusal, count in sorted(tally.refusals.items(), key=lambda item: -item[1])[:_SHOWN]:
        say(f"Stripe rejected {count_text(count)}: {refusal}")
    if context.quiet or report.stopped_at_door:
        return
    if report.pending and report.pending == report.settling.usage_events:
        say("Next: `meterledger push` again, when roll-up windows have settled.")
    elif report.pending:
        say("Next: `meterledger push` again, for what is pending.")
    elif report.needs_a_person:
        say("Next: `meterledger status` shows what needs a person.")
    else:
        say("Next: `meterledger audit` tells whether everything makes its invoice.")
