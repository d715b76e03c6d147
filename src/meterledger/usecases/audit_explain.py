"""The rows behind an audit's figures: a customer's usage events, and why each stands where it does."""

from collections.abc import Iterator
from dataclasses import dataclass

from meterledger.domain import lateness
from meterledger.domain.dues import Due
from meterledger.domain.instant import Instant, seconds_floor
from meterledger.domain.lateness import Condition, Landing, Rule
from meterledger.domain.meter_event import UsageToSeal
from meterledger.domain.quantity import Quantity
from meterledger.usecases.audit import Audited
from meterledger.usecases.audit_answer import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedUsage:
    """One usage event, where it came from, and why it counts where it does."""

    source: str
    file: str
    line: int
    request_id: str
    event_name: str | None
    quantity: Quantity
    event_time: Instant
    received_at: Instant | None
    recorded_at: Instant
    state: str
    """In the contract's words; what is not sealed and blocked is `blocked`."""
    accepted_from: Instant | None
    accepted_at: Instant | None
    """What the audit goes by, `accepted_by`; None where it is not accepted."""
    due: Due
    rule: Rule

    @property
    def landing(self) -> Landing:
        """Where it stands."""
        return self.rule.landing


def explained(whole: Audited, customer_id: str) -> Iterator[ExplainedUsage]:
    """Yield the usage events in scope of an audit of one customer, by event_time; its snapshot is open."""
    reading = whole.reading
    for row in reading.ledger.reports.usage_of_customer_as_known(customer_id, reading.now):
        event_name = row["event_name"] or reading.meter_name(row["feature"])
        if reading.options.meter not in (None, event_name):
            continue
        due = reading.dues.at(customer_id, row["subscription_id"], event_name, row["event_time"]).due
        quantity = Quantity(row["quantity"], row["scale"])
        usage = UsageToSeal(
            usage_event=0,
            source=row["source"],
            request_id=row["request_id"],
            customer_id=customer_id,
            subscription_id=row["subscription_id"],
            feature=row["feature"],
            quantity=quantity,
            event_time=row["event_time"],
            dimensions=None,
        )
        condition = reading.condition(row["state"], usage)
        if condition is None or due.period not in whole.periods:
            continue
        is_accepted = condition is Condition.ACCEPTED
        accepted_from, accepted_by = (
            (row["accepted_from"], row["accepted_by"]) if is_accepted else (None, None)
        )
        rule = lateness.judged(
            condition,
            reading.yardstick(due, whole.expected.get((row["source"], event_name), 0)),
            None if accepted_from is None else seconds_floor(accepted_from),
            None if accepted_by is None else seconds_floor(accepted_by),
        )
        is_blocked = condition is Condition.HELD and row["state"] == "unsealed"
        yield ExplainedUsage(
            source=row["source"],
            file=row["file"],
            line=row["line"],
            request_id=row["request_id"],
            event_name=event_name,
            quantity=quantity,
            event_time=row["event_time"],
            received_at=row["received_at"],
            recorded_at=row["recorded_at"],
            state="blocked" if is_blocked else row["state"],
            accepted_from=accepted_from,
            accepted_at=accepted_by,
            due=due,
            rule=rule,
        )


class Totals:
    """What explained usage events add up to: the audit's own entries, counted anew."""

    def __init__(self) -> None:
        self._entries: dict[tuple[object, ...], Entry] = {}

    def add(self, one: ExplainedUsage) -> None:
        """Add one usage event."""
        due = one.due
        key = (due.period, due.deadline, due.source, one.event_name or "")
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = Entry(
                due.period, due.deadline, due.source, one.event_name, customers=1
            )
        entry.amounts[one.landing].add(1, one.quantity)

    @property
    def entries(self) -> list[Entry]:
        """The entries, in the order of the audit."""
        return [self._entries[key] for key in sorted(self._entries)]
