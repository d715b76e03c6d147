"""
Every event that was counted, in columns.

A month's usage may be millions of events, so an event is no object: it is a row number, and its fields
stand in arrays at that place. What a meter makes of them is worked out when it is asked for.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import msgspec

from meterledger.simulator.metering.meters import Formula, Meter, MeterBook
from meterledger.simulator.metering.tally import ZERO, Tally, add, scaled
from meterledger.simulator.metering.value import Value
from meterledger.simulator.state.book import Journal


class CountedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One event as it was counted.

    Attributes:
        meter: The id of its meter.
        customer: Who used.
        identifier: Its own, or the one it was given.
        timestamp: Seconds since the epoch, as sent.
        received_at: Seconds since the epoch.
        value: Exact; a meter that counts ignores it.
        canceled_at: Seconds since the epoch, once it is canceled.
    """

    meter: str
    customer: str
    identifier: str
    timestamp: int
    received_at: float
    value: Value
    canceled_at: float | None = None


class Span(NamedTuple):
    """From start to before end, in epoch seconds."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a meter makes of the events of a span, and how many they are."""

    events: int = 0
    total: Decimal = field(default=ZERO)


class Series:
    """One customer's events on one meter: row numbers, in the order of receipt."""

    __slots__ = (
        "canceled",
        "customer",
        "left_out",
        "meter_id",
        "number",
        "rows",
        "sum",
        "summed",
        "tallied",
        "tally",
    )

    def __init__(self, number: int, meter_id: str, customer: str) -> None:
        self.number = number
        self.meter_id = meter_id
        self.customer = customer
        self.rows = array("I")
        self.sum: Measured | None = None  # of the first `summed` rows, once somebody has asked
        self.summed = 0
        self.tally: Tally | None = None  # of the first `tallied` rows, once somebody has asked
        self.tallied = 0
        self.canceled: list[int] = []  # the rows that were canceled
        self.left_out = 0  # how many of them the tally leaves out


