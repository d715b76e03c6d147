"""Queueing: all that waits, in the lines of the order of sending; preview and push draw it from here."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from meterledger.domain.delivery import State
from meterledger.domain.instant import Instant
from meterledger.domain.meter_event import MeterEvent, UsageToSeal
from meterledger.domain.sending_order import Lane, Line, SendingOrder, Strand, runs_out_at
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
    _strands: dict[tuple[Lane, str, str | None], Strand] = field(default_factory=dict)
    """The strand of usage of a lane, customer and subscription: all of it is due alike."""
    _by_numbers: dict[tuple[int, str | None, int], Strand | Names] = field(default_factory=dict)
    """The strand of usage of a customer, subscription and feature; or its names, if its time decides."""
    _features: dict[int, str] = field(init=False)
    _customers: dict[int, tuple[str, bool]] = field(default_factory=dict)
    """customer_id, and whether who is billed for it never depends on when usage took place."""
    _others: list[_Other] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._order = SendingOrder(self.planner.now)
        self._features = self.planner.ledger.rollups.features()

    def __len__(self) -> int:
        """How much waits."""
        return len(self._order)

    def add_unsealed(self) -> None:
        """Let all unsealed usage wait, one to one."""
        strands = self._by_numbers
        for (
            number,
            customer,
            subscription,
            feature,
            event_time,
        ) in self.planner.ledger.unsealed.to_order(self.planner.as_of):
            strand = strands.get((customer, subscription, feature))
            if not isinstance(strand, Strand):
                strand = self.strand(customer, subscription, feature, event_time)
            strand.add(event_time, number)

    def add_usage(self, usage: UsageToSeal) -> None:
        """Let a usage event wait that is sealed still."""
        strand = self._strand_of((usage.customer_id, usage.subscription_id, usage.feature), usage.event_time)
        strand.add(usage.event_time, usage.usage_event)

    def add_other(self, event_time: Instant, other: _Other, lane: Lane, runs_out: Instant) -> None:
        """Let something else wait; it goes before usage of the same lane and event_time."""
        self._others.append(other)
        self._line(lane).judged.append((event_time, -len(self._others), runs_out))

    def strand(self, customer: int, subscription: str | None, feature: int, event_time: Instant) -> Strand:
        """Return the strand of usage, by the ledger's numbers."""
        numbers = (customer, subscription, feature)
        found = self._by_numbers.get(numbers)
        if found is None:
            customer_id, alike = self._customer(customer)
            names = (customer_id, subscription, self._features[feature])
            found = self._by_numbers[numbers] = self._strand_of(names, event_time) if alike else names
        return found if isinstance(found, Strand) else self._strand_of(found, event_time)

    def runs_out(
        self, customer: int, subscription: str | None, feature: int, first: Instant, latest: Instant
    ) -> Instant:
        """Return when the first or the latest of some usage runs out of time, by the ledger's numbers."""
        names = (self._customer(customer)[0], subscription, self._features[feature])
        runs_out, until = self._clock_of(names, first)
        return runs_out if latest < until else min(runs_out, self._clock_of(names, latest)[0])

    def runs_out_of(self, usage: Iterable[UsageToSeal]) -> Instant:
        """Return when the first of what a meter event carries runs out of time."""
        names = (((one.customer_id, one.subscription_id, one.feature), one.event_time) for one in usage)
        return min(self._clock_of(*one)[0] for one in names)

    def _clock_of(self, names: Names, event_time: Instant) -> tuple[Instant, Instant]:
        return runs_out_at(self.planner.due_at(*names, event_time), event_time, self.planner.now)

    def bills_alike(self, customer: int) -> bool:
        """Tell whether who is billed for a customer's usage never depends on when it took place."""
        return self._customer(customer)[1]

    def _customer(self, number: int) -> tuple[str, bool]:
        found = self._customers.get(number)
        if found is None:
            customer_id = self.planner.ledger.rollups.customer_id(number)
            found = self._customers[number] = customer_id, self.planner.bills_alike(customer_id)
        return found

    def _strand_of(self, names: Names, event_time: Instant) -> Strand:
        # What has no meter or Stripe customer is blocked: it stands in a line of its own and never goes.
        lane = self.planner.lane_at(*names, event_time) or ("", names[0])
        customer_id, subscription, _ = names
        found = self._strands.get((lane, customer_id, subscription))
        if found is None:
            found = self._line(lane).strand(partial(self.planner.due_at, *names))
            self._strands[lane, customer_id, subscription] = found
        return found

    def _line(self, lane: Lane) -> Line:
        line = self._by_lane.get(lane)
        if line is None:
            line = self._by_lane[lane] = self._order.line(lane)
        return line

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
        runs_out = queue.runs_out_of(queue.planner.ledger.outbox.usage_of(event.id))
        queue.add_other(event.sealed.event_time, event, lane_of(event.sealed), runs_out)


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
