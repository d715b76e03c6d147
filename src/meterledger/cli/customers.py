"""`meterledger customers`: who is billed."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import Context, context_of
from meterledger.cli.import_ import InputFormatOption
from meterledger.cli.output import Format, count_text, print_csv, print_json, print_table, say
from meterledger.errors import ExitCode

if TYPE_CHECKING:
    from meterledger.usecases.import_customers import CustomersReport

_COUNTS = ("rows_read", "added", "changed", "unchanged", "absent")
_COLUMNS = (
    "customer_id",
    "subscription_id",
    "stripe_customer_id",
    "plan",
    "status",
    "billing_cycle_anchor",
    "interval",
    "effective_at",
    "until",
    "recorded_at",
    "file",
    "line",
)
_SHOWN = 20

customers = typer.Typer(help="Who is billed: customers, their plans and statuses.", no_args_is_help=True)


@customers.callback()
def _customers() -> None:
    """Who is billed: customers, their plans and statuses."""


@customers.command("import")
def import_(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="CSV or JSONL; - is standard input.")],
    *,
    effective: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="Since when changes hold; else since now.")
    ] = None,
    input_format: Annotated[
        InputFormatOption | None, typer.Option(help="The format, where the name does not tell it.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would happen; keep nothing.")
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """Read customers files into the ledger; if any row is bad, nothing is taken. Switches the checks on."""
    from meterledger.readers import InputFormat
    from meterledger.usecases.import_customers import CustomersOptions, import_customers

    context = context_of(ctx)
    options = CustomersOptions(
        files=files,
        input_format=InputFormat(input_format) if input_format else None,
        effective=None if effective is None else context.instant(effective),
        dry_run=dry_run,
    )
    clock = context.clock()
    with context.ledger() as ledger:
        report = import_customers(ledger, context.settings, options, clock=clock)
    _print_import(report, format_, context)
    raise typer.Exit(ExitCode.NEEDS_A_PERSON if report.problems else ExitCode.DONE)


def _print_import(report: "CustomersReport", format_: Format, context: Context) -> None:
    from meterledger.domain.instant import to_text_or_none

    counts = {key: getattr(report, key) for key in (*_COUNTS, "until_later")}
    effective = to_text_or_none(report.effective)
    problems = [
        {"file": one.file, "line": one.line, "reason": one.reason, "message": one.message}
        for one in report.problems
    ]
    match format_:
        case Format.JSON:
            print_json(
                "customers.import",
                {**counts, "effective": effective, "committed": report.committed, "problems": problems},
            )
        case Format.CSV:
            print_csv(
                (*counts, "problems", "committed"), [[*counts.values(), len(problems), report.committed]]
            )
        case Format.TABLE:
            _print_import_for_people(report, effective, context)


def _print_import_for_people(report: "CustomersReport", effective: str | None, context: Context) -> None:
    if report.problems:
        print_table(
            [("where", "fold"), ("reason", "left"), ("what, and how to mend it", "fold")],
            [[f"{one.file}:{one.line}", one.reason, one.message] for one in report.problems[:_SHOWN]],
            title="Bad rows",
            caption=f"the first {_SHOWN} of {count_text(len(report.problems))}; --format json has all"
            if len(report.problems) > _SHOWN
            else "",
        )
        say("Nothing was taken: mend these rows, and import the file again.")
        return
    print_table(
        [(name, "right") for name in ("rows", *_COUNTS[1:])],
        [[count_text(getattr(report, key)) for key in _COUNTS]],
    )
    if report.absent:
        say(
            f"{count_text(report.absent)} known before and absent from this: what was known of them keeps "
            "holding. To end one, give it status canceled."
        )
    if report.changed:
        say(
            f"What changed holds since {effective}, unless its row says effective_at: usage before that goes "
            "by what held then. --effective sets another time."
        )
    if report.until_later:
        say(
            f"{count_text(report.until_later)} of the changes hold only until a later one that was recorded "
            "before: see `meterledger customers list --all`."
        )
    if not report.committed:
        say("Nothing was kept: this was a dry run.")
    elif not context.quiet and (report.added or report.changed):
        say(
            "Next: `meterledger rejects retry` takes rows that were refused for their customer; "
            "`meterledger import FILE` reads usage."
        )


@customers.command("list")
def list_(
    ctx: typer.Context,
    customer: Annotated[
        str | None, typer.Option(metavar="ID", help="This customer_id or Stripe customer alone.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="What held, and was known, at this instant.")
    ] = None,
    with_history: Annotated[
        bool, typer.Option("--all", help="Also what held before, and what will hold.")
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print the list.")] = Format.TABLE,
) -> None:
    """List who is billed: Stripe customer, plan and status of each customer and subscription."""
    from meterledger.usecases.list_customers import list_customers

    context = context_of(ctx)
    now = context.clock(as_of)()
    with context.ledger() as ledger:
        found = list_customers(
            ledger,
            now=now,
            as_of=None if as_of is None else now,
            customer=customer,
            with_history=with_history,
        )
    match format_:
        case Format.JSON:
            print_json("customers.list", {"customers": found})
        case Format.CSV:
            print_csv(_COLUMNS, [[one[key] for key in _COLUMNS] for one in found])
        case Format.TABLE if not found:
            say("No customers are known here; `meterledger customers import FILE` reads them.")
        case Format.TABLE:
            print_customers(found, with_history=with_history)


def print_customers(found: list[dict[str, Any]], *, with_history: bool = False, title: str = "") -> None:
    """Print customers for people; with history each state has its beginning and end."""
    kinds = (
        ("customer", "customer_id", "fold"),
        ("subscription", "subscription_id", "fold"),
        ("Stripe customer", "stripe_customer_id", "fold"),
        ("plan", "plan", "left"),
        ("status", "status", "left"),
        ("since", "effective_at", "left"),
        ("until", "until", "left"),
    )
    shown = kinds if with_history else kinds[:-1]
    print_table(
        [(heading, kind) for heading, _, kind in shown],
        [[one[key] for _, key, _ in shown] for one in found],
        title=title,
    )
