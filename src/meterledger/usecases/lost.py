"""
What was lost: usage of closed periods that is on no invoice, usage event by usage event or by customer.

It is what the audit calls missed, judged by the same rules. Usage whose outcome is not known may be on its
invoice: it stands apart, and is never called lost.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from meterledger.domain import lateness
from meterledger.domain.dues import Due
from meterledger.domain.instant import Instant, seconds_floor
from meterledger.domain.lateness import Condition, Landing, Rule
from meterledger.domain.meter_event import UsageToSeal
from meterledger.domain.quantity import Quantity
from meterledger.ledger.database import Row
from meterledger.usecases.audit import Audited
from meterledger.usecases.audit_answer import Amount
from meterledger.usecases.audit_reading import Reading


class Outcome(StrEnum):
    """What became of usage whose deadline is over."""

    ACCEPTED_LATE = "accepted_late"
    """Stripe took it, and bills it never."""
    NEVER_ACCEPTED = "never_accepted"
    MAY_BE_ON_IT = "may_be_on_it"
    """Stripe may have taken it in time: not known, and so not lost for certain."""


_OUTCOMES = {
    Rule.LATE: Outcome.ACCEPTED_LATE,
    Rule.NEVER_CAME: Outcome.NEVER_ACCEPTED,
    Rule.UNKNOWN: Outcome.MAY_BE_ON_IT,
    Rule.STRADDLES: Outcome.MAY_BE_ON_IT,
}
_REASONS = {Rule.LATE: "accepted_late", Rule.STRADDLES: "straddles"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LostUsage:
    """One usage event that missed its invoice, or may have, and where it came from."""

    outcome: Outcome
    reason: str
    """`accepted_late`, `unsent`, `blocked: REASON`, `rejected: CODE`, `unknown`, `in_doubt`, `straddles`."""
    source: str
    file: str
    line: int
    request_id: str
    customer_id: str
    stripe_customer_id: str | None
    subscription_id: str | None
    event_name: str | None
    feature: str
    quantity: Quantity
    event_time: Instant
    received_at: Instant | None
    recorded_at: Instant
    accepted_at: Instant | None
    identifier: str | None
    due: Due


@dataclass(slots=True, kw_only=True)
class LostLine:
    """What one customer's usage of a feature in a period comes to."""

    customer_id: str
    stripe_customer_id: str | None
    subscription_id: str | None
    event_name: str | None
    feature: str
    due: Due
    first_event_time: Instant
    last_event_time: Instant
    amounts: dict[Outcome, Amount] = field(default_factory=lambda: {one: Amount() for one in Outcome})
    reasons: dict[Outcome, Counter[str]] = field(default_factory=lambda: {one: Counter() for one in Outcome})
    """Usage events by reason."""

    @property
    def lost(self) -> Amount:
        """What is on no invoice for certain."""
        total = Amount()
        for outcome in (Outcome.ACCEPTED_LATE, Outcome.NEVER_ACCEPTED):
            total.add(self.amounts[outcome].events, self.amounts[outcome].quantity)
        return total


def lost_usage(whole: Audited) -> Iterator[LostUsage]:
    """Yield what an audit's scope has lost, or may have, by customer and event_time; its snapshot is open."""
    reading = whole.reading
    now = seconds_floor(reading.now)
    over = [
        entry
        for entry in whole.audit.entries
        if seconds_floor(entry.deadline) < now
        and (entry.amounts[Landing.MISSED].events or entry.amounts[Landing.AT_RISK].events)
    ]
    if not over:
        return
    rows = reading.ledger.reports.usage_behind_its_deadline(
        deadline=min(entry.deadline for entry in over),
        before=max(entry.period.end for entry in over),
        as_of=reading.now,
    )
    for row in rows:
        one = _judged(whole, row)
        if one is not None:
            yield one


