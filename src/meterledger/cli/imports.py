"""`meterledger imports`: the files that were read."""

from typing import Annotated, Any

import typer

from meterledger.cli.context import context_of
from meterledger.cli.output import Format, count_text, print_csv, print_json, print_table, say

imports = typer.Typer(help="Past imports.", no_args_is_help=True)


@imports.callback()
def _imports() -> None:
    """Past imports."""


@imports.command("list")
def list_(
    ctx: typer.Context,
    format_: Annotated[Format, typer.Option("--format", help="How to print the list.")] = Format.TABLE,
) -> None:
    """List every import with its counts; an incomplete one was cut off, and the same command completes it."""
    context = context_of(ctx)
    with context.ledger() as ledger:
        found = [_shown(row) for row in ledger.reports.imports()]
    match format_:
        case Format.JSON:
            print_json("imports.list", {"imports": found})
        case Format.CSV:
            print_csv(list(found[0]) if found else ["id"], [list(one.values()) for one in found])
        case Format.TABLE if not found:
            say("No imports yet.")
        case Format.TABLE:
            print_table(
                [
                    ("id", "right"),
                    ("source", "left"),
                    ("file", "fold"),
                    ("started", "left"),
                    ("rows", "right"),
                    ("accepted", "right"),
                    ("duplicates", "right"),
                    ("conflicts", "right"),
                    ("rejected", "right"),
                    ("", "left"),
                ],
                [
                    [
                        one["id"],
                        one["source"],
                        one["file"],
                        one["started_at"][:16].replace("T", " "),
                        *(count_text(one[key]) for key in ("rows_read", "accepted", "duplicates")),
                        *(count_text(one[key]) for key in ("conflicts", "rejected")),
                        _remark(one),
                    ]
                    for one in found
                ],
            )


def _shown(row: Any) -> dict[str, Any]:
    from meterledger.domain.instant import to_text

    return {
        "id": row["id"],
        "source": row["source"],
        "file": row["file"],
        "sha256": row["sha256"],
        "size_bytes": row["size_bytes"],
        "input_format": row["input_format"],
        "program_version": row["program_version"],
        "backfill": bool(row["backfill"]),
        "retry_of": row["retry_of"],
        "started_at": to_text(row["started_at"]),
        "finished_at": to_text(row["finished_at"]) if row["finished_at"] is not None else None,
        "complete": row["finished_at"] is not None,
        "completed_by": row["completed_by"],
        "rows_read": row["rows_read"],
        "accepted": row["accepted"],
        "duplicates": row["duplicates"],
        "conflicts": row["conflicts"],
        "rejected": row["rejected"],
    }


def _remark(one: dict[str, Any]) -> str:
    remarks = [] if one["complete"] else [_unfinished(one)]
    if one["retry_of"]:
        remarks.append(f"refused rows of {one['retry_of']} again")
    return ", ".join(remarks + ["backfill"] * one["backfill"])


def _unfinished(one: dict[str, Any]) -> str:
    later = one["completed_by"]
    return f"cut off, completed by {later}" if later else "incomplete: import it again"
