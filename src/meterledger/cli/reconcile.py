"""`meterledger reconcile`: what Stripe says of what it had taken."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import Context, context_of
from meterledger.cli.counterpart import open_counterpart
from meterledger.cli.output import Format, count_text, print_csv, print_json, print_table, say
from meterledger.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from meterledger.stripe_gateway.access import StripeAccess
    from meterledger.usecases.reconcile import Reconciliation

_SHOWN = 20
_COLUMNS = ("event_name", "code", "start", "end", "error_count", "ours", "not_ours", "unknown")


def reconcile(
    ctx: typer.Context,
    *,
    errors_only: Annotated[
        bool, typer.Option("--errors-only", help="Read Stripe's error reports; required so far.")
    ] = False,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the key from this file, not STRIPE_API_KEY.")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """
    Read what Stripe reported of meter events after it had taken them. Nothing is sent.

    What a report names is rejected then, or in doubt. Exit code 1 as long as any such is open in the ledger.
    """
    import asyncio

    if not errors_only:
        raise UsageError(
            "reconcile works with --errors-only so far", hint="run `meterledger reconcile --errors-only`"
        )
    from meterledger.stripe_gateway.access import read_access

    context = context_of(ctx)
    access = read_access(os.environ, api_key_file, context.settings.stripe.account)
    found = asyncio.run(_reconciled(context, access))
    _print(found, format_, context)
    if found.needs_a_person:
        raise typer.Exit(ExitCode.NEEDS_A_PERSON)


async def _reconciled(context: Context, access: "StripeAccess") -> "Reconciliation":
    from meterledger.usecases.reconcile import reconcile_errors

    clock = context.clock()
    with context.ledger() as ledger:
        async with open_counterpart(access, clock) as (stripe, _):
            return await reconcile_errors(ledger, context.settings, stripe, clock)


def _report(row: Any) -> dict[str, Any]:
    from meterledger.domain.instant import to_text_or_none

    start, end = row["validation_start"], row["validation_end"]
    return {
        "event_name": row["event_name"],
        "code": row["code"],
        "start": to_text_or_none(start),
        "end": to_text_or_none(end),
        "error_count": row["error_count"],
        "ours": row["ours"],
        "not_ours": row["not_ours"],
        "unknown": row["unnamed"],
    }


def _drift(reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each meter and window with rejections that nobody named; totals are not compared."""
    unknown: dict[tuple[str | None, str | None, str | None], int] = {}
    for one in reports:
        where = one["event_name"], one["start"], one["end"]
        unknown[where] = unknown.get(where, 0) + one["unknown"]
    return [
        {
            "event_name": event_name,
            "stripe_customer_id": None,
            "start": start,
            "end": end,
            "ledger": None,
            "stripe": None,
            "difference": None,
            "parts": [],
            "unknown_rejected_events": count,
        }
        for (event_name, start, end), count in unknown.items()
        if count
    ]


def _print(found: "Reconciliation", format_: Format, context: Context) -> None:
    from meterledger.domain.delivery import State

    settled = {state.value: found.polled.settled[state] for state in (State.REJECTED, State.IN_DOUBT)}
    reports = [_report(row) for row in found.reports]
    match format_:
        case Format.JSON:
            print_json(
                "reconcile",
                {
                    "settled": settled,
                    "new_reports": found.polled.new_reports,
                    "rejected": found.rejected,
                    "in_doubt": found.in_doubt,
                    "drift": _drift(reports),
                    "reports": reports,
                    "warnings": found.polled.warnings,
                },
            )
        case Format.CSV:
            print_csv(_COLUMNS, [[one[key] for key in _COLUMNS] for one in reports])
        case Format.TABLE:
            _print_for_people(found, settled, reports)
    for warning in found.polled.warnings:
        say(f"Warning: {warning}", style="yellow")
    if format_ is Format.TABLE and found.needs_a_person and not context.quiet:
        say("Next: `meterledger status` shows what was rejected or is in doubt, and what Stripe said.")


def _print_for_people(
    found: "Reconciliation", settled: dict[str, int], reports: list[dict[str, Any]]
) -> None:
    print_table(
        [("meter events", "left"), ("this run", "right"), ("in the ledger now", "right")],
        [
            ["rejected", count_text(settled["rejected"]), count_text(found.rejected)],
            ["in doubt", count_text(settled["in_doubt"]), count_text(found.in_doubt)],
        ],
    )
    if reports:
        print_table(
            [(name.replace("_", " "), "fold") for name in _COLUMNS],
            [[one[name] for name in _COLUMNS] for one in reports[:_SHOWN]],
            title="Error reports of the last 30 days",
        )
    if len(reports) > _SHOWN:
        typer.echo(f"and {len(reports) - _SHOWN} more; --format json has the latest 1,000")
