"""What an audit is asked, and what it answers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meterledger.domain import lateness
from meterledger.domain.billing_period import BillingPeriod
from meterledger.domain.dues import DeadlineSource
from meterledger.domain.instant import Instant
from meterledger.domain.lateness import Landing
from meterledger.domain.quantity import ZERO, Quantity
from meterledger.usecases.findings import Finding

if TYPE_CHECKING:
    from meterledger.usecases.forecast_answer import Forecasted


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOptions:
    """What the user asked for; a duration in microseconds, None for the config's."""

    grace_period: int | None = None
    """In place of the config's, rules included; what is known of draft invoices counts all the same."""
    periods: int = 1
    by_customer: bool = False
    by_source: bool = False
    as_of: bool = False
    """Whether the instant was asked for; else it is the clock's, which may not be behind the ledger."""
    customer: str | None = None
    meter: str | None = None
    push_every: int | None = None
    """How often a push runs, for the forecast; else what the pushes of the ledger tell."""


@dataclass(slots=True)
class Amount:
    """Usage events, and what they add up to."""

    events: int = 0
    quantity: Quantity = ZERO

    def add(self, events: int, quantity: Quantity) -> None:
        """Add more of them."""
        if events:
            self.events += events
            self.quantity += quantity


def _amounts() -> dict[Landing, Amount]:
    return {landing: Amount() for landing in Landing}


@dataclass(slots=True)
class Entry:
    """One period, deadline and meter, or one customer or source of it."""

    period: BillingPeriod
    deadline: Instant
    """`dues.NEVER` where the draft is held open."""
    deadline_source: DeadlineSource
    event_name: str | None
    customer_id: str | None = None
    """With --by customer alone."""
    source: str | None = None
    """With --by source alone."""
    customers: int = 0
    amounts: dict[Landing, Amount] = field(default_factory=_amounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayLine:
    """One kind of delay of one source and meter."""

    source: str
    event_name: str | None
    kind: str
    summary: lateness.DelaySummary
    histogram: Sequence[int] = ()
    """How many delays lie in each bin of `lateness.BIN_EDGES`, and at last how many beyond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What a grace period would have missed of a meter's ended periods, in seconds."""

    grace_period: int
    event_name: str | None
    missed: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedCurve:
    """What each hour of grace period would have missed of a meter's ended periods in scope."""

    event_name: str | None
    usage: Amount
    """All of it, but for what is left out of delays."""
    missed: Sequence[Amount]
    """By whole hours of grace period, from 0 to 72; an amount never grows from one to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAmounts:
    """Where the usage of one source and meter stands, over all periods in scope."""

    source: str
    event_name: str | None
    amounts: Mapping[Landing, Amount] = field(default_factory=_amounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerAtRisk:
    """A customer's usage of one period and meter of which some is at risk or missed."""

    customer_id: str
    period: BillingPeriod
    deadline: Instant
    event_name: str | None
    amounts: Mapping[Landing, Amount] = field(default_factory=_amounts)


@dataclass(slots=True, kw_only=True)
class Audit:
    """The whole answer; durations in seconds."""

    as_of: Instant
    grace_period: int
    verdict: str = "ok"
    samples: int = 0
    """Usage events that say something about delays."""
    recommended_grace_period: int | None = None
    rehearsed_lateness: int = 0
    deciding_sources: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    delays: list[DelayLine] = field(default_factory=list)
    what_if: list[WhatIf] = field(default_factory=list)
    missed_curves: list[MissedCurve] = field(default_factory=list)
    sources: list[SourceAmounts] = field(default_factory=list)
    customers_at_risk: list[CustomerAtRisk] = field(default_factory=list)
    """Those with missed usage first, then by deadline."""
    left_out: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    forecasts: "list[Forecasted]" = field(default_factory=list)
    """One for each period and meter whose deadline is ahead."""
