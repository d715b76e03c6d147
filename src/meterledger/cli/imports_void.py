"""`meterledger imports void`: an import is taken back, as far as it is unsent."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import Context, context_of
from meterledger.cli.output import (
    Format,
    confirmed,
    count_text,
    print_csv,
    print_json,
    print_table,
    required_note,
    say,
)
from meterledger.errors import ExitCode

if TYPE_CHECKING:
    from meterledger.usecases.void_import import SentUsage, VoidReport

_SHOWN = 10
_COUNTS = (
    "voided", "already_billed", "dissolved", "voided_before", "written_off", "rejects_dismissed",
    "rejects_opened",
)  # fmt: skip
_CORRECTION = (
    "request_id", "line", "identifier", "event_name", "stripe_customer_id", "value", "timestamp", "state",
    "accepted_at", "cancel_until", "remedy",
)  # fmt: skip


def void(
    ctx: typer.Context,
    number: Annotated[int, typer.Argument(metavar="ID", min=1, max=2**62, help="The number of an import.")],
    *,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the ledger.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be taken back; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """
    Take an import back as far as it is unsent; its request_ids can be imported again then.

    What has been sent, or may have been, is listed with what a correction at Stripe would need.
    """
    from meterledger.usecases.void_import import void_import

    context = context_of(ctx)
    said = required_note(note)
    clock = context.clock()
    with context.ledger() as ledger:
        if not (dry_run or yes) and not confirmed(
            lambda: _question(void_import(ledger, number, note=said, clock=clock, dry_run=True))
        ):
            return
        report = void_import(ledger, number, note=said, clock=clock, dry_run=dry_run)
    _print(report, format_, context, dry_run=dry_run)
    raise typer.Exit(ExitCode.NEEDS_A_PERSON if report.corrections else ExitCode.DONE)


def _question(report: "VoidReport") -> str:
    from meterledger.usecases.findings import counted

    sent = f"; {count_text(len(report.corrections))} sent or maybe sent stay" if report.corrections else ""
    return f"Take {counted(report.voided, 'usage event')} of {report.file} back for good{sent}?"


def _correction(one: "SentUsage") -> dict[str, Any]:
    from meterledger.domain.instant import SECOND, to_text, to_text_or_none

    return {
        "request_id": one.request_id,
        "line": one.line,
        "identifier": one.identifier,
        "event_name": one.event_name,
        "stripe_customer_id": one.stripe_customer_id,
        "value": one.value,
        "timestamp": to_text(one.timestamp * SECOND),
        "state": one.state.value,
        "accepted_at": to_text_or_none(one.accepted_at),
        "cancel_until": to_text_or_none(one.cancel_until),
        "remedy": one.remedy.value,
    }


def _print(report: "VoidReport", format_: Format, context: Context, *, dry_run: bool) -> None:
    match format_:
        case Format.JSON:
            one = {"id": report.id, "source": report.source, "file": report.file}
            print_json(
                "imports.void",
                {
                    "imports": [one],
                    "dry_run": dry_run,
                    **{key: getattr(report, key) for key in _COUNTS},
                    "corrections": [_correction(sent) for sent in report.corrections],
                },
            )
        case Format.CSV:
            rows = (_correction(sent) for sent in report.corrections)
            print_csv(_CORRECTION, (list(row.values()) for row in rows))
        case Format.TABLE:
            _print_for_people(report, context, dry_run=dry_run)


def _print_for_people(report: "VoidReport", context: Context, *, dry_run: bool) -> None:
    rows = [[key.replace("_", " "), count_text(getattr(report, key))] for key in _COUNTS]
    sent = ["sent, or maybe sent", count_text(len(report.corrections))]
    print_table(
        [(f"import {report.id} of {report.source}", "left"), ("", "right")],
        [row for row in (rows[0], sent, *rows[1:]) if row[1] != "0" or row is rows[0]],
    )
    if report.corrections:
        columns = ("identifier", "event_name", "stripe_customer_id", "value", "timestamp", "state")
        print_table(
            [(key.replace("_", " "), "fold") for key in (*columns, "what takes it back")],
            [
                [*(_correction(one)[key] for key in columns), _what_to_do(one)]
                for one in report.corrections[:_SHOWN]
            ],
            title="What stays, and what a correction would need",
        )
    if context.quiet:
        return
    if len(report.corrections) > _SHOWN:
        say(f"The first {_SHOWN} of {count_text(len(report.corrections))} are shown; --format csv has all.")
    if dry_run:
        say("Nothing was changed: this was a dry run.")
    elif report.voided:
        say("Their request_ids are free: mend the file and import it again.")
    elif not report.corrections:
        say("There was nothing to take back.")


def _what_to_do(one: "SentUsage") -> str:
    from meterledger.domain.correction import Remedy
    from meterledger.domain.instant import to_text

    if one.remedy is Remedy.CANCEL and one.cancel_until is not None:
        return f"{one.remedy.meaning}, by {to_text(one.cancel_until)}"
    return one.remedy.meaning
