"""Audits of a ledger at an instant, and what they found in short."""

from meterledger.domain.instant import parse_instant
from meterledger.usecases.audit import Audit, AuditOptions, audit
from support.delivered_ledger import LedgerBuilder


def audited(built: LedgerBuilder, now: str, **options: object) -> Audit:
    """Audit at an instant."""
    return audit(built.ledger, built.settings, AuditOptions(**options), now=parse_instant(now))  # type: ignore[arg-type] # options by name


def landings(result: Audit) -> dict[str, int]:
    """Return how many usage events stand where, over all entries; what is nowhere is left out."""
    counts: dict[str, int] = {}
    for entry in result.entries:
        for where, amount in entry.amounts.items():
            if amount.events:
                counts[where.value] = counts.get(where.value, 0) + amount.events
    return counts


def codes(result: Audit) -> set[str]:
    """Return the codes of the findings."""
    return {finding.code for finding in result.findings}
