"""`meterledger import`: usage files into the ledger."""

import gc
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from meterledger.cli.context import Context, context_of
from meterledger.cli.fitting import FileName, print_files
from meterledger.cli.output import (
    Format,
    count_text,
    print_csv,
    print_error_json,
    print_json,
    say,
    say_error,
)
from meterledger.cli.preset_option import PresetOption
from meterledger.cli.progress import progress_bar
from meterledger.cli.refused import GROUPS_SHOWN, print_refused
from meterledger.errors import ExitCode, Interrupted, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from meterledger.config import Source
    from meterledger.domain.preset import Preset
    from meterledger.usecases.import_usage import FileReport, ImportOptions, ImportReport, Progress, Refused

_COUNTS = ("rows_read", "accepted", "duplicates", "conflicts", "rejected")


class InputFormatOption(StrEnum):
    """The formats that can be named."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    JSON = "json"
    PARQUET = "parquet"


def import_(
    ctx: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Files, patterns in quotes, or folders; - is standard input."),
    ],
    *,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Where the usage comes from: a source of the config; else the preset's name, or default.",
        ),
    ] = None,
    preset: PresetOption = None,
    input_format: Annotated[
        InputFormatOption | None, typer.Option(help="The format, where the name does not tell it.")
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(metavar="CHAR", help="What parts the fields: a character, or tab, semicolon, bar, …"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would happen; keep nothing.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="If any row of any file is refused, import nothing.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Read files again that were imported whole.")
    ] = False,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="A late bulk load: keep it out of the audit's delays.")
    ] = False,
    already_billed: Annotated[
        bool,
        typer.Option(
            "--already-billed", help="An older system told Stripe: count this usage, never send it."
        ),
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on as files grow, from where the last run ended.")
    ] = False,
    poll_interval: Annotated[
        str, typer.Option(metavar="DURATION", help="With --follow: how often to look for new lines.")
    ] = "1s",
    until_idle: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="With --follow: end when nothing came for so long; 0s at once."
        ),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """Read usage files into the ledger; every row is accepted, a duplicate, a conflict or rejected."""
    from meterledger.readers import InputFormat, delimiter_of
    from meterledger.usecases.import_usage import ImportOptions, import_usage

    context = context_of(ctx)
    options = ImportOptions(
        files=files,
        source=chosen_source(context, source, preset),
        input_format=InputFormat(input_format) if input_format else None,
        delimiter=None if delimiter is None else delimiter_of(delimiter),
        dry_run=dry_run,
        strict=strict,
        again=again,
        backfill=backfill,
        already_billed=already_billed,
    )
    if follow:
        _follow(context, options, poll_interval, until_idle, format_)
    if until_idle is not None:
        raise UsageError("--until-idle goes with --follow", hint="add --follow, or leave it out")
    clock = context.clock()
    # Rows are many, and none of them is part of a cycle: looking for cycles costs a fifth of the time.
    gc.disable()
    with context.ledger() as ledger, progress_bar(wanted=not context.quiet) as bar:
        progress = _progress(bar, context)
        report = import_usage(ledger, context.settings, options, clock=clock, progress=progress)
    _print(report, format_, context, dry_run=dry_run)
    raise typer.Exit(_exit_code(report, options))


def chosen_source(context: Context, name: str | None, preset: "Preset | None") -> "Source":
    """Return the source that was asked for, and say so if the config does not have it."""
    from meterledger.config.settings import DEFAULT_SOURCE

    source = context.settings.source_named(name, preset)
    if preset is None and name not in (None, DEFAULT_SOURCE, *context.settings.sources) and not context.quiet:
        say(f"The source {name} is not in the config: its files are read by the canonical columns.")
    return source


def _follow(
    context: Context, options: "ImportOptions", poll_interval: str, until_idle: str | None, format_: Format
) -> NoReturn:
    from meterledger.cli.follow import follow
    from meterledger.usecases.follow import FollowOptions

    if options.dry_run or options.strict or options.again:
        raise UsageError(
            "--follow keeps rows as they come: --dry-run, --strict and --again do not go with it",
            hint="leave them out, or import the file as it is now, without --follow",
        )
    report, is_interrupted = follow(
        context,
        FollowOptions(
            reading=options,
            poll_interval=context.duration(poll_interval, "--poll-interval") or 0,
            until_idle=context.duration(until_idle, "--until-idle"),
        ),
    )
    context.interruption_reported = True
    _print(report, format_, context, interruption=Interrupted() if is_interrupted else None)
    raise typer.Exit(ExitCode.INTERRUPTED if is_interrupted else _exit_code(report, options))


def _progress(bar: "Bar | None", context: Context) -> "Progress":
    from meterledger.usecases.import_usage import Progress

    started = time.monotonic()
    state: dict[str, Any] = {"task": None, "rows": 0}

    def notice(message: str) -> None:
        if not context.quiet:
            say(message)

    def warn(message: str) -> None:
        say(f"Warning: {message}", style="yellow")

    if bar is None:
        return Progress(notice=notice, warn=warn)

    def begin(file: str, size: int) -> None:
        state["task"] = bar.add_task(file, total=size, rate="")

    def advance(bytes_read: int, rows: int) -> None:
        state["rows"] += rows
        rate = state["rows"] / max(time.monotonic() - started, 0.001)
        bar.update(state["task"], completed=bytes_read, rate=f"{rate:,.0f} rows/s")

    return Progress(begin=begin, advance=advance, notice=notice, warn=warn)


def _exit_code(report: "ImportReport", options: "ImportOptions") -> int:
    if report.failed:
        return max(error.exit_code for error in report.failed)
    was_refused = report.has_refused and options.strict
    return ExitCode.NEEDS_A_PERSON if report.unsettled or was_refused else ExitCode.DONE


def _document(report: "ImportReport") -> dict[str, Any]:
    return {
        **{key: getattr(report.counts, key) for key in _COUNTS},
        "settled": report.settled,
        "committed": report.committed,
        "warnings": report.warnings,
        "rejected_by_reason": dict(sorted(report.reasons.items())),
        "rejections": [_refused(one) for one in report.rejections],
        "hints": report.hints,
        "conflicting_rows": [_refused(one) for one in report.conflicts],
        "imports": [
            {
                "id": file.id,
                "file": file.file,
                "sha256": file.sha256,
                "skipped": file.skipped,
                "complete": file.complete,
                "settled": file.settled,
                **{key: getattr(file.counts, key) for key in _COUNTS},
            }
            for file in report.files
        ],
    }


def _refused(one: "Refused") -> dict[str, Any]:
    return {"file": one.file, "line": one.line, "reason": one.reason, "message": one.message}


def _print(
    report: "ImportReport",
    format_: Format,
    context: Context,
    *,
    dry_run: bool = False,
    interruption: Interrupted | None = None,
) -> None:
    failures = [*([interruption] if interruption else []), *report.failed]
    match format_:
        case Format.JSON if failures:
            print_error_json(failures[0], _document(report))
        case Format.JSON:
            print_json("import", _document(report))
        case Format.CSV:
            columns = ("id", "file", "skipped", "complete", *_COUNTS)
            rows = [[file[key] for key in columns] for file in _document(report)["imports"]]
            print_csv((*columns, "committed"), [[*row, report.committed] for row in rows])
        case Format.TABLE:
            _print_for_people(report, context, dry_run=dry_run)
    for failure in failures:
        say_error(failure)


def _print_for_people(report: "ImportReport", context: Context, *, dry_run: bool) -> None:
    from meterledger.usecases.findings import counted

    if report.files:
        columns = [("file", "fold"), *((heading, "right") for heading in _COUNTS_SHOWN), ("note", "left")]
        print_files(columns, [_cells(file) for file in report.files])
    print_refused(report.groups)
    if not report.committed:
        why = "this was a dry run" if dry_run else "--strict met a refused row or an unreadable file"
        say(f"Nothing was kept: {why}.")
    if context.quiet:
        return
    if report.left_out:
        say(f"Files left out of folders, because their names tell no format: {count_text(report.left_out)}.")
    total = sum(f.counts.rejected + f.counts.conflicts for f in report.files if not f.skipped)
    if len(report.groups) > GROUPS_SHOWN:
        by_reason = ", ".join(
            f"{reason} {count_text(count)}" for reason, count in report.reasons.most_common()
        )
        say(
            f"{count_text(total)} rows were refused ({by_reason}) in {count_text(len(report.groups))} ways; "
            f"the first {GROUPS_SHOWN} are shown."
        )
    for hint in report.hints:
        say(hint)
    if report.settled:
        say(f"{counted(report.settled, 'refused row was', 'refused rows were')} settled before.")
    if report.committed:
        _say_next(report)


def _say_next(report: "ImportReport") -> None:
    if report.unsettled:
        say(
            "Next: `meterledger rejects list` shows what is open. If the config is wrong, mend it, then "
            "`meterledger rejects retry`; if the rows are, `meterledger rejects export --output FILE` writes "
            "them to a file: mend and import it."
        )
    elif report.counts.accepted:
        say("Next: `meterledger preview` shows what would be sent to Stripe.")


_COUNTS_SHOWN = ("rows", "accepted", "duplicates", "conflicts", "rejected")


def _cells(file: "FileReport") -> list[object]:
    counts = (count_text(getattr(file.counts, key)) for key in _COUNTS)
    return [FileName(file.file), *counts, "skipped" if file.skipped else ""]
