"""`meterledger audit --customer ID --explain`: the usage events behind the figures."""

from typing import TYPE_CHECKING, Any

from meterledger.cli.audit_document import LANDINGS, deadline_text, entry_document
from meterledger.cli.audit_periods import NO_METER, period_text, print_entries
from meterledger.cli.output import (
    Format,
    count_text,
    print_csv,
    print_json_stream,
    print_table,
    quantity_text,
)
from meterledger.domain.instant import to_text, to_text_or_none
from meterledger.usecases.audit_explain import Totals, explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meterledger.domain.lateness import Landing
    from meterledger.usecases.audit import Audited
    from meterledger.usecases.audit_explain import ExplainedUsage

MOST_LISTED = 50
"""Usage events that the table lists; JSON and CSV have all of them."""

_COLUMNS = (
    "source", "file", "line", "request_id", "event_name", "quantity", "event_time", "received_at",
    "recorded_at", "state", "accepted_from", "accepted_at", "start", "end", "deadline", "deadline_source",
    "landing", "rule",
)  # fmt: skip


def print_explained(whole: "Audited", customer_id: str, format_: Format) -> None:
    """Print every usage event of a customer that an audit counts, and what they add up to."""
    totals = Totals()
    usage = _counted(explained(whole, customer_id), totals)
    match format_:
        case Format.JSON:
            print_json_stream(
                "audit.explain",
                {
                    "as_of": to_text(whole.audit.as_of),
                    "customer_id": customer_id,
                    "verdict": whole.audit.verdict,
                },
                "usage_events",
                map(_document, usage),
                lambda: {
                    "periods": [entry_document(one, whole.reading.options) for one in totals.entries],
                },
            )
        case Format.CSV:
            print_csv(_COLUMNS, (list(_document(one).values()) for one in usage))
        case Format.TABLE:
            _print_table(usage, customer_id)
            print_entries(totals.entries, whole.reading.options, now=whole.audit.as_of)


def _counted(usage: "Iterator[ExplainedUsage]", totals: Totals) -> "Iterator[ExplainedUsage]":
    for one in usage:
        totals.add(one)
        yield one


def _document(one: "ExplainedUsage") -> dict[str, Any]:
    due = one.due
    values = (
        one.source,
        one.file,
        one.line,
        one.request_id,
        one.event_name,
        str(one.quantity),
        to_text(one.event_time),
        to_text_or_none(one.received_at),
        to_text(one.recorded_at),
        one.state,
        to_text_or_none(one.accepted_from),
        to_text_or_none(one.accepted_at),
        to_text(due.period.start),
        to_text(due.period.end),
        deadline_text(due.deadline),
        due.source.value,
        one.landing.value,
        one.rule.value,
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _print_table(usage: "Iterator[ExplainedUsage]", customer_id: str) -> None:
    """Print the first of what has not landed, worst first; what has landed where there is room."""
    first: dict[Landing, list[ExplainedUsage]] = {where: [] for where in LANDINGS}
    count = 0
    for one in usage:
        count += 1
        if len(first[one.landing]) < MOST_LISTED:
            first[one.landing].append(one)
    listed = [one for where in reversed(LANDINGS) for one in first[where]][:MOST_LISTED]
    caption = ""
    if count > len(listed):
        caption = (
            f"{count_text(len(listed))} of {count_text(count)} usage events, what has not landed first; "
            "--format json or csv has all of them."
        )
    print_table(
        [
            ("landing", "left"),
            ("request_id", "fold"),
            ("meter", "left"),
            ("quantity", "right"),
            ("event_time", "left"),
            ("state", "left"),
            ("accepted_at", "left"),
            ("period", "fold"),
            ("deadline", "left"),
            ("rule", "fold"),
            ("from", "fold"),
        ],
        [
            [
                one.landing.replace("_", " "),
                one.request_id,
                one.event_name or NO_METER,
                quantity_text(str(one.quantity)),
                to_text(one.event_time),
                one.state,
                to_text_or_none(one.accepted_at),
                period_text(one.due.period),
                deadline_text(one.due.deadline) or "held open",
                one.rule,
                f"{one.source}: {one.file}:{one.line}",
            ]
            for one in listed
        ],
        title=f"Usage events of {customer_id} in scope",
        caption=caption,
    )
