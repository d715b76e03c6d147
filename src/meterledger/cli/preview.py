"""`meterledger preview`: what push would send."""

import sys
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import Context, context_of
from meterledger.cli.findings import print_findings
from meterledger.cli.output import (
    PreviewFormat,
    console,
    count_text,
    harmless,
    print_csv,
    print_json,
    print_table,
    quantity_text,
    say,
)
from meterledger.cli.settling import settling_document, settling_lines
from meterledger.domain.way import Way

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meterledger.domain.meter_event import MeterEvent
    from meterledger.usecases.preview import Preview, Total

_SHOWN = 5
_CUSTOMERS_SHOWN = 20
_BLOCKED_SHOWN = 10


def preview(
    ctx: typer.Context,
    limit: Annotated[
        int | None, typer.Option(min=1, max=2**31, metavar="N", help="At most so many meter events.")
    ] = None,
    include_closed: Annotated[
        bool, typer.Option("--include-closed", help="With usage of periods whose invoice is final.")
    ] = False,
    as_of: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="As it was, and by the clock, of this instant.")
    ] = None,
    api: Annotated[
        Way | None, typer.Option("--api", help="By this way in; [stripe] api of the config unless told.")
    ] = None,
    format_: Annotated[
        PreviewFormat, typer.Option("--format", help="How to print it; jsonl is exactly the request bodies.")
    ] = PreviewFormat.TABLE,
) -> None:
    """Show the meter events that push would send, and what is blocked. Nothing is sent or changed."""
    show_preview(
        context_of(ctx), limit=limit, include_closed=include_closed, as_of=as_of, format_=format_, api=api
    )


def show_preview(
    context: Context,
    *,
    limit: int | None,
    include_closed: bool,
    as_of: str | None,
    format_: PreviewFormat,
    retry_codes: "Sequence[str] | None" = None,
    api: Way | None = None,
) -> None:
    """Print a preview; ``push --dry-run`` is the same."""
    from meterledger.usecases.planning import Planner
    from meterledger.usecases.preview import Preview, preview_totals
    from meterledger.usecases.preview import preview as draw

    clock = context.clock(as_of)
    with context.ledger() as ledger:
        planner = Planner(
            ledger,
            context.settings.by_way(api),
            clock(),
            clock() if as_of is not None else None,
            include_closed,
        )
        result = Preview()
        if format_ is PreviewFormat.TABLE and limit is None and retry_codes is None:
            _print_for_people(preview_totals(planner, result, shown=_SHOWN), result, context)
            return
        # Closed before the ledger is: whoever reads our output may leave in the middle.
        with closing(draw(planner, result, limit=limit, retry_codes=retry_codes)) as events:
            _print(events, result, format_, context)


def _print(
    events: "Iterator[MeterEvent]", result: "Preview", format_: PreviewFormat, context: Context
) -> None:
    match format_:
        case PreviewFormat.JSONL:
            for event in events:
                # The very bytes that are sent, whatever the locale.
                sys.stdout.buffer.write(body_text(event).encode() + b"\n")
        case PreviewFormat.JSON:
            bodies = [event.body() for event in events]
            print_json("preview", {"meter_events": bodies, **_summary(result)})
        case PreviewFormat.CSV:
            print_csv(
                ("event_name", "stripe_customer_id", "identifier", "timestamp", "value"),
                (
                    (e.event_name, e.stripe_customer_id, e.identifier, e.timestamp, str(e.quantity))
                    for e in events
                ),
            )
        case PreviewFormat.TABLE:
            first = list(islice(events, _SHOWN))
            for _ in events:
                pass
            _print_for_people(first, result, context)


def body_text(event: "MeterEvent") -> str:
    """Return one request body as a line of JSON."""
    import msgspec

    return msgspec.json.encode(event.body()).decode()


def _summary(result: "Preview") -> dict[str, Any]:
    return {
        "totals": [
            {
                "event_name": event_name,
                "stripe_customer_id": customer,
                "events": total.events,
                "value": str(total.value),
            }
            for (event_name, customer), total in sorted(result.totals.items())
        ],
        "blocked": [
            {"reason": reason.value, "count": count} for reason, count in sorted(result.blocked.items())
        ],
        "blocked_usage": [
            {
                "source": usage.source,
                "request_id": usage.request_id,
                "customer_id": usage.customer_id,
                "feature": usage.feature,
                "reason": reason.value,
            }
            for usage, reason in result.blocked_usage
        ],
        "settling": settling_document(result.settling),
        "findings": [finding.as_dict() for finding in result.findings],
    }


def _print_for_people(first: "list[MeterEvent]", result: "Preview", context: Context) -> None:
    from rich.text import Text

    from meterledger.usecases.findings import counted

    if result.totals:
        _print_totals(result)
    if first:
        out = console()
        out.print(f"{counted(result.events, 'request body', 'request bodies')}, beginning with:")
        for event in first:
            out.print(Text(harmless(body_text(event))), soft_wrap=True)
        out.print()
    if result.blocked:
        print_table(
            [("blocked", "left"), ("usage events", "right"), ("what to do", "fold")],
            [
                [reason.value, count_text(count), reason.mend]
                for reason, count in sorted(result.blocked.items())
            ],
        )
        print_table(
            [("blocked usage", "fold"), ("source", "left"), ("customer", "fold"), ("reason", "left")],
            [
                [u.request_id, u.source, u.customer_id, r.value]
                for u, r in result.blocked_usage[:_BLOCKED_SHOWN]
            ],
            caption="`meterledger explain` with one of them leads to file and line",
        )
    if lines := settling_lines(result.settling):
        print_table([("waiting", "left"), ("usage events", "right"), ("", "fold")], lines)
    print_findings(result.findings)
    if context.quiet:
        return
    if result.events:
        say("Next: `meterledger push` sends them.")
    else:
        say("There is nothing to send now." if result.settling.usage_events else "There is nothing to send.")


def _print_totals(result: "Preview") -> None:
    from meterledger.domain.quantity import ZERO

    by_meter: dict[str, list[Total]] = {}
    for (event_name, _), total in sorted(result.totals.items()):
        by_meter.setdefault(event_name, []).append(total)
    print_table(
        [("to be sent", "left"), ("customers", "right"), ("meter events", "right"), ("value", "right")],
        [
            [
                event_name,
                count_text(len(totals)),
                count_text(sum(total.events for total in totals)),
                quantity_text(str(sum((total.value for total in totals), ZERO))),
            ]
            for event_name, totals in by_meter.items()
        ],
    )
    largest = sorted(result.totals.items(), key=lambda item: (-item[1].events, item[0]))
    more = len(largest) - _CUSTOMERS_SHOWN
    print_table(
        [("meter", "left"), ("Stripe customer", "left"), ("meter events", "right"), ("value", "right")],
        [
            [event_name, customer, count_text(total.events), quantity_text(str(total.value))]
            for (event_name, customer), total in sorted(largest[:_CUSTOMERS_SHOWN])
        ],
        caption=f"and {count_text(more)} more; --format json has all" if more > 0 else "",
    )
