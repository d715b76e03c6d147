"""`meterledger rejects`: rows that were refused."""

import json
from typing import Annotated, Any

import typer

from meterledger.cli.context import Context, context_of
from meterledger.cli.output import Format, print_csv, print_json, print_table, say

rejects = typer.Typer(help="Refused rows and conflicts.", no_args_is_help=True)


@rejects.callback()
def _rejects() -> None:
    """Refused rows and conflicts."""


@rejects.command("list")
def list_(
    ctx: typer.Context,
    with_closed: Annotated[
        bool, typer.Option("--all", help="Also those that are closed: mended by a later import.")
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print the list.")] = Format.TABLE,
) -> None:
    """List refused rows with file, line and reason; the open ones. JSON has their text."""
    context = context_of(ctx)
    with context.ledger() as ledger:
        found = [_shown(row) for row in ledger.rejects.matching(RejectFilter(with_closed=with_closed))]
    match format_:
        case Format.JSON:
            print_json("rejects.list", {"rejects": found})
        case Format.CSV:
            print_csv(
                list(found[0]) if found else ["id"],
                [
                    [
                        json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
                        for value in one.values()
                    ]
                    for one in found
                ],
            )
        case Format.TABLE:
            _print_for_people(found, context)


def _print_for_people(found: list[dict[str, Any]], context: Context) -> None:
    if not found:
        if not context.quiet:
            say("No refused rows are open.")
        return
    print_table(
        [
            ("id", "right"),
            ("where", "fold"),
            ("request id", "fold"),
            ("reason", "left"),
            ("what, and how to mend it", "fold"),
            ("closed as", "left"),
        ],
        [
            [
                one["id"],
                f"{one['file']}:{one['line']}",
                one["request_id"],
                one["reason"],
                one["message"],
                one["closed_as"] or "",
            ]
            for one in found
        ],
    )
    if not context.quiet:
        say(
            "Next: mend the rows in a file and import it; a rejection closes when its request_id is accepted."
        )


def _shown(row: Any) -> dict[str, Any]:
    from meterledger.domain.instant import to_text

    return {
        "id": row["id"],
        "kind": row["kind"],
        "source": row["source"],
        "file": row["file"],
        "line": row["line"],
        "reason": row["reason"],
        "message": row["message"],
        "raw": row["raw"],
        "differences": json.loads(row["differences"]) if row["differences"] else [],
        "request_id": row["request_id"],
        "times_seen": row["times_seen"],
        "recorded_at": to_text(row["recorded_at"]),
        "closed_at": to_text(row["closed_at"]) if row["closed_at"] is not None else None,
        "closed_as": row["closed_as"],
    }
