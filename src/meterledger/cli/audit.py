"""`meterledger audit`: will usage make its invoice?"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meterledger.cli.audit_html import check_page_options, write_page
from meterledger.cli.context import context_of
from meterledger.cli.output import AuditFormat, Format, print_csv, print_json
from meterledger.cli.pulling import KeyFile, pull_and_warn
from meterledger.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from meterledger.usecases.audit_answer import Audit, AuditOptions


class By(StrEnum):
    """What a report can be broken down by."""

    CUSTOMER = "customer"
    SOURCE = "source"


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
    explain: Annotated[
        bool, typer.Option("--explain", help="List the --customer's usage events behind the figures.")
    ] = False,
    stripe: Annotated[
        bool, typer.Option("--stripe", help="First read periods and deadlines from Stripe.")
    ] = False,
    api_key_file: KeyFile = None,
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

    Exit code 0 only if the verdict is ok.
    """
    from meterledger.domain.billing_period import MAX_GRACE_PERIOD
    from meterledger.usecases.audit import AuditOptions, audited

    context = context_of(ctx)
    is_html = format_ is AuditFormat.HTML
    check_page_options(output, is_html=is_html, explain=explain, force=force)
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
    )
    clock = context.clock(as_of)
    if stripe and as_of is not None:
        raise UsageError("--stripe reads what holds now, --as-of asks what was known then: say one of them")
    with context.ledger() as ledger:
        if stripe:
            pull_and_warn(context, ledger, api_key_file, clock)
        with ledger.database.snapshot():
            whole = audited(ledger, context.settings, options, now=clock())
            if explain and customer is not None:
                from meterledger.cli.audit_explain import print_explained

                print_explained(whole, customer, Format(format_))
            elif is_html:
                write_page(whole.audit, options, context, output, force=force)
            else:
                _print(whole.audit, options, Format(format_), quiet=context.quiet)
    raise typer.Exit(ExitCode.DONE if whole.audit.verdict == "ok" else ExitCode.NEEDS_A_PERSON)


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