def lost_lines(usage: Iterable[LostUsage]) -> list[LostLine]:
    """Add lost usage up by customer, subscription, feature, period and deadline, in this order."""
    lines: dict[tuple[object, ...], LostLine] = {}
    for one in usage:
        key = (
            one.customer_id,
            one.stripe_customer_id or "",
            one.subscription_id or "",
            one.event_name or "",
            one.feature,
            one.due.period,
            one.due.deadline,
        )
        line = lines.get(key)
        if line is None:
            line = lines[key] = LostLine(
                customer_id=one.customer_id,
                stripe_customer_id=one.stripe_customer_id,
                subscription_id=one.subscription_id,
                event_name=one.event_name,
                feature=one.feature,
                due=one.due,
                first_event_time=one.event_time,
                last_event_time=one.event_time,
            )
        line.first_event_time = min(line.first_event_time, one.event_time)
        line.last_event_time = max(line.last_event_time, one.event_time)
        line.amounts[one.outcome].add(1, one.quantity)
        line.reasons[one.outcome][one.reason] += 1
    return [lines[key] for key in sorted(lines)]


def _judged(whole: Audited, row: Row) -> LostUsage | None:
    """Return a usage event, if it is lost or may be; None if it is not, or not in the audit."""
    reading = whole.reading
    event_name = row["event_name"] or reading.meter_name(row["feature"])
    customer_id, options = row["customer_id"], reading.options
    if options.customer not in (None, customer_id) or options.meter not in (None, event_name):
        return None
    due = reading.dues.at(customer_id, row["subscription_id"], event_name, row["event_time"]).due
    usage = UsageToSeal(
        usage_event=0,
        source=row["source"],
        request_id=row["request_id"],
        customer_id=customer_id,
        subscription_id=row["subscription_id"],
        feature=row["feature"],
        quantity=Quantity(row["quantity"], row["scale"]),
        event_time=row["event_time"],
        dimensions=None,
    )
    condition = reading.condition(row["state"], usage)
    yardstick = reading.yardstick(due)
    if condition is None or due.period not in whole.periods or yardstick.now <= yardstick.deadline:
        return None
    accepted_from, accepted_by = (
        (row["accepted_from"], row["accepted_by"]) if condition is Condition.ACCEPTED else (None, None)
    )
    rule = lateness.judged(
        condition,
        yardstick,
        None if accepted_from is None else seconds_floor(accepted_from),
        None if accepted_by is None else seconds_floor(accepted_by),
    )
    outcome = _OUTCOMES.get(rule)
    if outcome is None:
        return None
    return LostUsage(
        outcome=outcome,
        reason=_reason(reading, rule, row, usage),
        source=usage.source,
        file=row["file"],
        line=row["line"],
        request_id=usage.request_id,
        customer_id=customer_id,
        stripe_customer_id=row["stripe_customer_id"] or _billed(reading, usage),
        subscription_id=usage.subscription_id,
        event_name=event_name,
        feature=usage.feature,
        quantity=usage.quantity,
        event_time=usage.event_time,
        received_at=row["received_at"],
        recorded_at=row["recorded_at"],
        accepted_at=accepted_by,
        identifier=row["identifier"],
        due=due,
    )


def _billed(reading: Reading, usage: UsageToSeal) -> str | None:
    """Return the Stripe customer of usage that was never sealed; None where there is not exactly one."""
    lane = reading.planner.lane_of(usage)
    return None if lane is None else lane[1]


def _reason(reading: Reading, rule: Rule, row: Row, usage: UsageToSeal) -> str:
    if rule in _REASONS:
        return _REASONS[rule]
    match row["state"]:
        case "sending":
            return "unknown"
        case "rejected":
            return f"rejected: {row['rejection_code'] or ''}"
        case "unsealed":
            blocked = reading.planner.standing_of(usage)
            return f"blocked: {blocked.value}" if blocked else "unsent"
        case "pending":
            return "unsent"
        case state:
            return str(state)
