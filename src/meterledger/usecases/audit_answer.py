"""What an audit is asked, and what it answers."""

from collections import Counter
from dataclasses import dataclass, field

from meterledger.domain import lateness
from meterledger.domain.billing_period import BillingPeriod
from meterledger.domain.instant import Instant
from meterledger.domain.lateness import Landing
from meterledger.domain.quantity import ZERO, Quantity
from meterledger.usecases.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOptions:
    """What the user asked for; a duration in microseconds, None for the config's."""

    grace_period: int | None = None
    periods: int = 1
    by_customer: bool = False
    as_of: bool = False
    """Whether the instant was asked for; else it is the clock's, which may not be behind the ledger."""
    customer: str | None = None
    meter: str | None = None


@dataclass(slots=True)
class Amount:
    """Usage events, and what they add up to."""

    events: int = 0
    quantity: Quantity = ZERO

    def add(self, events: int, quantity: Quantity) -> None:
        """Add more of them."""
        self.events += events
        self.quantity += quantity


@dataclass(slots=True)
class Entry:
    """One period, deadline and meter, or one customer of it."""

    period: BillingPeriod
    deadline: Instant
    event_name: str | None
    customer_id: str | None = None
    customers: int = 0
    unsettled: bool = False
    """Whether any of it is not accepted."""
    amounts: dict[Landing, Amount] = field(default_factory=lambda: {landing: Amount() for landing in Landing})


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayLine:
    """One kind of delay of one source and meter."""

    source: str
    event_name: str | None
    kind: str
    summary: lateness.DelaySummary


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What a grace period would have missed of a meter's ended periods, in seconds."""

    grace_period: int
    event_name: str | None
    missed: Amount


@dataclass(slots=True, kw_only=True)
class Audit:
    """The whole answer; durations in seconds."""

    as_of: Instant
    grace_period: int
    deadline_source: str
    verdict: str = "ok"
    recommended_grace_period: int | None = None
    rehearsed_lateness: int = 0
    deciding_sources: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    delays: list[DelayLine] = field(default_factory=list)
    what_if: list[WhatIf] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
