"""Findings about deadlines, from what was pulled from Stripe: what grace periods do not cover."""

from collections.abc import Callable, Iterator

from meterledger.config import Settings
from meterledger.config.duration import duration_text
from meterledger.domain.grace_cases import CaseFound, GraceCase, GraceQuestion, grace_cases
from meterledger.domain.instant import SECOND, Instant
from meterledger.ledger import Ledger
from meterledger.usecases.findings import Finding, Severity, counted

_NAMED = 100
"""Subscriptions and invoices that a finding names."""

_TOLD: dict[GraceCase, tuple[Severity, str]] = {
    GraceCase.FIRST_INVOICE: (
        "info",
        (
            "had a first invoice with usage from before it began; a first invoice is final at once, "
            "whatever the grace period"
        ),
    ),
    GraceCase.THRESHOLD_INVOICE: (
        "warning",
        "is billed at thresholds: such an invoice takes no usage that comes in its grace period",
    ),
    GraceCase.PRICE_CHANGED: (
        "warning",
        (
            "had its price changed in the middle of a period: its usage that is reported after the period's "
            "end is on no invoice, so that this end is the deadline"
        ),
    ),
    GraceCase.PRICE_CHANGE_PENDING: (
        "info",
        "has a change pending; if it changes the price in the middle of a period, grace does not hold for it",
    ),
    GraceCase.CANCELED_UNINVOICED: (
        "warning",
        "ended, and no invoice has its last usage: a cancelation at once bills it only with invoice_now",
    ),
    GraceCase.GRACE_NOT_SHORTER: (
        "warning",
        (
            "has billing periods that are not longer than the configured grace period; Stripe takes only a "
            "shorter one, so that another one holds"
        ),
    ),
    GraceCase.DRAFT_HELD_OPEN: (
        "warning",
        (
            "has a draft that does not finalize by itself (auto_advance is off, or it failed): it takes "
            "usage until a person finalizes it"
        ),
    ),
    GraceCase.DRAFT_DELETED: ("warning", "had its draft deleted: usage of its period is on no invoice"),
    GraceCase.DEADLINE_MOVED: ("info", "has a draft whose deadline was set by hand, or by `deadline extend`"),
}


def grace_findings(ledger: Ledger, settings: Settings, now: Instant) -> Iterator[Finding]:
    """Yield what grace does not cover, as it was known at an instant; nothing where nothing was pulled."""
    pull = ledger.subscriptions.latest_pull(now)
    if pull is None:
        return
    question = GraceQuestion(
        facts=ledger.subscriptions.facts(now),
        configured=configured_grace(ledger, settings, now),
        now=now,
        invoices_read=pull.invoices_read,
    )
    for found in grace_cases(question):
        yield _mismatch(found) if found.case is GraceCase.GRACE_MISMATCH else _case(found)


def configured_grace(ledger: Ledger, settings: Settings, now: Instant) -> Callable[[str, str], int]:
    """Return what answers with the configured grace period of (event name, Stripe customer)."""
    grace = settings.invoicing.grace
    own_ids: dict[str, set[str]] = {}
    if any(rule.customers for rule in grace.rules):
        for recorded in ledger.customers.states(now):
            own_ids.setdefault(recorded.state.stripe_customer_id, set()).add(recorded.state.customer_id)
    return lambda event_name, customer: grace.period_of(event_name, (customer, *own_ids.get(customer, ())))[0]


def _mismatch(found: CaseFound) -> Finding:
    observed, configured = found.observed_seconds or 0, found.configured_seconds or 0
    return Finding(
        code="grace_mismatch",
        severity="warning",
        message=f"Stripe lets {counted(len(found.invoices), 'draft')} ({found.billing_reason}) wait "
        f"{duration_text(observed * SECOND)} before it finalizes, but the configured grace period is "
        f"{duration_text(configured * SECOND)}: set grace_period below [invoicing], or the setting in Stripe",
        details={
            "billing_reason": found.billing_reason,
            "observed_seconds": observed,
            "configured_seconds": configured,
            "count": len(found.invoices),
            "invoices": list(found.invoices[:_NAMED]),
        },
    )


def _case(found: CaseFound) -> Finding:
    severity, message = _TOLD[found.case]
    return Finding(
        code=found.case.value,
        severity=severity,
        message=f"{counted(len(found.subscriptions), 'subscription')}: each {message}",
        details={
            "count": len(found.subscriptions),
            "subscriptions": list(found.subscriptions[:_NAMED]),
            "invoices": list(found.invoices[:_NAMED]),
        },
    )
