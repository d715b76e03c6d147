"""Explain: all that is known of a request_id, an identifier or a customer, back to file and line."""

import json
from dataclasses import dataclass
from typing import Any

from meterledger.config import Settings
from meterledger.domain.instant import SECOND, Instant, to_text, to_text_or_none
from meterledger.domain.quantity import Quantity
from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.database import Row
from meterledger.usecases.list_customers import list_customers
from meterledger.usecases.original_row import OriginalRow, original_rows
from meterledger.usecases.planning import Planner

DEFAULT_LIMIT = 20
MAX_LIMIT = 10_000
"""Usage events that one explanation holds at most: they are gathered in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What was found, as JSON shows it."""

    usage_events: list[dict[str, Any]]
    meter_events: list[dict[str, Any]]
    attempts: list[dict[str, Any]]
    resolutions: list[dict[str, Any]]
    error_reports: list[dict[str, Any]]
    """The reports that name one of the meter events."""
    rejects: list[dict[str, Any]]
    customers: list[dict[str, Any]]
    """Where it is a customer: what is known of it, with its history."""


def explain(
    ledger: Ledger, settings: Settings, what: str, *, now: Instant, limit: int = DEFAULT_LIMIT
) -> Explanation:
    """Gather what is known; raises UsageError if nothing is."""
    store = ledger.explanations
    planner = Planner(ledger, settings, now)
    usage_events, rows, meter_events, attempts, resolutions, reports = [], [], {}, [], [], []
    with ledger.database.snapshot():
        for number in store.usage_events_of(what, limit):
            carriers = store.meter_events(number)
            live = next((row for row in carriers if row["unlinked_at"] is None), None)
            rows.append(store.usage_event(number))
            usage_events.append(_usage_event(ledger, planner, rows[-1], live))
            meter_events.update({row["id"]: row for row in carriers})
        for row in meter_events.values():
            attempts += [_attempt(row, attempt) for attempt in store.attempts(row["id"])]
            resolutions += [_resolution(row, said) for said in store.resolutions(row["id"])]
            reports += [_report(row, told) for told in ledger.error_reports.of_meter_event(row["id"])]
        rejects = [{key: row[key] for key in row.keys()} for row in store.rejects(what, limit)]  # noqa: SIM118 # a row is no dict
        customers = list_customers(ledger, now=now, customer=what, with_history=True)
    if not (usage_events or rejects or customers):
        raise UsageError(
            f"nothing is known of {what}",
            hint="name a request_id, an identifier or a customer_id as it stands in the files",
        )
    # Files are read when the ledger is not held any more.
    originals = original_rows(rows)
    for usage_event, row in zip(usage_events, rows, strict=True):
        usage_event.update(_original(originals[row["id"]]))
    return Explanation(
        usage_events=usage_events,
        meter_events=[_meter_event(row) for row in meter_events.values()],
        attempts=attempts,
        resolutions=resolutions,
        error_reports=reports,
        rejects=rejects,
        customers=customers,
    )


def _usage_event(ledger: Ledger, planner: Planner, row: Row, live: Row | None) -> dict[str, Any]:
    closure = ledger.closures.closure_of(row["id"])
    state, reason = _state_of(ledger, planner, row, live, closure)
    return {
        "source": row["source"],
        "request_id": row["request_id"],
        "customer_id": row["customer_id"],
        "subscription_id": row["subscription_id"],
        "feature": row["feature"],
        "quantity": str(Quantity(row["quantity"], row["scale"])),
        "event_time": to_text(row["event_time"]),
        "received_at": to_text_or_none(row["received_at"]),
        "recorded_at": to_text(row["recorded_at"]),
        "dimensions": json.loads(row["dimensions"]) if row["dimensions"] else {},
        "import": row["import"],
        "file": row["file"],
        "line": row["line"],
        "sha256": row["sha256"],
        "state": state,
        "blocked_reason": reason,
        "closed_at": to_text(closure["closed_at"]) if closure else None,
        "closed_note": closure["note"] or None if closure else None,
        "identifier": live["identifier"] if live else None,
    }


def _state_of(
    ledger: Ledger, planner: Planner, row: Row, live: Row | None, closure: Row | None
) -> tuple[str, str | None]:
    """Return the state of a usage event, and what blocks it or blocked it when it was written off."""
    if closure:
        return closure["state"], closure["blocked_reason"]
    if live:
        return "sealed", None
    usage = ledger.unsealed.one(row["id"])
    reason = planner.standing_of(usage) if usage else None
    return ("blocked", reason.value) if reason else ("unsealed", None)


def _original(found: OriginalRow) -> dict[str, Any]:
    return {"original_row": found.text, "original_row_note": found.note}


def _meter_event(row: Row) -> dict[str, Any]:
    return {
        "identifier": row["identifier"],
        "revision": row["revision"],
        "event_name": row["event_name"],
        "stripe_customer_id": row["stripe_customer_id"],
        "timestamp": to_text(row["timestamp"] * SECOND),
        "payload": json.loads(row["payload"]),
        "usage_events": row["usage_events"],
        "window_start": to_text_or_none(row["window_start"]),
        "window_end": to_text_or_none(row["window_end"]),
        "state": row["state"],
        "in_doubt_reason": row["in_doubt_reason"],
        "rejection_code": row["rejection_code"],
        "rejection_message": row["rejection_message"],
        "sealed_at": to_text(row["sealed_at"]),
        "accepted_at": to_text_or_none(row["accepted_at"]),
        "accepted_from": to_text_or_none(row["accepted_from"]),
        "accepted_by": to_text_or_none(row["accepted_by"]),
        "dissolved_at": to_text_or_none(row["dissolved_at"]),
        "retried_at": to_text_or_none(row["retried_at"]),
    }


def _attempt(meter_event: Row, row: Row) -> dict[str, Any]:
    return {
        "identifier": meter_event["identifier"],
        "attempt": row["attempt"],
        "push": row["push"],
        "api": row["api"],
        "idempotency_key": row["idempotency_key"],
        "started_at": to_text(row["started_at"]),
        "finished_at": to_text_or_none(row["finished_at"]),
        "outcome": row["outcome"],
        "http_status": row["http_status"],
        "code": row["code"],
        "message": row["message"],
        "stripe_request_id": row["stripe_request_id"],
        "settled_at": to_text_or_none(row["settled_at"]),
    }


def _resolution(meter_event: Row, row: Row) -> dict[str, Any]:
    return {
        "identifier": meter_event["identifier"],
        "settled_as": row["settled_as"],
        "note": row["note"],
        "resolved_at": to_text(row["resolved_at"]),
    }


def _report(meter_event: Row, row: Row) -> dict[str, Any]:
    return {
        "identifier": meter_event["identifier"],
        "event_id": row["event_id"],
        "code": row["code"],
        "message": row["message"],
        "start": to_text_or_none(row["validation_start"]),
        "end": to_text_or_none(row["validation_end"]),
        "error_count": row["error_count"],
        "created": to_text(row["created"]),
        "recorded_at": to_text(row["recorded_at"]),
    }
