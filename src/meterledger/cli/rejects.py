"""`meterledger rejects`: rows that were refused, listed and shown."""

import json
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import Context, context_of
from meterledger.cli.fitting import FileName, print_files
from meterledger.cli.output import Format, count_text, harmless, print_csv, print_json, print_table, say
from meterledger.cli.rejects_export import export
from meterledger.cli.rejects_filters import with_filters
from meterledger.cli.rejects_settle import accept_as_new, dismiss, keep, retry

if TYPE_CHECKING:
    from meterledger.usecases.select_rejects import Selection

_SHOWN = 100

rejects = typer.Typer(help="Refused rows and conflicts.", no_args_is_help=True)


@rejects.callback()
def _rejects() -> None:
    """Refused rows and conflicts."""


@rejects.command("list")
@with_filters
def list_(
    ctx: typer.Context,
    *,
    selection: "Selection",
    with_closed: Annotated[
        bool, typer.Option("--all", help="Also those that are closed: accepted since, or dismissed.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=2**31, help=f"At most N of them; a table has {_SHOWN} by itself."
        ),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print the list.")] = Format.TABLE,
) -> None:
    """List refused rows with file, line and reason; the open ones. JSON has their text."""
    from meterledger.usecases.select_rejects import selected

    context = context_of(ctx)
    selection = replace(selection, matching=replace(selection.matching, with_closed=with_closed))
    if limit is None and format_ is Format.TABLE:
        limit = _SHOWN
    with context.ledger() as ledger, ledger.database.snapshot():
        rows = selected(ledger, selection)
        found = [shown(row) for row in islice(rows, limit)]
        count = len(found) + sum(1 for _ in rows)
    match format_:
        case Format.JSON:
            print_json("rejects.list", {"rejects": found, "count": count})
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
            _print_for_people(found, count, context, with_closed=with_closed)


def _print_for_people(
    found: list[dict[str, Any]], count: int, context: Context, *, with_closed: bool
) -> None:
    if not found:
        if not context.quiet:
            say(
                "There are no refused rows, of those asked for."
                if with_closed
                else "No refused rows are open."
            )
        return
    columns = (
        ("id", "right"),
        ("where", "fold"),
        ("request id", "fold"),
        ("reason", "left"),
        ("what, and how to mend it", "fold"),
        ("closed as", "left"),
    )
    rows = [
        [
            one["id"],
            FileName(one["file"], f":{one['line']}"),
            one["request_id"],
            one["reason"],
            one["message"],
            one["closed_as"],
        ]
        for one in found
    ]
    print_files(columns, rows)
    if context.quiet:
        return
    if count > len(found):
        say(f"The first {count_text(len(found))} of {count_text(count)} are shown; --limit N shows more.")
    if any(one["closed_as"] is None for one in found):
        say(
            "Next: `meterledger rejects export --output FILE` writes them to a file: mend and import it; "
            "`meterledger rejects retry` reads them again after a change of the config."
        )


@rejects.command()
def show(
    ctx: typer.Context,
    reject: Annotated[int, typer.Argument(metavar="ID", help="Its id, as `rejects list` shows it.")],
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Show one refused row with its text; of a conflict, what is stored and what is given, field by field."""
    from meterledger.usecases.explain import explain
    from meterledger.usecases.select_rejects import by_number

    context = context_of(ctx)
    with context.ledger() as ledger, ledger.database.snapshot():
        (row,) = by_number(ledger, [reject])
        one, stored = shown(row), None
        if row["kind"] == "conflict":
            found = explain(ledger, context.settings, row["request_id"], now=context.clock()())
            stored = next(
                (event for event in reversed(found.usage_events) if event["source"] == row["source"]), None
            )
    match format_:
        case Format.JSON:
            print_json("rejects.show", {"reject": one, "stored": stored})
        case Format.CSV:
            print_csv(
                ["field", "stored", "given"],
                [[d["field"], d["stored"], d["given"]] for d in one["differences"]],
            )
        case Format.TABLE:
            _show_to_people(one, stored, context)


def _show_to_people(one: dict[str, Any], stored: dict[str, Any] | None, context: Context) -> None:
    from meterledger.usecases.findings import counted

    facts = [
        ("where", f"{one['file']}:{one['line']}"),
        ("source", one["source"]),
        ("request_id", one["request_id"]),
        ("reason", one["reason"]),
        ("message", one["message"]),
        ("seen", f"{counted(one['times_seen'], 'time')}, first at {one['recorded_at']}"),
        ("closed", f"as {one['closed_as']} at {one['closed_at']}" if one["closed_as"] else None),
        ("note", one["closed_note"]),
    ]
    print_table([("", "left"), ("", "fold")], [list(fact) for fact in facts if fact[1] is not None])
    if stored:
        print_table(
            [("field", "left"), ("stored", "fold"), ("given", "fold")],
            [
                *([d["field"], d["stored"], d["given"]] for d in one["differences"]),
                ["where", f"{stored['file']}:{stored['line']}", f"{one['file']}:{one['line']}"],
                ["state", stored["state"], "open" if one["closed_as"] is None else one["closed_as"]],
            ],
        )
    typer.echo(harmless(one["raw"]))
    if context.quiet or one["closed_as"]:
        return
    if one["kind"] == "conflict":
        say(
            f"Next: `meterledger rejects keep {one['id']} --note TEXT` keeps what is stored; "
            f"`meterledger rejects accept-as-new {one['id']} --request-id NEW` bills the given in addition."
        )
    else:
        say(
            "Next: mend the row in a file and import it, or mend the config and "
            f"`meterledger rejects retry {one['id']}`; `meterledger rejects dismiss {one['id']} --note TEXT` "
            "closes it for good."
        )


def shown(row: Any) -> dict[str, Any]:
    """Return a refused row as JSON shows it."""
    from meterledger.domain.instant import to_text_or_none

    def instant(name: str) -> str | None:
        return to_text_or_none(row[name])

    return {
        "id": row["id"],
        "kind": row["kind"],
        "source": row["source"],
        "import": row["import"],
        "file": row["file"],
        "line": row["line"],
        "reason": row["reason"],
        "message": row["message"],
        "raw": row["raw"],
        "differences": json.loads(row["differences"]) if row["differences"] else [],
        "request_id": row["request_id"],
        "customer_id": row["customer_id"],
        "feature": row["feature"],
        "event_time": instant("event_time"),
        "times_seen": row["times_seen"],
        "recorded_at": instant("recorded_at"),
        "closed_at": instant("closed_at"),
        "closed_as": row["closed_as"],
        "closed_note": row["closed_note"],
        "accepted_as": row["accepted_as"],
        "mends": row["mends"],
    }


rejects.command("export")(export)
rejects.command("retry")(retry)
rejects.command("dismiss")(dismiss)
rejects.command("keep")(keep)
rejects.command("accept-as-new")(accept_as_new)
