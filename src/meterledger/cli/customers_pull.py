"""`meterledger customers pull`: periods, prices and drafts as Stripe has them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import context_of
from meterledger.cli.output import Format, count_text, print_csv, print_json, print_table, say
from meterledger.cli.pulling import KeyFile, pull_from_stripe, say_warnings

if TYPE_CHECKING:
    from meterledger.usecases.pull_billing import PullReport

_COUNTS = ("subscription_items", "invoices", "drafts", "new_items", "new_invoices")


def pull(
    ctx: typer.Context,
    api_key_file: KeyFile = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """
    Read from Stripe when periods end and when their invoices finalize. Nothing there is changed.

    What a customers file said stays as it is; what Stripe says stands beside it.
    """
    from meterledger.usecases.pull_billing import pulled_customers

    context = context_of(ctx)
    with context.ledger() as ledger:
        report = pull_from_stripe(context, ledger, api_key_file, context.clock())
        rows = pulled_customers(ledger)
    counts = _counts(report)
    match format_:
        case Format.JSON:
            read = {
                "subscriptions_read": report.pull.subscriptions_read,
                "invoices_read": report.pull.invoices_read,
            }
            print_json("customers.pull", {**counts, **read, "warnings": report.warnings, "customers": rows})
        case Format.CSV:
            columns = list(rows[0]) if rows else ["customer_id"]
            print_csv(
                columns, [[" ".join(v) if isinstance(v, list) else v for v in row.values()] for row in rows]
            )
        case Format.TABLE:
            print_table(
                [(name.replace("_", " "), "right") for name in _COUNTS],
                [[count_text(counts[name]) for name in _COUNTS]],
            )
    say_warnings(report.warnings)
    if format_ is Format.TABLE and not context.quiet:
        say("Next: `meterledger deadline list` shows what is due when; `meterledger audit` counts with it.")


def _counts(report: "PullReport") -> dict[str, Any]:
    return {
        "subscription_items": report.items,
        "invoices": report.invoices,
        "drafts": report.drafts,
        "new_items": report.new_items,
        "new_invoices": report.new_invoices,
    }
