"""`meterledger verify`: the invariants over the whole ledger."""

from typing import Annotated

import typer

from meterledger.cli.context import context_of
from meterledger.cli.output import Format, print_csv, print_json, print_table
from meterledger.errors import ExitCode


def verify(
    ctx: typer.Context,
    format_: Annotated[Format, typer.Option("--format", help="How to print the checks.")] = Format.TABLE,
) -> None:
    """Check every invariant over the whole ledger. Nothing is changed; exit code 1 if one does not hold."""
    from meterledger.usecases.verify import verify as check_all

    context = context_of(ctx)
    with context.ledger() as ledger:
        checks = check_all(ledger)
    match format_:
        case Format.JSON:
            print_json(
                "verify", {"checks": [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in checks]}
            )
        case Format.CSV:
            print_csv(("name", "ok", "detail"), [(c.name, str(c.ok).lower(), c.detail) for c in checks])
        case Format.TABLE:
            print_table(
                [("", "left"), ("check", "left"), ("", "fold")],
                [["ok" if c.ok else "BROKEN", c.name, c.detail] for c in checks],
            )
    if not all(check.ok for check in checks):
        raise typer.Exit(ExitCode.NEEDS_A_PERSON)
