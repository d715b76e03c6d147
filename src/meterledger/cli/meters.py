"""`meterledger meters`: the catalogue beside the account's meters."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meterledger.cli.context import Context, context_of, machine_clock
from meterledger.cli.output import Format, harmless, print_csv, print_json, print_table, say
from meterledger.cli.reading import access_of, ask_stripe
from meterledger.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterledger.domain.declared_meter import DeclaredMeter, MeterFinding

_COLUMNS = (
    "event_name",
    "in_config",
    "features",
    "aggregation",
    "event_time_window",
    "decimal_places",
    "customer_key",
    "value_key",
    "dimensions",
    "stripe",
)
_DECLARED = ("event_name", "aggregation", "event_time_window", "customer_key", "value_key")
_KeyFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Read the key from this file, not STRIPE_API_KEY.")
]

meters = typer.Typer(help="The meters of the config and of the account.", no_args_is_help=True)


@meters.callback()
def _meters() -> None:
    """The meters of the config and of the account."""


@meters.command("list")
def list_(
    ctx: typer.Context,
    format_: Annotated[Format, typer.Option("--format", help="How to print the list.")] = Format.TABLE,
) -> None:
    """List the meters of the config, and what Stripe was last seen to have. Stripe is not asked."""
    from meterledger.usecases.meters import list_meters

    context = context_of(ctx)
    now = context.clock()()
    with context.ledger() as ledger:
        found = list_meters(ledger, context.settings, now)
    match format_:
        case Format.JSON:
            print_json("meters.list", {"meters": found})
        case Format.CSV:
            print_csv(
                _COLUMNS,
                [
                    [" ".join(v) if isinstance(v := one[key], list) else v for key in _COLUMNS]
                    for one in found
                ],
            )
        case Format.TABLE if not found:
            say("The config has no meters, and Stripe was not seen to have any.")
        case Format.TABLE:
            print_table(
                [
                    ("meter", "fold"),
                    ("features", "fold"),
                    ("aggregation", "left"),
                    ("window", "left"),
                    ("decimals", "right"),
                    ("in Stripe", "left"),
                ],
                [
                    [
                        one["event_name"],
                        ", ".join(one["features"]) if one["in_config"] else "not in the config",
                        one["aggregation"],
                        one["event_time_window"],
                        one["decimal_places"],
                        one["stripe"] or "never asked",
                    ]
                    for one in found
                ],
            )


@meters.command("pull")
def pull(
    ctx: typer.Context,
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Append the tables to the config; nothing there is changed.")
    ] = False,
    api_key_file: _KeyFile = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """Print the tables of the account's active meters that the config lacks, or append them to it."""
    from meterledger.usecases.meters import pull_meters

    context = context_of(ctx)
    pulled = pull_meters(context.settings, _declared(context, api_key_file), write=write)
    rows = [{key: getattr(meter, key) for key in _DECLARED} for meter in pulled.meters]
    match format_:
        case Format.JSON:
            written = str(pulled.written_to) if pulled.written_to else None
            print_json("meters.pull", {"meters": rows, "written_to": written})
        case Format.CSV:
            print_csv(_DECLARED, [list(row.values()) for row in rows])
        case Format.TABLE if not rows:
            say("The config has every active meter of the account.")
        case Format.TABLE if pulled.written_to:
            typer.echo(harmless(f"{len(rows)} of the account's meters appended to {pulled.written_to}"))
            if not context.quiet:
                say("Next: see to features and decimal_places there; `features` is what your files call it.")
        case Format.TABLE:
            typer.echo(harmless(pulled.text), nl=False)


@meters.command("check")
def check(
    ctx: typer.Context,
    api_key_file: _KeyFile = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print the findings.")] = Format.TABLE,
) -> None:
    """Compare the meters of the config with the account's. Exit code 1 if anything is found."""
    from meterledger.usecases.meters import check_meters

    context = context_of(ctx)
    findings = check_meters(context.settings, _declared(context, api_key_file))
    _print_findings(findings, len(context.settings.catalogue.meters), format_)
    raise typer.Exit(ExitCode.NEEDS_A_PERSON if findings else ExitCode.DONE)


def _print_findings(findings: "list[MeterFinding]", meters_checked: int, format_: Format) -> None:
    columns = ("event_name", "problem", "config", "stripe", "message")
    rows = [[one.event_name, one.problem.value, one.config, one.stripe, one.message] for one in findings]
    match format_:
        case Format.JSON:
            found = [dict(zip(columns, row, strict=True)) for row in rows]
            print_json("meters.check", {"meters": meters_checked, "findings": found})
        case Format.CSV:
            print_csv(columns, rows)
        case Format.TABLE if not rows:
            say("Every meter of the config is active in Stripe and declared alike.")
        case Format.TABLE:
            print_table(
                [("meter", "fold"), ("problem", "left"), ("what, and how to mend it", "fold")],
                [[row[0], row[1], row[4]] for row in rows],
            )


def _declared(context: Context, api_key_file: Path | None) -> "Sequence[DeclaredMeter]":
    from meterledger.usecases.meters import declared_meters

    access = access_of(context, api_key_file)
    return ask_stripe(access, machine_clock, lambda gateway, _date: declared_meters(gateway))
