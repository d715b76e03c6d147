"""What goes together in one request: one meter event, or a batch of the stream."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from meterledger.domain.delivery import State
from meterledger.domain.meter_event import MeterEvent
from meterledger.domain.sending_order import Lane
from meterledger.domain.stream_batch import MAX_BATCH
from meterledger.domain.way import Way
from meterledger.ledger.outbox import StoredMeterEvent
from meterledger.usecases.planning import Planned
from meterledger.usecases.rolling_up import Sealed

Item = StoredMeterEvent | Planned | Sealed


def sealed_of(item: Item) -> MeterEvent:
    """Return the meter event of what was sealed before or is sealed now."""
    if item.sealed is None:
        raise AssertionError("unreachable: what is held back is not sent")
    return item.sealed


@dataclass(slots=True)
class _Packing:
    """Batches while they fill up, in the order in which they are to be sent."""

    is_ordered: Callable[[str], bool]
    packed: list[list[Item]] = field(default_factory=list)
    open: list[int] = field(default_factory=list)
    """Which of them are batches that take more."""
    resent: dict[str, int] = field(default_factory=dict)
    """Which of them is the batch that went under a key before."""
    last: dict[Lane, int] = field(default_factory=dict)
    """Where the latest event of an ordered lane is: the next one has to come behind it."""

    def put(self, item: Item) -> None:
        """Put one meter event where it belongs."""
        event = sealed_of(item)
        lane = (event.event_name, event.stripe_customer_id)
        ordered = self.is_ordered(event.event_name)
        behind = self.last.get(lane, -1) if ordered else -1
        at = self._place(item, event.way, behind)
        self.packed[at].append(item)
        if len(self.packed[at]) == MAX_BATCH and at in self.open:
            self.open.remove(at)
        if ordered:
            self.last[lane] = at

    def _place(self, item: Item, way: Way, behind: int) -> int:
        if way is not Way.STREAM:
            return self._new()
        if isinstance(item, StoredMeterEvent) and item.state is State.SENDING:
            at = self.resent.get(item.last_key)
            if at is None:
                self.resent[item.last_key] = self._new()
                return self.resent[item.last_key]
            if at > behind and len(self.packed[at]) < MAX_BATCH:
                return at
        for at in self.open:
            if at > behind:
                return at
        self.open.append(self._new())
        return self.open[-1]

    def _new(self) -> int:
        self.packed.append([])
        return len(self.packed) - 1


def pack(chunk: Sequence[Item], is_ordered: Callable[[str], bool]) -> list[list[Item]]:
    """
    Return what goes together, in the order in which it is to be sent.

    A batch whose outcome is unknown goes again as it was, as far as it is in the chunk. Of an ordered
    lane (a `last` or windowed meter, one customer) at most one event is in a batch, the earlier one first.
    """
    packing = _Packing(is_ordered)
    for item in chunk:
        packing.put(item)
    return packing.packed
