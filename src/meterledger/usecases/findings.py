"""Findings: what a report has to say besides its numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding: a stable code, how much it matters, one line for people, and its figures."""

    code: str
    severity: Severity
    message: str
    details: Mapping[str, object] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON shows it."""
        return {"code": self.code, "severity": self.severity, "message": self.message, **self.details}


def weightiest_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order in which people should read them."""
    weight = ("error", "warning", "info")
    return sorted(findings, key=lambda one: weight.index(one.severity))


def period_assumed(assumed: int = 0, customers: int = 0) -> Finding:
    """
    Say that periods are taken for calendar months without anybody having said so.

    Args:
        assumed: Of how many customers, where that is known; JSON has both counts then.
        customers: Of how many that were looked at.
    """
    message = (
        "billing periods are assumed to be calendar months in UTC; if they are, say so in the "
        'config: anchors = "calendar" below [invoicing]'
    )
    if assumed < customers:
        message = (
            f"billing periods of {assumed:,} of {counted(customers, 'customer')} are assumed to be calendar "
            "months in UTC: a customers file or `meterledger customers pull` says when they begin"
        )
    return Finding(
        code="period_assumed",
        severity="info",
        message=message,
        details={"assumed": assumed, "customers": customers} if customers else {},
    )


def counted(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun: ``1 usage event``, ``2,000 usage events``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
