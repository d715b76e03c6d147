"""`meterledger write-off`: blocked or rejected usage is closed for good."""

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
from meterledger.errors import UsageError

if TYPE_CHECKING:
    from meterledger.usecases.write_off import WriteOffOptions, WriteOffReport

_SHOWN = 10


def write_off(
    ctx: typer.Context,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY", help="The request_id of blocked or rejected usage.")
    ] = None,
    *,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the ledger.")],
    reason: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="All that is blocked for this reason, or rejected by Stripe."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of this source; names the one where two have a KEY.")
    ] = None,
    customer: Annotated[
        str | None, typer.Option(metavar="ID", help="All blocked usage of this customer_id.")
    ] = None,
    feature: Annotated[
        str | None, typer.Option(metavar="NAME", help="All blocked usage of this feature.")
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="All blocked usage with an event_time before it."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be closed; close nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """
    Close blocked or rejected usage for good: it is not sent, no longer counts as open, and stays on record.

    Name request_ids, or choose by reason, customer, feature and time; options together narrow the choice.
    """
    from dataclasses import replace

    from meterledger.usecases.write_off import REASONS, WriteOffOptions
    from meterledger.usecases.write_off import write_off as close

    context = context_of(ctx)
    if reason not in (None, *REASONS):
        raise UsageError(
            f"nothing is written off for the reason {reason}", hint=f"known are: {', '.join(REASONS)}"
        )
    chosen_by = (reason, customer, feature, before)
    if bool(keys) == any(one is not None for one in chosen_by):
        raise UsageError(
            "name request_ids, or choose by --reason, --customer, --feature or --before",
            hint="one of the two, not both" if keys else "`meterledger preview` names what is blocked",
        )
    options = WriteOffOptions(
        note=required_note(note),
        request_ids=tuple(keys or ()),
        reason=reason,
        source=source,
        customer=customer,
        feature=feature,
        before=context.instant(before) if before is not None else None,
        dry_run=dry_run,
    )
    clock = context.clock()
    with context.ledger() as ledger:
        if not (dry_run or yes or keys) and not confirmed(
            lambda: _question(close(ledger, context.settings, replace(options, dry_run=True), clock=clock))
        ):
            return
        report = close(ledger, context.settings, options, clock=clock)
    _print(report, options, format_, context)


def _question(report: "WriteOffReport") -> str:
    from meterledger.usecases.findings import counted

    reasons = ", ".join(f"{reason} {count_text(count)}" for reason, count in report.by_reason.items())
    return f"Close {counted(report.written_off, 'usage event')} for good ({reasons or 'none'})?"


def _document(report: "WriteOffReport", options: "WriteOffOptions") -> dict[str, Any]:
    from meterledger.domain.instant import to_text

    return {
        "written_off": report.written_off,
        "dry_run": options.dry_run,
        "reasons": [{"reason": reason, "count": count} for reason, count in report.by_reason.items()],
        "usage_events": [
            {
                "source": usage.source,
                "request_id": usage.request_id,
                "customer_id": usage.customer_id,
                "feature": usage.feature,
                "quantity": str(usage.quantity),
                "event_time": to_text(usage.event_time),
                "blocked_reason": reason,
            }
            for usage, reason in report.listed
        ],
    }


def _print(report: "WriteOffReport", options: "WriteOffOptions", format_: Format, context: Context) -> None:
    from meterledger.usecases.findings import counted

    document = _document(report, options)
    listed = document["usage_events"]
    columns = ("source", "request_id", "customer_id", "feature", "quantity", "event_time", "blocked_reason")
    match format_:
        case Format.JSON:
            print_json("write-off", document)
            return
        case Format.CSV:
            print_csv(columns, [[one[key] for key in columns] for one in listed])
            return
    if listed:
        kinds = dict.fromkeys(columns, "fold") | {"quantity": "right", "blocked_reason": "left"}
        print_table(
            [(key.replace("_", " "), kinds[key]) for key in columns],
            [[one[key] for key in columns] for one in listed[:_SHOWN]],
        )
    if context.quiet:
        return
    said = "Would be written off" if options.dry_run else "Written off"
    say(f"{said}: {counted(report.written_off, 'usage event')}.")
