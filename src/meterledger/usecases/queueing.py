"""Queueing: all that waits, in the lines of the order of sending; preview and push draw it from here."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from meterledger.domain.billing_period import CALENDAR_MONTHS
from meterledger.domain.delivery import State
from meterledger.domain.instant import Instant
from meterledger.domain.meter_event import MeterEvent, UsageToSeal
from meterledger.domain.sending_order import Lane, Line, SendingOrder
from meterledger.ledger.outbox import StoredMeterEvent
from meterledger.usecases.planning import Planner

_Other = TypeVar("_Other")

Names = tuple[str, str | None, str]
"""customer_id, subscription and feature of usage."""


class Single(NamedTuple):
    """A usage event that goes one to one."""

    event_time: Instant
    usage_event: int


@dataclass(slots=True)
class Queue(Generic[_Other]):
    """What waits: usage events by their numbers, and other things that take their turn among them."""

    planner: Planner
    _order: SendingOrder = field(init=False)
    _by_lane: dict[Lane, Line] = field(default_factory=dict)
    _by_numbers: dict[tuple[int, str | None, int], Line | Names] = field(default_factory=dict)
    """The line of usage of a customer, subscription and feature; or its names, if its time decides."""
    _features: dict[int, str] = field(init=False)
    _customers: dict[int, tuple[str, bool]] = field(default_factory=dict)
    """customer_id, and whether who is billed for it never depends on when usage took place."""
    _others: list[_Other] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._order = SendingOrder(self.planner.now, self.planner.settings.invoicing.grace_period)
        self._features = self.planner.ledger.rollups.features()

    def __len__(self) -> int:
        """How much waits."""
        return len(self._order)

    def add_unsealed(self) -> None:
        """Let all unsealed usage wait, one to one."""
        lines = self._by_numbers
        for (
            number,
            customer,
            subscription,
            feature,
            event_time,
        ) in self.planner.ledger.unsealed.to_order(self.planner.as_of):
            line = lines.get((customer, subscription, feature))
            if not isinstance(line, Line):
                line = self.line(customer, subscription, feature, event_time)
            line.add(event_time, number)

    def add_usage(self, usage: UsageToSeal) -> None:
        """Let a usage event wait that is sealed still."""
        line = self._line_of((usage.customer_id, usage.subscription_id, usage.feature), usage.event_time)
        line.add(usage.event_time, usage.usage_event)

    def add_other(self, event_time: Instant, other: _Other, line: Line) -> None:
        """Let something else wait; it goes before usage of the same line and event_time."""
        self._others.append(other)
        line.add(event_time, -len(self._others))

    def lane(self, lane: Lane) -> Line:
        """Return the line of a lane."""
        line = self._by_lane.get(lane)
        if line is None:
            cycles = self.planner.cycles_of(lane[1]) or (CALENDAR_MONTHS,)
            line = self._by_lane[lane] = self._order.line(lane, cycles)
        return line

    def line(self, customer: int, subscription: str | None, feature: int, event_time: Instant) -> Line:
        """Return the line of usage, by the ledger's numbers."""
        numbers = (customer, subscription, feature)
        found = self._by_numbers.get(numbers)
        if found is None:
            customer_id, alike = self._customer(customer)
            names = (customer_id, subscription, self._features[feature])
            found = self._by_numbers[numbers] = self._line_of(names, event_time) if alike else names
        return found if isinstance(found, Line) else self._line_of(found, event_time)

    def bills_alike(self, customer: int) -> bool:
        """Tell whether who is billed for a customer's usage never depends on when it took place."""
        return self._customer(customer)[1]

    def _customer(self, number: int) -> tuple[str, bool]:
        found = self._customers.get(number)
        if found is None:
            customer_id = self.planner.ledger.rollups.customer_id(number)
            found = self._customers[number] = customer_id, self.planner.bills_alike(customer_id)
        return found

    def _line_of(self, names: Names, event_time: Instant) -> Line:
        # What has no meter or Stripe customer is blocked: it stands in a line of its own and never goes.
        return self.lane(self.planner.lane_at(*names, event_time) or ("", names[0]))

    def draw(self, take_place: Callable[[Lane], bool]) -> "Iterator[Single | _Other | None]":
        """Yield what waits in the order of sending; None where only lanes are left that may have no more."""
        for one in self._order.draw(take_place):
            if one is None:
                yield None
            elif one[1] < 0:
                yield self._others[-one[1] - 1]
            else:
                yield Single(*one)


def lane_of(event: MeterEvent) -> Lane:
    """Return meter and Stripe customer of what is sealed."""
    return event.event_name, event.stripe_customer_id


def queue_pending(queue: "Queue[StoredMeterEvent | _Other]", resend: Iterable[StoredMeterEvent]) -> None:
    """
    Let what was sealed and certainly not taken wait among the rest.

    On ordered meters an older event that came in meanwhile goes before it.
    """
    pending = [event for event in resend if event.state is State.PENDING]
    # Of two with one event_time the one added later goes first.
    for event in reversed(pending):
        queue.add_other(event.sealed.event_time, event, queue.lane(lane_of(event.sealed)))


def unknown_first(resend: Sequence[StoredMeterEvent]) -> Iterator[StoredMeterEvent]:
    """Yield what has an unknown outcome: its time to be sent again is running out."""
    # What went together goes together again.
    together: dict[str, list[StoredMeterEvent]] = {}
    for event in resend:
        if event.state is State.SENDING:
            together.setdefault(event.last_key, []).append(event)
    for events in together.values():
        yield from events


def always_a_place(_lane: Lane) -> bool:
    """Let any lane have more."""
    return True
