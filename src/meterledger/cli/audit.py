"""`meterledger audit`: will usage make its invoice?"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from meterledger.cli.audit_html import check_page_options, write_page
from meterledger.cli.context import Context, context_of
from meterledger.cli.output import AuditFormat, Format, print_csv, print_json
from meterledger.cli.pulling import KeyFile, pull_and_warn
from meterledger.cli.streams import abandon_stdout
from meterledger.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterledger.usecases.audit_answer import Audit, AuditOptions


class By(StrEnum):
    """What a report can be broken down by."""

    CUSTOMER = "customer"
    SOURCE = "source"


class FailOn(StrEnum):
    """From which verdict on the exit code is 1."""

    AT_RISK = "at_risk"
    MISSED = "missed"

    def exit_code(self, verdict: str) -> ExitCode:
        """Return the exit code of a verdict."""
        fails = verdict == "missed" or (self is FailOn.AT_RISK and verdict == "at_risk")
        return ExitCode.NEEDS_A_PERSON if fails else ExitCode.DONE


class ArrivalOption(StrEnum):
    """What may say when a row of a rehearsal arrived."""

    RECEIVED_AT = "received_at"
    MTIME = "mtime"


class Page(NamedTuple):
    """Where a page goes; None is stdout."""

    output: Path | None
    force: bool


def audit(
    ctx: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="With --rehearse: more files, as a shell's * gives them."),
    ] = None,
    *,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="As it was known, and by the clock, of this instant."),
    ] = None,
    grace: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Another grace period than the config's, e.g. 3h.")
    ] = None,
    periods: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many closed periods to look back on.")
    ] = 1,
    by: Annotated[By | None, typer.Option(help="One line for each customer, or source.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="ID", help="This customer alone.")] = None,
    meter: Annotated[str | None, typer.Option(metavar="EVENT_NAME", help="This meter alone.")] = None,
    push_every: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Forecast with a push so often; else as pushes ran so far."),
    ] = None,
    rehearse: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Judge usage files alone, without ledger and key; patterns and folders too."
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --rehearse: the source of the files.")
    ] = None,
    arrival: Annotated[
        ArrivalOption | None,
        typer.Option(help="With --rehearse: what says when a row arrived; by default its received_at."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="List the --customer's usage events behind the figures.")
    ] = False,
    stripe: Annotated[
        bool, typer.Option("--stripe", help="First read periods and deadlines from Stripe.")
    ] = False,
    api_key_file: KeyFile = None,
    fail_on: Annotated[
        FailOn, typer.Option(help="From which verdict on the exit code is 1.")
    ] = FailOn.AT_RISK,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again until the nearest deadline is over.")
    ] = False,
    interval: Annotated[
        str, typer.Option(metavar="DURATION", help="With --watch: how long between two looks.")
    ] = "30s",
    until: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="With --watch: until then, over several deadlines."),
    ] = None,
    lost: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write what missed its invoice, by customer: .csv, .jsonl, or - for stdout."
        ),
    ] = None,
    lost_events: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The same by usage event, with request_id, file and line."),
    ] = None,
    format_: Annotated[
        AuditFormat, typer.Option("--format", help="How to print the report; html is one page with charts.")
    ] = AuditFormat.TABLE,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="With html: write to this file; - is stdout."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """
    Tell whether usage makes its invoice: what has landed before the deadline, is open, at risk, or missed.

    Exit code 0 only if the verdict is ok; with --fail-on missed, also if it is at risk.
    """
    context = context_of(ctx)
    options = _options(
        context,
        grace=grace,
        periods=periods,
        by=by,
        as_of=as_of,
        customer=customer,
        meter=meter,
        push_every=push_every,
    )
    check_page_options(output, context, is_html=format_ is AuditFormat.HTML, explain=explain, force=force)
    # What stands beside a page, such as a lost file on stdout, is as tables are.
    plain = Format.TABLE if format_ is AuditFormat.HTML else Format(format_)
    if format_ is AuditFormat.HTML:
        _refuse_beside(
            "a page is of one audit of a ledger, and of nothing else on stdout",
            {
                "--watch": watch,
                "--rehearse": rehearse,
                "--lost -": lost == Path("-"),
                "--lost-events -": lost_events == Path("-"),
            },
        )
    if rehearse:
        from meterledger.cli.audit_rehearsal import rehearse_files

        _refuse_beside(
            "--rehearse judges files alone",
            {
                "--explain": explain,
                "--stripe": stripe,
                "--watch": watch,
                "--until": until,
                "--lost": lost,
                "--lost-events": lost_events,
            },
        )
        files_to_rehearse = [*rehearse, *(files or ())]
        rehearse_files(
            context, files_to_rehearse, source, arrival, options, plain, exit_code=fail_on.exit_code
        )
    if files:
        raise UsageError(
            "audit judges what is in the ledger, not files",
            hint="read them with `meterledger import`; or judge them alone: --rehearse FILE",
        )
    if source is not None or arrival is not None:
        raise UsageError("--source and --arrival go with --rehearse", hint="add --rehearse FILE")
    if explain and (customer is None or by is not None):
        raise UsageError(
            "--explain lists the usage events of one customer", hint="name one with --customer, without --by"
        )
    if explain:
        _refuse_beside(
            "--explain lists on stdout",
            {"--lost -": lost == Path("-"), "--lost-events -": lost_events == Path("-")},
        )
    if stripe:
        _refuse_beside("--stripe reads what holds now", {"--as-of": as_of})
        with context.ledger() as ledger:
            pull_and_warn(context, ledger, api_key_file, context.clock())
    if watch:
        _refuse_beside(
            "--watch goes by the clock, and looks at all customers together",
            {
                "--as-of": as_of,
                "--by": by,
                "--explain": explain,
                "--lost": lost,
                "--lost-events": lost_events,
            },
        )
        verdict = _watched(context, options, plain, interval=interval, until=until)
        raise typer.Exit(ExitCode.INTERRUPTED if verdict is None else fail_on.exit_code(verdict))
    if until is not None:
        raise UsageError("--until goes with --watch")
    page = Page(output, force) if format_ is AuditFormat.HTML else None
    verdict = _audited(
        context, options, plain, as_of=as_of, explain=explain, lost=(lost, lost_events), page=page
    )
    raise typer.Exit(fail_on.exit_code(verdict))


def _refuse_beside(why: str, given: "Mapping[str, object]") -> None:
    """Raise UsageError for the first option that was given beside another that it does not go with."""
    for name, value in given.items():
        if value not in (None, False):
            raise UsageError(f"{why}: it does not go with {name}", hint=f"leave {name} out")


def _options(
    context: Context,
    *,
    grace: str | None,
    periods: int,
    by: By | None,
    as_of: str | None,
    customer: str | None,
    meter: str | None,
    push_every: str | None,
) -> "AuditOptions":
    from meterledger.domain.billing_period import MAX_GRACE_PERIOD
    from meterledger.usecases.audit_answer import AuditOptions

    grace_period = context.duration(grace, "--grace")
    if grace_period is not None and grace_period > MAX_GRACE_PERIOD:
        raise UsageError(f"--grace {grace}: Stripe's longest grace period is 72h")
    return AuditOptions(
        grace_period=grace_period,
        periods=periods,
        by_customer=by is By.CUSTOMER,
        by_source=by is By.SOURCE,
        as_of=as_of is not None,
        customer=customer,
        meter=meter,
        push_every=push_interval(context, push_every),
    )


def _audited(
    context: Context,
    options: "AuditOptions",
    format_: Format,
    *,
    as_of: str | None,
    explain: bool,
    lost: tuple[Path | None, Path | None],
    page: Page | None,
) -> str:
    """Audit the ledger once, print and write what was asked for, and return the verdict."""
    from meterledger.cli.audit_explain import print_explained
    from meterledger.cli.audit_lost import check_lost, write_lost
    from meterledger.usecases.audit import audited

    check_lost(*lost, page=None if page is None else page.output)
    clock = context.clock(as_of)
    with context.ledger() as ledger, ledger.database.snapshot():
        whole = audited(ledger, context.settings, options, now=clock())
        try:
            # The files first: whoever reads the report may leave in the middle of it.
            write_lost(whole, *lost, format_, quiet=context.quiet)
            if explain and options.customer is not None:
                print_explained(whole, options.customer, format_)
            elif page is not None:
                write_page(whole.audit, options, context, page.output, force=page.force)
            elif Path("-") not in lost:
                _print(whole.audit, options, format_, quiet=context.quiet)
            sys.stdout.flush()
        except (BrokenPipeError, SystemExit):
            # Rich makes the one of the other. The reader has left: the exit code still tells the verdict.
            abandon_stdout()
    return whole.audit.verdict


def _watched(
    context: Context,
    options: "AuditOptions",
    format_: Format,
    *,
    interval: str,
    until: str | None,
) -> str | None:
    """Count down to the deadline, and return the verdict at its end; None if it was interrupted."""
    from meterledger.cli.audit_watch import watch

    return watch(
        context,
        options,
        format_,
        interval=context.duration(interval, "--interval") or 0,
        until=None if until is None else context.instant(until),
    )


def push_interval(context: "Context", text: str | None) -> int | None:
    """Read how often a push runs, in microseconds; raises UsageError for less than a second or over a day."""
    from meterledger.domain.instant import DAY, SECOND

    every = context.duration(text, "--push-every")
    if every is not None and not SECOND <= every <= DAY:
        raise UsageError(
            f"--push-every {text}: a push runs every second at the most, and once a day at least"
        )
    return every


def _print(result: "Audit", options: "AuditOptions", format_: Format, *, quiet: bool) -> None:
    match format_:
        case Format.JSON:
            from meterledger.cli.audit_document import audit_document

            print_json("audit", audit_document(result, options))
        case Format.CSV:
            from meterledger.cli.audit_document import entry_cells, entry_columns

            print_csv(entry_columns(options), (entry_cells(entry, options) for entry in result.entries))
        case Format.TABLE:
            from meterledger.cli.audit_table import print_audit

            print_audit(result, options, quiet=quiet)
