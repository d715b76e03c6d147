"""`meterledger sources`: what the config says about where usage comes from, and what it makes of a file."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import context_of
from meterledger.cli.fitting import filled
from meterledger.cli.import_ import InputFormatOption, chosen_source
from meterledger.cli.output import Format, count_text, print_csv, print_json, print_table, quantity_text, say
from meterledger.cli.preset_option import PresetOption
from meterledger.cli.refused import print_refused

if TYPE_CHECKING:
    from meterledger.config import Source
    from meterledger.usecases.try_source import TriedRow

sources = typer.Typer(help="Where usage comes from.", no_args_is_help=True)

_COLUMNS = (
    "line", "request_id", "customer_id", "subscription_id", "feature", "quantity", "event_time",
    "received_at", "dimensions", "reason", "message",
)  # fmt: skip


@sources.callback()
def _sources() -> None:
    """Where usage comes from."""


@sources.command("list")
def list_(
    ctx: typer.Context,
    format_: Annotated[Format, typer.Option("--format", help="How to print the list.")] = Format.TABLE,
) -> None:
    """List the sources of the config, and how each reads its rows."""
    found = list(context_of(ctx).settings.sources.values())
    match format_:
        case Format.JSON:
            print_json("sources.list", {"sources": [_mapping(source) for source in found]})
        case Format.CSV:
            print_csv(("name", "mapping"), [(one.name, json.dumps(_mapping(one))) for one in found])
        case Format.TABLE if not found:
            say("The config has no sources: files have the canonical columns, or name a --preset.")
        case Format.TABLE:
            print_table(
                [("source", "left"), ("preset", "left"), ("usage key", "left"), ("how it is read", "fold")],
                [
                    [one.name, one.preset or "", ", ".join(one.usage_key), "\n".join(_said(one))]
                    for one in found
                ],
            )


def _mapping(source: "Source") -> dict[str, Any]:
    return {"name": source.name, "usage_key": list(source.usage_key), **source.as_mapping()}


def _said(source: "Source") -> list[str]:
    """Return what a source says beyond the canonical columns, a line for each key of its table."""
    lines = []
    for key, value in source.as_mapping().items():
        if isinstance(value, dict):
            lines.append(f"{key}: " + ", ".join(f"{name} = {_plain(inner)}" for name, inner in value.items()))
        elif key not in ("name", "preset", "key"):
            lines.append(f"{key}: {_plain(value)}")
    return lines or ["canonical columns"]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {inner}" for key, inner in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)


@sources.command("try")
def try_(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A usage file; - is standard input.")],
    *,
    source: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A source of the config; else the preset's name, or default."),
    ] = None,
    preset: PresetOption = None,
    input_format: Annotated[
        InputFormatOption | None, typer.Option(help="The format, where the name does not tell it.")
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(metavar="CHAR", help="What parts the fields: a character, or tab, semicolon, bar, …"),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="How many rows to show.")] = 10,
    format_: Annotated[Format, typer.Option("--format", help="How to print them.")] = Format.TABLE,
) -> None:
    """Show the first rows of a file as import would take them. Nothing is written, no ledger is needed."""
    from meterledger.readers import InputFormat, delimiter_of, open_input
    from meterledger.usecases.findings import counted
    from meterledger.usecases.try_source import try_source

    settings = context_of(ctx).settings
    chosen = chosen_source(context_of(ctx), source, preset)
    parting = chosen.delimiter if delimiter is None else delimiter_of(delimiter)
    declared = InputFormat(input_format) if input_format else None
    with open_input(file, declared, delimiter=parting) as opened:
        tried = try_source(opened, chosen, settings.catalogue, rows)
    match format_:
        case Format.JSON:
            rows_shown = [row.as_dict() for row in tried.rows]
            print_json("sources.try", {"source": chosen.name, "rows": rows_shown, "hint": tried.hint or None})
        case Format.CSV:
            print_csv(_COLUMNS, [_cells(row.as_dict()) for row in tried.rows])
        case Format.TABLE if not tried.rows:
            say(f"Warning: {opened.name} has no rows.", style="yellow")
        case Format.TABLE:
            _print_for_people(opened.name, tried.rows)
            if not context_of(ctx).quiet:
                refused = sum(row.reason is not None for row in tried.rows)
                say(f"{counted(len(tried.rows), 'row')}, {count_text(refused)} refused; nothing was written.")
                say(tried.hint) if tried.hint else None


def _cells(row: dict[str, Any]) -> list[Any]:
    row["dimensions"] = json.dumps(row["dimensions"], ensure_ascii=False) if row["dimensions"] else ""
    return [row[column] for column in _COLUMNS]


def _print_for_people(file: str, tried: "list[TriedRow]") -> None:
    from meterledger.usecases.refused_groups import RefusedGroups

    table = [
        [
            row.line,
            row.request_id or "",
            row.customer_id or "",
            row.subscription_id or "",
            row.feature or "",
            "" if row.quantity is None else quantity_text(row.quantity),
            row.event_time or "",
            row.received_at or "",
            " ".join(f"{name}={text}" for name, text in row.dimensions.items()),
        ]
        for row in tried
        if row.reason is None
    ]
    headings = (
        ("line", "right"),
        ("request_id", "fold"),
        ("customer_id", "fold"),
        ("subscription_id", "fold"),
        ("feature", "left"),
        ("quantity", "right"),
        ("event_time", "left"),
        ("received_at", "left"),
        ("dimensions", "fold"),
    )
    if table:
        print_table(*filled(headings, table))
    groups = RefusedGroups()
    for row in tried:
        if row.reason:
            groups.add_rejection(file, row.line, row.reason, row.message or "", row.feature)
    print_refused(groups)
