"""`meterledger imports`: the files that were read."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import context_of
from meterledger.cli.fitting import FileName, print_files
from meterledger.cli.imports_void import void
from meterledger.cli.output import Format, count_text, print_csv, print_json, print_table, say

if TYPE_CHECKING:
    from meterledger.usecases.show_import import ShownImport

_COUNTS = ("rows_read", "accepted", "duplicates", "conflicts", "rejected")
_DETAILS = (
    "file", "path", "size_bytes", "sha256", "input_format", "compression", "source", "mapping",
    "config_digest", "program_version", "started_at", "finished_at", *_COUNTS, "incomplete_because",
    "completed_by", "retry_of", "voided_at", "void_note",
)  # fmt: skip
"""What stands in a table, in this order; flags and what became of the usage come below."""

imports = typer.Typer(help="Past imports.", no_args_is_help=True)


@imports.callback()
def _imports() -> None:
    """Past imports."""


imports.command("void")(void)


@imports.command("list")
def list_(
    ctx: typer.Context,
    *,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Those of one source.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=2**31, metavar="N", help="The latest N.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print the list.")] = Format.TABLE,
) -> None:
    """List every import with its counts; an incomplete one was cut off, and the same command completes it."""
    from meterledger.ledger.reports import MOST_ROWS

    context = context_of(ctx)
    with context.ledger() as ledger:
        found = [_listed(row) for row in ledger.reports.imports(source, limit or MOST_ROWS)]
    match format_:
        case Format.JSON:
            print_json("imports.list", {"imports": found})
        case Format.CSV:
            print_csv(list(found[0]) if found else ["id"], [list(one.values()) for one in found])
        case Format.TABLE if not found:
            say("No imports yet." if source is None else f"No imports of the source {source}.")
        case Format.TABLE:
            _print_list(found)


def _print_list(found: list[dict[str, Any]]) -> None:
    columns = (
        ("id", "right"),
        ("source", "left"),
        ("file", "fold"),
        ("started", "left"),
        *((heading, "right") for heading in ("rows", *_COUNTS[1:])),
        ("note", "left"),
    )
    rows = [
        [
            one["id"],
            one["source"],
            FileName(one["file"]),
            one["started_at"][:16].replace("T", " "),
            # A count that is 0 everywhere is not worth the width.
            *(count_text(one[key]) if any(other[key] for other in found) else "" for key in _COUNTS),
            _remark(one),
        ]
        for one in found
    ]
    print_files(columns, rows)


@imports.command("show")
def show(
    ctx: typer.Context,
    number: Annotated[int, typer.Argument(metavar="ID", min=1, max=2**62, help="The number of an import.")],
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Show one import: its file, how it was read, and what became of its rows."""
    from meterledger.usecases.show_import import show_import

    context = context_of(ctx)
    with context.ledger() as ledger:
        found = show_import(ledger, number)
    one = _shown(found)
    match format_:
        case Format.JSON:
            print_json("imports.show", {"imports": [one]})
        case Format.CSV:
            states = [(f"usage_events.{state}", count) for state, count in found.usage_events.items()]
            plain = [(key, value) for key, value in one.items() if not isinstance(value, dict)]
            print_csv(("what", "value"), [*plain, *states])
        case Format.TABLE:
            _print_for_people(found, one)
            if found.next_command and not context.quiet:
                say(f"Next: {found.next_command}")


def _print_for_people(found: "ShownImport", one: dict[str, Any]) -> None:
    import json

    facts = one | {
        "mapping": json.dumps(found.mapping, ensure_ascii=False) if found.mapping else None,
        "size_bytes": count_text(one["size_bytes"]),
        **{key: count_text(one[key]) for key in _COUNTS},
    }
    rows = [[key.replace("_", " "), facts[key]] for key in _DETAILS if facts[key] is not None]
    if remark := _remark(one):
        rows.append(["remarks", remark])
    print_table([("", "left"), ("", "fold")], rows, title=f"Import {one['id']}")
    ended = [*found.usage_events.items(), ("open rejections", found.open_rejections)]
    ended = [(what, count) for what, count in [*ended, ("open conflicts", found.open_conflicts)] if count]
    if ended:
        print_table(
            [("what became of it", "left"), ("", "right")],
            [[what.replace("_", " "), count_text(count)] for what, count in ended],
        )


def _listed(row: Any) -> dict[str, Any]:
    from meterledger.domain.instant import to_text_or_none

    def text(key: str) -> str | None:
        return to_text_or_none(row[key])

    return {
        "id": row["id"],
        "source": row["source"],
        "file": row["file"],
        "sha256": row["sha256"],
        "size_bytes": row["size_bytes"],
        "input_format": row["input_format"],
        "program_version": row["program_version"],
        "backfill": bool(row["backfill"]),
        "followed": bool(row["followed"]),
        "already_billed": bool(row["already_billed"]),
        "retry_of": row["retry_of"],
        "started_at": text("started_at"),
        "finished_at": text("finished_at"),
        "complete": row["finished_at"] is not None and row["incomplete_because"] is None,
        "incomplete_because": row["incomplete_because"],
        "completed_by": row["completed_by"],
        "voided_at": text("voided_at"),
        **{key: row[key] for key in _COUNTS},
    }


def _shown(found: "ShownImport") -> dict[str, Any]:
    row = found.row
    return {
        **_listed(row),
        "path": row["path"],
        "compression": row["compression"],
        "mapping": found.mapping,
        "config_digest": row["config_digest"],
        "keeps_identifier": bool(row["keeps_identifier"]),
        "void_note": row["void_note"],
        "usage_events": found.usage_events,
        "open_rejections": found.open_rejections,
        "open_conflicts": found.open_conflicts,
        "next": found.next_command or None,
    }


def _remark(one: dict[str, Any]) -> str:
    # A followed import that was cut off lacks nothing: the next one has gone on at its place.
    remarks = [] if one["complete"] or one["followed"] else [_unfinished(one)]
    if one["retry_of"]:
        remarks.append(f"refused rows of {one['retry_of']} again")
    remarks += ["followed"] * one["followed"]
    remarks += ["voided"] * (one["voided_at"] is not None)
    remarks += [key.replace("_", " ") for key in ("backfill", "already_billed") if one[key]]
    remarks += ["keeps identifiers"] * one.get("keeps_identifier", False)
    return ", ".join(remarks)


def _unfinished(one: dict[str, Any]) -> str:
    if one["completed_by"]:
        return f"cut off, completed by {one['completed_by']}"
    if one["incomplete_because"]:
        return f"incomplete: {one['incomplete_because']}"
    return "incomplete" if one["voided_at"] else "incomplete: import it again"
