"""`meterledger status`: what is in the ledger, and what to run next."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import Context, context_of
from meterledger.cli.findings import print_findings
from meterledger.cli.output import Format, count_text, harmless, print_csv, print_json, print_table, say
from meterledger.cli.settling import settling_document, settling_lines

if TYPE_CHECKING:
    from meterledger.usecases.status import Status

_DOUBTFUL_SHOWN = 10
_MEANINGS = {
    "pending": "sealed, and certainly not taken by Stripe yet",
    "sending": "on its way, or its outcome is not known yet; push sends it again",
    "accepted": "taken by Stripe",
    "confirmed": "taken, and Stripe's totals account for it",
    "rejected": "refused by Stripe; `meterledger push --retry-rejected` once the cause is mended",
    "in_doubt": "only a person can settle it: `meterledger resolve`",
    "canceled": "taken back",
}

_CLOSED_MEANINGS = {
    "already_billed": "told to Stripe by an older system; never sent",
    "written_off": "blocked, and closed by a person; never sent",
    "voided": "its import was taken back; never sent",
}


def status(
    ctx: typer.Context,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="As it was known, and by the clock, of this instant."),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Show what is in the ledger, what is blocked and why, and what to run next."""
    from meterledger.usecases.status import status as look

    context = context_of(ctx)
    clock = context.clock(as_of)
    with context.ledger() as ledger:
        found = look(ledger, context.settings, now=clock(), as_of=clock() if as_of is not None else None)
        doubtful = [_doubtful(row) for row in ledger.reports.in_doubt()] if as_of is None else []
        refused = [dict(row) for row in ledger.reports.rejected_by_code()] if as_of is None else []
    match format_:
        case Format.JSON:
            print_json("status", {**_document(found), "in_doubt": doubtful, "rejected": refused})
        case Format.CSV:
            print_csv(("what", "count"), _counts(found))
        case Format.TABLE:
            _print_for_people(found, doubtful, refused, context)


def _doubtful(row: Any) -> dict[str, Any]:
    from meterledger.domain.instant import to_text
    from meterledger.domain.quantity import decimal_text

    return {
        "identifier": row["identifier"],
        "event_name": row["event_name"],
        "stripe_customer_id": row["stripe_customer_id"],
        "value": decimal_text(row["quantity"], row["scale"]),
        "event_time": to_text(row["event_time"]),
        "reason": row["in_doubt_reason"],
        "since": to_text(row["state_at"]),
    }


def _document(found: "Status") -> dict[str, Any]:
    from meterledger.domain.instant import to_text_or_none

    oldest = found.oldest_pending_event_time
    return {
        "usage_events": found.usage_events,
        "unsealed": found.unsealed,
        "meter_events": found.meter_events,
        "blocked": [{"reason": reason.value, "count": count} for reason, count in found.blocked.items()],
        "settling": settling_document(found.settling),
        "closed": found.closed,
        "oldest_pending_event_time": to_text_or_none(oldest),
        "open_rejections": found.open_rejections,
        "open_conflicts": found.open_conflicts,
        "findings": [finding.as_dict() for finding in found.findings],
    }


def _counts(found: "Status") -> list[tuple[str, int]]:
    return [
        ("usage_events", found.usage_events),
        ("unsealed", found.unsealed),
        *((f"meter_events.{state}", count) for state, count in found.meter_events.items()),
        *((f"blocked.{reason.value}", count) for reason, count in found.blocked.items()),
        ("settling", found.settling.usage_events),
        *((f"closed.{state}", count) for state, count in found.closed.items()),
        ("open_rejections", found.open_rejections),
        ("open_conflicts", found.open_conflicts),
    ]


def _print_for_people(
    found: "Status", doubtful: list[dict[str, Any]], refused: list[dict[str, Any]], context: Context
) -> None:
    from meterledger.domain.instant import to_text

    print_table(
        [("usage events", "left"), ("", "right"), ("", "fold")],
        [
            ["in the ledger", count_text(found.usage_events), ""],
            ["unsealed", count_text(found.unsealed), "push will send them" * bool(found.unsealed)],
            *settling_lines(found.settling),
            *(
                [f"blocked: {reason.value}", count_text(count), reason.mend]
                for reason, count in found.blocked.items()
            ),
            *(
                [state.replace("_", " "), count_text(count), _CLOSED_MEANINGS[state]]
                for state, count in found.closed.items()
                if count
            ),
        ],
    )
    states = [(state, count) for state, count in found.meter_events.items() if count]
    if states:
        print_table(
            [("meter events", "left"), ("", "right"), ("", "fold")],
            [[state, count_text(count), _MEANINGS[state]] for state, count in states],
        )
    if found.open_rejections or found.open_conflicts:
        print_table(
            [("refused rows", "left"), ("", "right")],
            [
                ["open rejections", count_text(found.open_rejections)],
                ["open conflicts", count_text(found.open_conflicts)],
            ],
        )
    for one in doubtful[:_DOUBTFUL_SHOWN]:
        # A line of its own, so that it can be copied.
        typer.echo(harmless(f"in doubt: {one['identifier']}"))
        about = f"{one['event_name']} {one['stripe_customer_id']} value {one['value']}"
        typer.echo(harmless(f"  {about}, {one['reason']} since {one['since']}"))
    if len(doubtful) > _DOUBTFUL_SHOWN:
        typer.echo(f"and {len(doubtful) - _DOUBTFUL_SHOWN} more in doubt; --format json has all")
    if refused:
        print_table(
            [("code", "left"), ("meter events", "right"), ("what Stripe said", "fold")],
            [[one["code"], count_text(one["count"]), one["message"]] for one in refused],
            title="Rejected by Stripe",
        )
    print_findings(found.findings)
    if context.quiet:
        return
    if found.oldest_pending_event_time is not None:
        say(f"The oldest usage still to be sent is of {to_text(found.oldest_pending_event_time)}.")
    say(f"Next: {found.next_command}")
