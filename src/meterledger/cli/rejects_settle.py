"""`meterledger rejects retry`, `dismiss`, `keep` and `accept-as-new`: refused rows come to an end."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import Context, context_of
from meterledger.cli.fitting import FileName, print_files
from meterledger.cli.output import Format, count_text, print_csv, print_json, say
from meterledger.cli.rejects_filters import Ids, KindOption, chosen, of_kind, with_filters
from meterledger.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from meterledger.usecases.retry_rejects import RetryReport
    from meterledger.usecases.select_rejects import Selection

_SHOWN = 10
_COUNTS = ("rows_read", "accepted", "duplicates", "conflicts", "rejected")
_DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would happen; keep nothing.")]
_Note = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the ledger.")]
_ResultFormat = Annotated[Format, typer.Option("--format", help="How to print the result.")]


@with_filters
def retry(
    ctx: typer.Context,
    ids: Ids = None,
    *,
    selection: "Selection",
    dry_run: _DryRun = False,
    format_: _ResultFormat = Format.TABLE,
) -> None:
    """
    Read refused rows again by today's config and customers, and take what is good now.

    Without ids and filters: every open rejection. Conflicts only by id or with --kind conflict.
    """
    from meterledger.usecases.retry_rejects import retry_rejects

    context = context_of(ctx)
    selection = of_kind(chosen(ids, selection), KindOption.REJECTION)
    clock = context.clock()
    with context.ledger() as ledger:
        report = retry_rejects(ledger, context.settings, selection, clock=clock, dry_run=dry_run)
    match format_:
        case Format.JSON:
            print_json("rejects.retry", _document(report))
        case Format.CSV:
            print_csv(
                ["import", "retry_of", "file", *_COUNTS],
                [[one["id"], one["retry_of"], one["file"], *_counts(one)] for one in _imports(report)],
            )
        case Format.TABLE:
            _print_for_people(report, context)
    raise typer.Exit(ExitCode.NEEDS_A_PERSON if report.needs_a_person else ExitCode.DONE)


def _document(report: "RetryReport") -> dict[str, Any]:
    return {
        **{name: getattr(report.counts, name) for name in _COUNTS},
        "closed": report.closed,
        "committed": report.committed,
        "still_refused": [
            {
                "id": one.id,
                "file": one.file,
                "line": one.line,
                "reason": one.reason,
                "message": one.message,
            }
            for one in report.refused
        ],
        "not_read": [{"ids": list(one.ids), "because": one.because} for one in report.unread],
        "imports": _imports(report),
    }


def _imports(report: "RetryReport") -> list[dict[str, Any]]:
    return [
        {
            "id": one.id,
            "retry_of": one.retry_of,
            "source": one.source,
            "file": one.file,
            **{name: getattr(one.counts, name) for name in _COUNTS},
        }
        for one in report.imports
    ]


def _counts(one: dict[str, Any]) -> list[int]:
    return [one[name] for name in _COUNTS]


def _print_for_people(report: "RetryReport", context: Context) -> None:
    from meterledger.usecases.findings import counted

    if report.imports:
        headings = ("rows", *_COUNTS[1:])
        print_files(
            [("file", "fold"), *((heading, "right") for heading in headings)],
            [[FileName(one["file"]), *map(count_text, _counts(one))] for one in _imports(report)],
        )
    if report.refused:
        print_files(
            [("id", "right"), ("where", "fold"), ("reason", "left"), ("what, and how to mend it", "fold")],
            [
                [one.id, FileName(one.file, f":{one.line}"), one.reason, one.message]
                for one in report.refused[:_SHOWN]
            ],
            title="Still refused",
        )
    for unread in report.unread:
        listed = ", ".join(map(str, unread.ids[:_SHOWN])) + ("…" if len(unread.ids) > _SHOWN else "")
        say(f"Not read, {count_text(len(unread.ids))} ({listed}): {unread.because}.")
    if not report.committed:
        say("Nothing was kept: this was a dry run.")
    if context.quiet:
        return
    if not (report.imports or report.unread):
        say("No refused row is open, of those asked for.")
    elif report.committed:
        closed = counted(report.closed, "refused row is", "refused rows are")
        say(f"{closed} closed." if report.closed else "No refused row is closed.")
        if report.counts.accepted:
            say("Next: `meterledger preview` shows what would be sent to Stripe.")


@with_filters
def dismiss(
    ctx: typer.Context,
    ids: Ids = None,
    *,
    selection: "Selection",
    note: _Note,
    yes: Annotated[
        bool, typer.Option("--yes", help="Close every open rejection that matches the filters.")
    ] = False,
    format_: _ResultFormat = Format.TABLE,
) -> None:
    """Close rejections for good: their usage is never billed by them. By ids, or by filters and --yes."""
    from meterledger.usecases.dismiss_rejects import dismiss_rejects

    context = context_of(ctx)
    selection = chosen(ids, selection)
    if not ids and not yes:
        raise UsageError(
            "this would close every rejection that matches",
            hint="look at them with `meterledger rejects list` and the same filters, then say --yes",
        )
    if selection.matching.kind == KindOption.CONFLICT:
        raise UsageError("conflicts are not dismissed", hint="settle them with `meterledger rejects keep`")
    clock = context.clock()
    with context.ledger() as ledger:
        closed = dismiss_rejects(ledger, selection, note=note, now=clock())
    _print_closed("dismiss", closed, format_, context)


def keep(
    ctx: typer.Context,
    ids: Annotated[list[int], typer.Argument(metavar="ID", help="The id of the conflict, or several.")],
    note: _Note,
    format_: _ResultFormat = Format.TABLE,
) -> None:
    """Settle conflicts: the usage event stays as it is stored, and the given row is never billed."""
    from meterledger.usecases.dismiss_rejects import dismiss_rejects
    from meterledger.usecases.select_rejects import CONFLICT, Selection

    context = context_of(ctx)
    clock = context.clock()
    with context.ledger() as ledger:
        closed = dismiss_rejects(ledger, Selection(ids=tuple(ids)), note=note, now=clock(), kind=CONFLICT)
    _print_closed("keep", closed, format_, context)


def _print_closed(command: str, closed: Any, format_: Format, context: Context) -> None:
    from meterledger.cli.rejects import shown
    from meterledger.usecases.findings import counted

    found = [shown(row) for row in closed]
    match format_:
        case Format.JSON:
            print_json(f"rejects.{command}", {"rejects": found})
        case Format.CSV:
            print_csv(
                ["id", "file", "line", "reason", "closed_as", "closed_note"],
                [
                    [one[name] for name in ("id", "file", "line", "reason", "closed_as", "closed_note")]
                    for one in found
                ],
            )
        case Format.TABLE if not context.quiet:
            say(f"{counted(len(found), 'refused row is', 'refused rows are')} closed as dismissed.")
        case Format.TABLE:
            pass


def accept_as_new(
    ctx: typer.Context,
    reject: Annotated[int, typer.Argument(metavar="ID", help="The id of the conflict.")],
    request_id: Annotated[
        str, typer.Option(metavar="NEW", help="The request_id of the new usage event, unused in its source.")
    ],
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; kept in the ledger.")] = None,
    *,
    dry_run: _DryRun = False,
    format_: _ResultFormat = Format.TABLE,
) -> None:
    """Settle a conflict: take the given row as a usage event of its own, billed IN ADDITION to the stored."""
    from meterledger.domain.instant import to_text
    from meterledger.domain.quantity import Quantity
    from meterledger.usecases import accept_as_new as accepting

    context = context_of(ctx)
    clock = context.clock()
    with context.ledger() as ledger:
        wanted = accepting.NewUsage(reject=reject, request_id=request_id, note=note)
        done = accepting.accept_as_new(ledger, context.settings, wanted, clock=clock, dry_run=dry_run)
    event = done.event
    say(
        f"Warning: {Quantity(event.units, event.scale)} of {event.feature} "
        f"for {event.customer_id} is billed in addition to the usage event that is stored."
    )
    usage_event = {
        "id": None if dry_run else done.id,
        "source": done.source,
        "request_id": event.request_id,
        "customer_id": event.customer_id,
        "subscription_id": event.subscription_id,
        "feature": event.feature,
        "quantity": str(Quantity(event.units, event.scale)),
        "event_time": to_text(event.event_time),
        "import": None if dry_run else done.import_id,
        "file": done.file,
        "line": event.line,
    }
    match format_:
        case Format.JSON:
            print_json(
                "rejects.accept-as-new",
                {"committed": not dry_run, "reject": reject, "usage_event": usage_event},
            )
        case Format.CSV:
            print_csv(list(usage_event), [list(usage_event.values())])
        case Format.TABLE if dry_run:
            say("Nothing was kept: this was a dry run.")
        case Format.TABLE if not context.quiet:
            say(f"Accepted as {event.request_id}. Next: `meterledger preview`.")
        case Format.TABLE:
            pass
