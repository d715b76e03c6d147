"""`meterledger explain`: all that is known of one thing."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import context_of
from meterledger.cli.customers import print_customers
from meterledger.cli.output import Format, print_csv, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterledger.usecases.explain import Explanation


def explain(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(help="A request_id, an identifier or a customer_id.")],
    limit: Annotated[
        int,
        typer.Option(
            min=1, max=10_000, metavar="N", help="At most N usage events: of a customer the latest."
        ),
    ] = 20,
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Show all that is known: from which file and line, what was sent and when, what Stripe answered."""
    from meterledger.usecases.explain import explain as gather

    context = context_of(ctx)
    clock = context.clock()
    with context.ledger() as ledger:
        found = gather(ledger, context.settings, what, now=clock(), limit=limit)
    match format_:
        case Format.JSON:
            print_json(
                "explain",
                {
                    "usage_events": found.usage_events,
                    "meter_events": found.meter_events,
                    "attempts": found.attempts,
                    "resolutions": found.resolutions,
                    "error_reports": found.error_reports,
                    "rejects": found.rejects,
                    "customers": found.customers,
                },
            )
        case Format.CSV:
            columns = list(found.usage_events[0]) if found.usage_events else ["request_id"]
            print_csv(columns, [[one[key] for key in columns] for one in found.usage_events])
        case Format.TABLE:
            _print_for_people(found)


def _print_for_people(found: "Explanation") -> None:
    for usage in found.usage_events:
        _print_fields(f"Usage event {usage['source']}/{usage['request_id']}", _usage_fields(usage))
    for event in found.meter_events:
        _print_fields(f"Meter event {event['identifier']}", _meter_event_fields(event))
    for event in found.meter_events:
        for one in found.attempts:
            # Most keys are the identifier, which stands above.
            if one["idempotency_key"] == event["identifier"]:
                one["idempotency_key"] = None
    if found.attempts:
        columns = (
            "attempt",
            "started_at",
            "finished_at",
            "outcome",
            "http_status",
            "code",
            "idempotency_key",
        )
        print_table(
            [(name.replace("_", " "), "fold") for name in columns],
            [[one[name] for name in columns] for one in found.attempts],
            title="Delivery attempts",
        )
    for said in found.resolutions:
        _print_fields(
            f"Resolved as {said['settled_as']}", {key: said[key] for key in ("note", "resolved_at")}
        )
    _print_error_reports(found)
    if found.customers:
        print_customers(found.customers, with_history=True, title="Customer")
    if found.rejects:
        print_table(
            [
                ("kind", "left"),
                ("where", "fold"),
                ("reason", "left"),
                ("message", "fold"),
                ("closed as", "left"),
            ],
            [
                [one["kind"], f"{one['file']}:{one['line']}", one["reason"], one["message"], one["closed_as"]]
                for one in found.rejects
            ],
            title="Refused rows",
        )


def _print_error_reports(found: "Explanation") -> None:
    keys = ("code", "message", "start", "end", "error_count", "created", "recorded_at")
    for told in found.error_reports:
        _print_fields(f"Error report {told['event_id']}", {key: told[key] for key in keys})


def _meter_event_fields(event: "Mapping[str, Any]") -> dict[str, Any]:
    payload = " ".join(f"{key}={value}" for key, value in event["payload"].items())
    keys = ("event_name", "stripe_customer_id", "timestamp")
    fields = {key: event[key] for key in keys} | {"payload": payload, "state": event["state"]}
    if event["window_start"] is not None:
        window = f"{event['window_start']} to {event['window_end']}"
        fields |= {"usage_events": event["usage_events"], "window": window}
    rest = (
        *("in_doubt_reason", "rejection_code", "rejection_message"),
        *("sealed_at", "accepted_at", "retried_at"),
    )
    return fields | {key: event[key] for key in rest}


def _usage_fields(usage: dict[str, Any]) -> dict[str, Any]:
    keys = (
        "customer_id",
        "subscription_id",
        "feature",
        "quantity",
        "event_time",
        "received_at",
        "recorded_at",
    )
    state = usage["state"] + (f" ({usage['blocked_reason']})" if usage["blocked_reason"] else "")
    state += f" since {usage['closed_at']}" if usage["closed_at"] else ""
    origin = f"{usage['file']}:{usage['line']} (import {usage['import']}, sha256 {usage['sha256'][:12]}…)"
    return {key: usage[key] for key in keys} | {
        "from": origin,
        "original row": usage["original_row"],
        "the row itself": usage["original_row_note"],
        "state": state,
        "note": usage["closed_note"],
    }


def _print_fields(title: str, fields: dict[str, Any]) -> None:
    rows = [[name.replace("_", " "), value] for name, value in fields.items() if value is not None]
    print_table([("", "left"), ("", "fold")], rows, title=title)
