"""
Rolling up: unsealed usage grouped into the windows that one meter event each is sealed for.

Preview and push take the same groups from here. Usage is read once and grouped in memory by numbers of
the ledger, eight bytes a usage event; what depends on its time alone is asked once for each group, and
for each usage event only where the answer differs within one.
"""

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from meterledger.domain.blocking import BlockReason
from meterledger.domain.instant import Instant
from meterledger.domain.meter_event import MeterEvent
from meterledger.domain.quantity import Quantity, exact_sum, fits_one_value
from meterledger.domain.rollup import Part, UsageWindow, seal_rolled_up, split_into_parts
from meterledger.domain.sending_order import Lane
from meterledger.domain.way import Way, is_positive_integer
from meterledger.ledger.outbox import StoredMeterEvent
from meterledger.ledger.rollups import EVER, LATEST
from meterledger.usecases.planning import Hold, Planner
from meterledger.usecases.queueing import Queue, Single, always_a_place, queue_pending

MOST_BUCKETS = 100_000
"""Gathered in one reading, half a KiB each; windows that do not fit are left to another reading."""

_ANY_LANE: Lane = ("", "")
_Key = tuple[int, str | None, int, int, str | None, bool, int]
"""Customer, subscription, feature, scale, dimensions, whether the way takes the value, and between which
changes of the customer it lies: what becomes of it depends on nothing else but its event_time."""


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Usage events, by their numbers, that are not sealed now, and why; ``ready_at`` if they only settle."""

    event_time: Instant
    usage_events: Sequence[int]
    reason: BlockReason | Hold
    ready_at: Instant = 0


@dataclass(slots=True)
class Gathered:
    """Usage events by their numbers, their sum by scale, their first and latest event_time."""

    usage_events: "array[int]"
    units: dict[int, int]
    first: Instant
    latest: Instant

    def join(self, other: "Gathered") -> None:
        """Take in others."""
        self.usage_events.extend(other.usage_events)
        for scale, units in other.units.items():
            self.units[scale] = self.units.get(scale, 0) + units
        self.first, self.latest = min(self.first, other.first), max(self.latest, other.latest)


@dataclass(frozen=True, slots=True)
class Group:
    """The usage of one window that is sealed now."""

    where: UsageWindow
    usage: Gathered

    @property
    def event_time(self) -> Instant:
        """The latest it holds."""
        return self.usage.latest


Item = Single | HeldBack | Group


@dataclass(frozen=True, slots=True)
class Sealed:
    """A rolled-up meter event and the usage events that it carries, by their numbers."""

    usage_events: Sequence[int]
    sealed: MeterEvent


@dataclass(slots=True)
class _Bucket:
    """Usage of one key and raw window: its numbers, sum and first and latest event_time."""

    first: Instant
    latest: Instant
    units: int = 0
    usage_events: "array[int]" = field(default_factory=lambda: array("q"))


_Buckets = defaultdict[Instant, dict[_Key, _Bucket]]
"""Start of the raw window -> its buckets."""
_Placed = UsageWindow | BlockReason | None


@dataclass(frozen=True, slots=True)
class _Window:
    """What may go into one meter event is in one of these: a raw window of one lane, or of all of them."""

    buckets: list[_Bucket]


@dataclass(slots=True)
class RollUp:
    """What is unsealed, grouped; read when it is made, judged when it is drawn, and drawn once."""

    planner: Planner
    anew: Sequence[int] = ()
    """Meter events that are to be sealed anew: their usage counts as unsealed."""
    most_buckets: int = MOST_BUCKETS
    _queue: Queue[StoredMeterEvent | _Window] = field(init=False)
    _lengths: dict[tuple[int, str | None, int], int] = field(default_factory=dict)
    """Of the windows of a customer, subscription and feature; 0 where usage goes one to one."""
    _features: dict[int, str] = field(init=False)
    _buckets: _Buckets = field(default_factory=lambda: defaultdict(dict))
    _changes: dict[int, list[Instant]] = field(default_factory=dict)
    _until: Instant = LATEST
    """What begins here or later is read again when the rest is done."""

    def __post_init__(self) -> None:
        self._queue = Queue(self.planner)
        self._features = self.planner.ledger.rollups.features()
        self._read(EVER)

    def __len__(self) -> int:
        """How many usage events and buckets were found at first: what there is to do, about."""
        return len(self._queue) + sum(map(len, self._buckets.values()))

    def items(
        self, resend: Iterable[StoredMeterEvent] = (), take_place: Callable[[Lane], bool] = always_a_place
    ) -> Iterator[StoredMeterEvent | Item | None]:
        """
        Yield all that is unsealed, and what was sealed and not taken, in the order in which it is sent.

        A window has its turn as what it begins with. Windows that did not fit into memory come after all
        that did. None is yielded where only lanes are left that may have no more.
        """
        queue_pending(self._queue, resend)
        while True:
            self._queue_windows()
            for one in self._queue.draw(take_place):
                if isinstance(one, _Window):
                    yield from self._window(one.buckets)
                else:
                    yield one
            if self._until == LATEST:
                return
            self._queue = Queue(self.planner)
            self._read(self._until)

    def seal(self, group: Group) -> list[Sealed]:
        """Seal a group for its window's next revision; nothing if it may not go any more."""
        usage = group.usage
        if not self.planner.may_go(group.where, (usage.first, usage.latest)):
            return []
        rollups = self.planner.ledger.rollups
        total = exact_sum(usage.units)
        if fits_one_value(*total):
            parts = [Part(usage_events=usage.usage_events, total=Quantity(*total), latest=usage.latest)]
        else:
            parts = list(split_into_parts(map(rollups.usage_event, usage.usage_events)))
        revision = rollups.next_revision(group.where, self.planner.as_of, self.anew)
        way = self.planner.way
        return [
            Sealed(
                part.usage_events,
                replace(
                    seal_rolled_up(group.where, part.total, part.latest, part=number, revision=revision),
                    way=way,
                ),
            )
            for number, part in enumerate(parts)
        ]

    def _read(self, since: Instant) -> None:
        """Gather the buckets of the windows from ``since`` on, as many as fit."""
        buckets, self._until = self._buckets, LATEST
        buckets.clear()
        lengths = self._lengths
        rollups = self.planner.ledger.rollups
        keeping = rollups.keeping_identifiers()
        rows = rollups.usage(since, self.planner.as_of, self.anew)
        any_value, changes = self.planner.way is Way.V1, self._changes
        count = 0
        for number, customer, subscription, feature, units, scale, at, dimensions, import_ in rows:
            names = customer, subscription, feature
            length = lengths[names] if names in lengths else self._length(*names, at)
            if not length or import_ in keeping:
                if since == EVER:
                    self._queue.strand(*names, at).add(at, number)
                continue
            start = at - at % length
            if start < since or start >= self._until:
                continue
            taken = any_value or is_positive_integer(units, scale)
            cuts = changes.get(customer)
            if cuts is None:
                cuts = self._learn(customer)
            key = (
                customer,
                subscription,
                feature,
                scale,
                dimensions,
                taken,
                bisect_right(cuts, at),
            )
            window = buckets[start]
            bucket = window.get(key)
            if bucket is None:
                bucket = window[key] = _Bucket(at, at)
                count += 1
                if count > self.most_buckets:
                    count = self._leave_later_windows()
            bucket.usage_events.append(number)
            bucket.units += units
            if at > bucket.latest:
                bucket.latest = at
            elif at < bucket.first:
                bucket.first = at

    def _length(self, customer: int, subscription: str | None, feature: int, at: Instant) -> int:
        meter = self.planner.settings.catalogue.meter_of(self._features[feature])
        length = meter.rollup.length if meter else 0
        if length and self._queue.bills_alike(customer):
            lane = self._queue.strand(customer, subscription, feature, at).line.lane
            # Where nobody is billed it is blocked; where the periods are not known it goes one to one.
            if lane[0] and self.planner.cycles_of(lane[1]) is None:
                length = 0
        self._lengths[customer, subscription, feature] = length
        return length

    def _learn(self, customer: int) -> list[Instant]:
        """Remember the changes of a customer, of so many customers at once as buckets are gathered."""
        if len(self._changes) >= MOST_BUCKETS:
            self._changes.clear()
        changes = self.planner.changes_of(self.planner.ledger.rollups.customer_id(customer))
        self._changes[customer] = changes
        return changes

    def _leave_later_windows(self) -> int:
        """Forget the later half of the buckets, but never the first window; return how many are left."""
        kept = 0
        for start in sorted(self._buckets):
            if kept and kept + len(self._buckets[start]) > self.most_buckets // 2:
                self._until = min(self._until, start)
            if start >= self._until:
                del self._buckets[start]
            else:
                kept += len(self._buckets[start])
        return kept

    def _queue_windows(self) -> None:
        queue = self._queue
        for start in sorted(self._buckets):
            window = self._buckets.pop(start)
            whole = not all(queue.bills_alike(customer) for customer, *_ in window)
            by_lane: dict[Lane, list[_Bucket]] = {}
            clocks: dict[Lane, Instant] = {}
            for (customer, subscription, feature, *_), bucket in window.items():
                names = (customer, subscription, feature)
                # Who is billed may change within the window: then it is known only when it is judged.
                lane = _ANY_LANE if whole else queue.strand(*names, start).line.lane
                by_lane.setdefault(lane, []).append(bucket)
                runs_out = queue.runs_out(*names, bucket.first, bucket.latest)
                clocks[lane] = min(runs_out, clocks.get(lane, runs_out))
            for lane, buckets in by_lane.items():
                queue.add_other(start, _Window(buckets), lane, clocks[lane])

    def _window(self, buckets: Iterable[_Bucket]) -> Iterator[Item]:
        """Judge the buckets of one raw window, and put together what goes into one meter event."""
        groups: dict[UsageWindow, Group] = {}
        singles: list[Single] = []
        for bucket in buckets:
            for placed, usage in self._pieces(bucket):
                if isinstance(placed, BlockReason):
                    yield HeldBack(usage.first, usage.usage_events, placed)
                elif placed is None:
                    singles += self._alone(usage.usage_events)
                elif self.planner.now < placed.ready_at:
                    yield HeldBack(usage.first, usage.usage_events, Hold.SETTLING, placed.ready_at)
                elif placed in groups:
                    groups[placed].usage.join(usage)
                else:
                    groups[placed] = Group(placed, usage)
        ready: list[Single | Group] = [*singles, *groups.values()]
        yield from sorted(ready, key=_order)

    def _pieces(self, bucket: _Bucket) -> "Iterator[tuple[_Placed, Gathered]]":
        """Yield where a bucket goes: whole where the answer is one for all of it, else by usage event."""
        usage_event = self.planner.ledger.rollups.usage_event
        usage = usage_event(bucket.usage_events[0])
        first, latest = (
            self.planner.window_of(replace(usage, event_time=at)) for at in (bucket.first, bucket.latest)
        )
        if first == latest:
            units = {usage.quantity.scale: bucket.units}
            yield first, Gathered(bucket.usage_events, units, bucket.first, bucket.latest)
            return
        for number in bucket.usage_events:
            one = usage_event(number)
            units = {one.quantity.scale: one.quantity.units}
            at = one.event_time
            yield self.planner.window_of(one), Gathered(array("q", [number]), units, at, at)

    def _alone(self, usage_events: Iterable[int]) -> Iterator[Single]:
        for number in usage_events:
            event_time = self.planner.ledger.rollups.usage_event(number).event_time
            yield Single(event_time, number)


def _order(item: Single | Group) -> tuple[Instant, int, str, str, str, Instant]:
    if isinstance(item, Single):
        return item.event_time, item.usage_event, "", "", "", 0
    where = item.where
    return item.event_time, 0, where.meter.event_name, where.stripe_customer_id, where.dimensions, where.start
