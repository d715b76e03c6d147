"""`meterledger verify`: the invariants over the whole ledger."""

from typing import TYPE_CHECKING, Annotated

import typer

from meterledger.cli.context import context_of
from meterledger.cli.output import Format, print_csv, print_json, print_table
from meterledger.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterledger.usecases.verify import Check


def verify(
    ctx: typer.Context,
    format_: Annotated[Format, typer.Option("--format", help="How to print the checks.")] = Format.TABLE,
) -> None:
    """Check every invariant over the whole ledger. Nothing is changed; exit code 1 if one does not hold."""
    from meterledger.usecases.verify import verify as check_all

    context = context_of(ctx)
    with context.ledger() as ledger:
        checks = check_all(ledger)
    print_checks("verify", checks, format_)
    if not all(check.ok for check in checks):
        raise typer.Exit(ExitCode.NEEDS_A_PERSON)


def print_checks(schema: str, checks: "Sequence[Check]", format_: Format) -> None:
    """Print checks, each with its name, whether it holds, and a word on it."""
    match format_:
        case Format.JSON:
            rows = [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in checks]
            print_json(schema, {"checks": rows})
        case Format.CSV:
            print_csv(("name", "ok", "detail"), [(c.name, str(c.ok).lower(), c.detail) for c in checks])
        case Format.TABLE:
            print_table(
                [("", "left"), ("check", "left"), ("", "fold")],
                [["ok" if c.ok else "BROKEN", c.name, c.detail] for c in checks],
            )