class UsageBook:
    """
    The counted events of one account.

    Args:
        meters: The account's meters; their ids in the events lead there.
        lag_seconds: How long after its receipt an event shows in summaries.
        last_by_receipt: Of a meter that takes the last, take the last received.
        journal: Hears of every event.
    """

    KIND = "counted_event"

    def __init__(
        self, meters: MeterBook, journal: Journal, *, lag_seconds: float = 0.0, last_by_receipt: bool = False
    ) -> None:
        self._meters = meters
        self._journal = journal
        self._last_by_receipt = last_by_receipt
        self.lag_seconds = lag_seconds
        self._series: dict[tuple[str, str], Series] = {}
        self._all_series: list[Series] = []
        self._series_of = array("I")
        self._identifiers: list[str] = []
        self._timestamps = array("q")
        self._received = array("d")
        self._digits = array("q")
        self._places = array("H")
        self._canceled: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._identifiers)

    def count(self, event: CountedEvent) -> int:
        """Take in an event as the latest received, and return its row number."""
        row = self._append(event)
        self._journal.put(self.KIND, str(row), event)
        return row

    def event(self, row: int) -> CountedEvent:
        """Return the event at a row number."""
        series = self._all_series[self._series_of[row]]
        return CountedEvent(
            meter=series.meter_id,
            customer=series.customer,
            identifier=self._identifiers[row],
            timestamp=self._timestamps[row],
            received_at=self._received[row],
            value=Value(self._digits[row], self._places[row]),
            canceled_at=self._canceled.get(row),
        )

    def received_at(self, row: int) -> float:
        """Return when an event was received, in epoch seconds."""
        return self._received[row]

    @property
    def canceled_events(self) -> int:
        """How many events were canceled."""
        return len(self._canceled)

    def is_canceled(self, row: int) -> bool:
        """Tell whether an event was canceled."""
        return row in self._canceled

    def cancel(self, row: int, now: float) -> None:
        """Let an event count no longer from now (epoch seconds) on; summaries follow after their lag."""
        self._note_canceled(row, now)
        self._journal.put(self.KIND, str(row), self.event(row))

    def series(self) -> list[Series]:
        """Return every customer's usage on every meter, in the order of the first event."""
        return self._all_series

    def events(self, series: Series) -> Iterator[CountedEvent]:
        """Yield a series' events in the order of receipt."""
        return (self.event(row) for row in series.rows)

    def find(self, meter: Meter, customer: str) -> Series | None:
        """Return a customer's series on a meter, or None where nothing was counted."""
        return self._series.get((meter.meter_id, customer))

    def shown(self, series: Series, now: float) -> Tally:
        """Return what summaries show of a series at an instant in epoch seconds, lagging as they do."""
        visible = self._visible(series, now)
        shown_until = now - self.lag_seconds  # cancelations are as late as events
        left_out = {row for row in series.canceled if self._canceled[row] <= shown_until}
        if series.tally is None or series.tallied > visible or series.left_out != len(left_out):
            series.tally, series.tallied, series.left_out = self._tally(series), 0, len(left_out)
        for row in series.rows[series.tallied : visible]:
            if row not in left_out:
                series.tally.record(self._timestamps[row], self._value(row))
        series.tallied = visible
        return series.tally

    def measure(
        self, series: Series, span: Span | None = None, *, received_until: float | None = None
    ) -> Measured:
        """
        Return what a meter makes of a series' events.

        Args:
            series: The customer's usage on the meter.
            span: Their timestamps; all where None.
            received_until: Leaves out what was received after this instant (epoch seconds), and counts what
                was canceled after it.
        """
        spec = self._meters.get(series.meter_id).spec
        if spec.adds and span is None and received_until is None:
            return self._sum_so_far(series, only_counts=spec.formula is Formula.COUNT)
        rows = [row for row in series.rows if self._counts(row, received_until)]
        if spec.adds:
            if span is not None:
                rows = [row for row in rows if span.start <= self._timestamps[row] < span.end]
            return self._added(rows, only_counts=spec.formula is Formula.COUNT)
        tally = self._tally(series)
        for row in rows:
            tally.record(self._timestamps[row], self._value(row))
        return Measured(
            events=sum(span is None or span.start <= self._timestamps[row] < span.end for row in rows),
            total=tally.total() if span is None else tally.between(*span),
        )

    def measure_each(self, series: Series, spans: Sequence[Span]) -> list[Measured]:
        """Measure a series in each of several spans, sorted and apart from each other, in one pass."""
        starts = [span.start for span in spans]
        groups: list[list[int]] = [[] for _ in spans]
        counted = [row for row in series.rows if row not in self._canceled]
        for row in counted:
            place = bisect_right(starts, self._timestamps[row]) - 1
            if place >= 0 and self._timestamps[row] < spans[place].end:
                groups[place].append(row)
        spec = self._meters.get(series.meter_id).spec
        if spec.adds:
            only_counts = spec.formula is Formula.COUNT
            return [self._added(rows, only_counts=only_counts) for rows in groups]
        tally = self._tally(series)
        for row in counted:
            tally.record(self._timestamps[row], self._value(row))
        return [
            Measured(events=len(rows), total=tally.between(*span))
            for rows, span in zip(groups, spans, strict=True)
        ]

    def restore(self, key: str, document: bytes) -> None:
        """Take in an event of a state file."""
        event = msgspec.json.decode(document, type=CountedEvent)
        row = self._append(event)
        if row != int(key):
            raise ValueError(f"event {key} of the state file is out of order")
        if event.canceled_at is not None:
            self._note_canceled(row, event.canceled_at)

    def _note_canceled(self, row: int, at: float) -> None:
        series = self._all_series[self._series_of[row]]
        series.sum = None
        if row not in self._canceled:
            series.canceled.append(row)
        self._canceled[row] = at

    def _append(self, event: CountedEvent) -> int:
        row = len(self._identifiers)
        key = (event.meter, event.customer)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series(len(self._all_series), *key)
            self._all_series.append(series)
        series.rows.append(row)
        self._series_of.append(series.number)
        self._identifiers.append(event.identifier)
        self._timestamps.append(event.timestamp)
        self._received.append(event.received_at)
        self._digits.append(event.value.digits)
        self._places.append(event.value.places)
        return row

    def _sum_so_far(self, series: Series, *, only_counts: bool) -> Measured:
        """Sum what came since somebody asked last, so that asking after each event costs little."""
        if series.sum is None:
            series.sum, series.summed = Measured(), 0
        if series.summed < len(series.rows):
            rows = [row for row in series.rows[series.summed :] if row not in self._canceled]
            new = self._added(rows, only_counts=only_counts)
            total = add(series.sum.total, new.total)
            series.sum = Measured(events=series.sum.events + new.events, total=total)
            series.summed = len(series.rows)
        return series.sum

    def _added(self, rows: list[int], *, only_counts: bool) -> Measured:
        if only_counts:
            return Measured(events=len(rows), total=Decimal(len(rows)))
        sums: dict[int, int] = {}  # by decimal places
        for row in rows:
            places = self._places[row]
            sums[places] = sums.get(places, 0) + self._digits[row]
        total = ZERO
        for places, digits in sums.items():
            total = add(total, scaled(digits, places))
        return Measured(events=len(rows), total=total)

    def _tally(self, series: Series) -> Tally:
        return Tally(self._meters.get(series.meter_id).spec, last_by_receipt=self._last_by_receipt)

    def _value(self, row: int) -> Decimal:
        return scaled(self._digits[row], self._places[row])

    def _visible(self, series: Series, now: float) -> int:
        """Count the series's rows that summaries show: all, but for those that came within the lag."""
        visible = len(series.rows)
        while (
            self.lag_seconds and visible and self._received[series.rows[visible - 1]] > now - self.lag_seconds
        ):
            visible -= 1
        return visible

    def _counts(self, row: int, until: float | None) -> bool:
        canceled_at = self._canceled.get(row)
        if until is None:
            return canceled_at is None
        return self._received[row] <= until and (canceled_at is None or canceled_at > until)
