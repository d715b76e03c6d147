"""The audit as data: one JSON document, or lines of CSV."""

from typing import TYPE_CHECKING, Any

from meterledger.domain.dues import NEVER
from meterledger.domain.instant import Instant, to_text
from meterledger.domain.lateness import BIN_EDGES, Landing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterledger.usecases.audit_answer import Amount, Audit, AuditOptions, Entry

LANDINGS = (Landing.LANDED, Landing.OPEN, Landing.AT_RISK, Landing.MISSED)
"""In the order of the report."""


def deadline_text(deadline: Instant) -> str | None:
    """Write a deadline; None where the draft is held open, so that no clock brings it."""
    return None if deadline == NEVER else to_text(deadline)


def amount_document(amount: "Amount") -> dict[str, Any]:
    """Return usage events and their sum as JSON shows them."""
    return {"events": amount.events, "quantity": str(amount.quantity)}


def entry_document(entry: "Entry", options: "AuditOptions") -> dict[str, Any]:
    """Return one entry of `periods`."""
    return {
        "start": to_text(entry.period.start),
        "end": to_text(entry.period.end),
        "deadline": deadline_text(entry.deadline),
        "deadline_source": entry.deadline_source.value,
        "event_name": entry.event_name,
        **({"customer_id": entry.customer_id} if options.by_customer else {}),
        **({"source": entry.source} if options.by_source else {}),
        "customers": entry.customers,
        **_amounts_document(entry.amounts),
    }


def _amounts_document(amounts: "Mapping[Landing, Amount]") -> dict[str, Any]:
    return {where.value: amount_document(amounts[where]) for where in LANDINGS}


def entry_columns(options: "AuditOptions") -> list[str]:
    """Return the headings of the CSV report."""
    return [
        "start",
        "end",
        "deadline",
        "deadline_source",
        "event_name",
        *(["customer_id"] if options.by_customer else []),
        *(["source"] if options.by_source else []),
        "customers",
        *(f"{where.value}_{what}" for where in LANDINGS for what in ("events", "quantity")),
    ]


def entry_cells(entry: "Entry", options: "AuditOptions") -> list[object]:
    """Return one entry as a line of CSV."""
    document = entry_document(entry, options)
    amounts = [document.pop(where.value) for where in LANDINGS]
    return [*document.values(), *(cell for amount in amounts for cell in amount.values())]


def audit_document(result: "Audit", options: "AuditOptions") -> dict[str, Any]:
    """Return the whole audit as JSON shows it."""
    return {
        "as_of": to_text(result.as_of),
        "verdict": result.verdict,
        "grace_period_seconds": result.grace_period,
        "recommended_grace_period_seconds": result.recommended_grace_period,
        "recommendation": {
            "largest_lateness_seconds": result.rehearsed_lateness,
            "sources": result.deciding_sources,
        },
        "periods": [entry_document(entry, options) for entry in result.entries],
        "delays": [
            {
                "source": line.source,
                "event_name": line.event_name,
                "kind": line.kind,
                **{key: getattr(line.summary, key) for key in ("count", "p50", "p90", "p99", "max")},
                "histogram": [
                    {"up_to_seconds": edge, "count": count}
                    for edge, count in zip((*BIN_EDGES, None), line.histogram, strict=True)
                ],
            }
            for line in result.delays
        ],
        "what_if": [
            {
                "grace_period_seconds": line.grace_period,
                "event_name": line.event_name,
                "missed": amount_document(line.missed),
            }
            for line in result.what_if
        ],
        "forecast": [one.as_dict() for one in result.forecasts],
        "missed_curve": [
            {
                "event_name": curve.event_name,
                "usage": amount_document(curve.usage),
                "missed": [
                    {"grace_period_hours": hours, **amount_document(amount)}
                    for hours, amount in enumerate(curve.missed)
                ],
            }
            for curve in result.missed_curves
        ],
        "sources": [
            {"source": one.source, "event_name": one.event_name, **_amounts_document(one.amounts)}
            for one in result.sources
        ],
        "customers_at_risk": [
            {
                "customer_id": one.customer_id,
                "start": to_text(one.period.start),
                "end": to_text(one.period.end),
                "deadline": deadline_text(one.deadline),
                "event_name": one.event_name,
                **_amounts_document(one.amounts),
            }
            for one in result.customers_at_risk
        ],
        "left_out": dict(sorted(result.left_out.items())),
        "findings": [finding.as_dict() for finding in result.findings],
    }
