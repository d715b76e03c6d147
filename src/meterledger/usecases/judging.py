"""
Judging in bulk: what becomes of unsealed usage, without sealing it.

The answer depends on customer, subscription, feature, and on which side of a few instants the event_time
lies. So it is asked once for each of these cases; each usage event by itself is looked at only where its
value or its place in an order matters.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from meterledger.domain.billing_period import calendar_month
from meterledger.domain.blocking import MAX_AGE, MAX_AHEAD, BlockReason
from meterledger.domain.foreign_usage import Lane
from meterledger.domain.instant import Instant
from meterledger.domain.meter import Meter
from meterledger.domain.quantity import Quantity
from meterledger.ledger.rollups import EVER

if TYPE_CHECKING:
    from meterledger.usecases.planning import Planner

MOST_CASES = 100_000
"""Remembered at once, half a KiB each; then they are asked again."""


@dataclass(slots=True, eq=False)
class Case:
    """What becomes of the usage of a customer, subscription and feature between two instants."""

    reason: BlockReason | None
    meter: Meter | None = None
    lane: Lane = ("", "")
    """Meter and Stripe customer, where it is not blocked."""
    in_doubt: bool = False
    """An earlier event of an ordered lane is: this usage waits, if nothing blocks it."""
    past_deadline: bool = False
    """Of a period whose invoice should be final by now."""
    one_by_one: bool = False
    """Each usage event is looked at: its value, or its place in the order, may block it."""


class Judged(NamedTuple):
    """One usage event by its number; its quantity as units and scale; blocked if there is a reason."""

    usage_event: int
    event_time: Instant
    units: int
    scale: int
    case: Case
    reason: BlockReason | None
    import_: int


@dataclass(slots=True)
class Judge:
    """Judges as a planner does, by what it knows now."""

    planner: "Planner"
    anew: Sequence[int] = ()
    """Meter events that are to be sealed anew: their usage counts as unsealed."""
    _features: dict[int, str] = field(init=False)
    _customers: dict[int, tuple[str, list[Instant]]] = field(init=False, default_factory=dict)
    """Number of a customer -> its customer_id, and the instants that its cases lie between."""
    _cases: dict[tuple[int, str | None, int, int], Case] = field(init=False, default_factory=dict)
    _cuts: list[Instant] = field(init=False)

    def __post_init__(self) -> None:
        self._features = self.planner.ledger.rollups.features()
        self._cuts = _cuts(self.planner.now)

    def __iter__(self) -> Iterator[Judged]:
        """Yield all unsealed usage, as it stands in the ledger."""
        planner, cases, customers = self.planner, self._cases, self._customers
        rows = planner.ledger.rollups.usage(EVER, planner.as_of, self.anew)
        for number, customer, subscription, feature, units, scale, at, _, import_ in rows:
            known = customers.get(customer) or self._learn(customer)
            key = (customer, subscription, feature, bisect_right(known[1], at))
            case = cases.get(key)
            if case is None:
                if len(cases) >= MOST_CASES:
                    cases.clear()
                    customers.clear()
                case = cases[key] = self._ask(known[0], subscription, self._features[feature], at)
            reason = case.reason
            if case.one_by_one and case.meter is not None:
                reason = planner.block_of_one(case.meter, case.lane[1], at, Quantity(units, scale))
            yield Judged(number, at, units, scale, case, reason, import_)

    def _learn(self, customer: int) -> tuple[str, list[Instant]]:
        name = self.planner.ledger.rollups.customer_id(customer)
        changes = self.planner.changes_of(name)
        known = self._customers[customer] = (name, sorted({*self._cuts, *changes}) if changes else self._cuts)
        return known

    def _ask(self, customer_id: str, subscription_id: str | None, feature: str, at: Instant) -> Case:
        planner = self.planner
        billed, reason = planner.judge(customer_id, subscription_id, feature, at)
        meter = planner.settings.catalogue.meter_of(feature)
        if reason is not None or meter is None or isinstance(billed, BlockReason):
            return Case(reason)
        lane = (meter.event_name, billed)
        return Case(
            None,
            meter,
            lane,
            # A case that is not blocked lies within one month.
            past_deadline=planner.is_past_deadline(at),
            in_doubt=planner.waits_in_lane(meter, billed),
            one_by_one=planner.looks_at_each(meter),
        )


def _cuts(now: Instant) -> list[Instant]:
    """Return the instants at which an answer can change that depends on event_time and clock alone."""
    oldest, latest = now - MAX_AGE, now + MAX_AHEAD
    cuts = [oldest]
    month = calendar_month(oldest)
    while month.end <= latest:
        cuts.append(month.end)
        month = calendar_month(month.end)
    return [*cuts, latest + 1]
