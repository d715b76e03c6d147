"""`meterledger audit`: will usage make its invoice?"""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from meterledger.cli.context import context_of
from meterledger.cli.output import Format, print_csv, print_json
from meterledger.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from meterledger.cli.context import Context
    from meterledger.usecases.audit_answer import Audit, AuditOptions


class By(StrEnum):
    """What a report can be broken down by."""

    CUSTOMER = "customer"
    SOURCE = "source"


class ArrivalOption(StrEnum):
    """What may say when a row of a rehearsal arrived."""

    RECEIVED_AT = "received_at"
    MTIME = "mtime"


def audit(
    ctx: typer.Context,
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
    format_: Annotated[Format, typer.Option("--format", help="How to print the report.")] = Format.TABLE,
) -> None:
    """
    Tell whether usage makes its invoice: what has landed before the deadline, is open, at risk, or missed.

    Exit code 0 only if the verdict is ok.
    """
    from meterledger.domain.billing_period import MAX_GRACE_PERIOD
    from meterledger.usecases.audit import AuditOptions, audited

    context = context_of(ctx)
    grace_period = context.duration(grace, "--grace")
    if grace_period is not None and grace_period > MAX_GRACE_PERIOD:
        raise UsageError(f"--grace {grace}: Stripe's longest grace period is 72h")
    if explain and (customer is None or by is not None):
        raise UsageError(
            "--explain lists the usage events of one customer", hint="name one with --customer, without --by"
        )
    options = AuditOptions(
        grace_period=grace_period,
        periods=periods,
        by_customer=by is By.CUSTOMER,
        by_source=by is By.SOURCE,
        as_of=as_of is not None,
        customer=customer,
        meter=meter,
        push_every=push_interval(context, push_every),
    )
    if rehearse:
        from meterledger.cli.audit_rehearsal import rehearse_files

        if explain:
            raise UsageError("--explain needs a ledger", hint="leave --rehearse out")
        rehearse_files(context, rehearse, source, arrival, options, format_)
    if source is not None or arrival is not None:
        raise UsageError("--source and --arrival go with --rehearse", hint="add --rehearse FILE")
    clock = context.clock(as_of)
    with context.ledger() as ledger, ledger.database.snapshot():
        whole = audited(ledger, context.settings, options, now=clock())
        if explain and customer is not None:
            from meterledger.cli.audit_explain import print_explained

            print_explained(whole, customer, format_)
        else:
            _print(whole.audit, options, format_, quiet=context.quiet)
    raise typer.Exit(ExitCode.DONE if whole.audit.verdict == "ok" else ExitCode.NEEDS_A_PERSON)


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
