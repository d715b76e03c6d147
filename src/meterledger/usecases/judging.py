"""
Judging in bulk: what becomes of unsealed usage, without sealing it.

The answer depends on customer, subscription, feature, and on the stretch of time that the event_time lies
in: one billing period, in which nothing of the customer changes. So it is asked once for each of these cases;
each usage event by itself is looked at only where its value or its place in an order matters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from meterledger.domain.blocking import MAX_AGE, MAX_AHEAD, BlockReason
from meterledger.domain.dues import Due
from meterledger.domain.instant import Instant
from meterledger.domain.meter import Meter
from meterledger.domain.quantity import Quantity
from meterledger.domain.sending_order import Lane
from meterledger.domain.way import Way, is_positive_integer
from meterledger.ledger.rollups import EVER

if TYPE_CHECKING:
    from meterledger.usecases.planning import Planner

MOST_CASES = 100_000
"""Remembered at once, half a KiB each; then they are asked again."""


@dataclass(slots=True, eq=False)
class Case:
    """What becomes of the usage of a customer, subscription and feature from ``start`` to before ``end``."""

    start: Instant
    end: Instant
    assumes_period: bool
    """Whether its billing period is only assumed."""
    reason: BlockReason | None
    meter: Meter | None = None
    lane: Lane = ("", "")
    """Meter and Stripe customer, where it is not blocked."""
    sealed_due: Due | None = None
    """That of its meter event."""
    in_doubt: bool = False
    """An earlier event of an ordered lane is: this usage waits, if nothing blocks it."""
    in_order: bool = False
    """The place of each usage event in the order may block it."""


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
    _customers: dict[int, str] = field(init=False, default_factory=dict)
    """Number of a customer -> its customer_id."""
    _cases: dict[tuple[int, str | None, int], list[Case]] = field(init=False, default_factory=dict)
    _asked: int = 0
    """How many cases are remembered."""

    def __post_init__(self) -> None:
        self._features = self.planner.ledger.rollups.features()

    def __iter__(self) -> Iterator[Judged]:
        """Yield all unsealed usage, as it stands in the ledger."""
        planner, cases = self.planner, self._cases
        any_value = planner.way is Way.V1
        rows = planner.ledger.rollups.usage(EVER, planner.as_of, self.anew)
        for number, customer, subscription, feature, units, scale, at, _, import_ in rows:
            names = (customer, subscription, feature)
            for case in cases.get(names, ()):
                if case.start <= at < case.end:
                    break
            else:
                case = self._ask(names, at)
            reason = case.reason
            if case.meter is not None:
                if case.in_order:
                    reason = planner.block_of_one(case.meter, case.lane[1], at, Quantity(units, scale))
                elif not any_value and not is_positive_integer(units, scale):
                    reason = BlockReason.VALUE_NEEDS_V1
            yield Judged(number, at, units, scale, case, reason, import_)

    def _ask(self, names: tuple[int, str | None, int], at: Instant) -> Case:
        if self._asked >= MOST_CASES:
            self._asked = 0
            self._cases.clear()
            self._customers.clear()
        customer, subscription, feature = names
        customer_id = self._customers.get(customer)
        if customer_id is None:
            customer_id = self._customers[customer] = self.planner.ledger.rollups.customer_id(customer)
        case = self._judged(customer_id, subscription, self._features[feature], at)
        # The latest first: usage mostly comes in order.
        self._cases.setdefault(names, []).insert(0, case)
        self._asked += 1
        return case

    def _judged(self, customer_id: str, subscription: str | None, feature: str, at: Instant) -> Case:
        planner = self.planner
        due = planner.due_at(customer_id, subscription, feature, at)
        start, end = _between_cuts(planner.now, at)
        start, end = max(start, due.start), min(end, due.end)
        assumes_period = not due.due.dates_known
        billed, reason = planner.judge(customer_id, subscription, feature, at)
        meter = planner.settings.catalogue.meter_of(feature)
        if reason is not None or meter is None or isinstance(billed, BlockReason):
            return Case(start, end, assumes_period, reason)
        sealed = planner.due_of_sealed(billed, meter.event_name, at)
        return Case(
            max(start, sealed.start),
            min(end, sealed.end),
            assumes_period,
            None,
            meter,
            (meter.event_name, billed),
            sealed.due,
            in_doubt=planner.waits_in_lane(meter, billed),
            in_order=meter.is_ordered,
        )


def _between_cuts(now: Instant, at: Instant) -> tuple[Instant, Instant]:
    """Return the time around an instant in which the clock alone changes nothing."""
    oldest, latest = now - MAX_AGE, now + MAX_AHEAD
    if at < oldest:
        return EVER, oldest
    return (oldest, latest + 1) if at <= latest else (latest + 1, -EVER)
