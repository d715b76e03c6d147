"""
What was counted, kept as exact decimals per meter, customer and minute.

Summaries start and end on minutes, so a minute is the finest thing worth keeping: memory follows the
number of minutes with usage, not the number of events.
"""

from collections.abc import Iterable, Iterator
from decimal import Context, Decimal, Inexact
from typing import NamedTuple

from meterledger.simulator.instants import MINUTE_SECONDS
from meterledger.simulator.meters import Formula, Meter, Window

MAX_VALUE_TEXT = 500  # characters of a value; bounds the digits an exact sum can need

# A sum that could not be exact raises instead of rounding; 600 digits hold any sum of such values.
_EXACT = Context(prec=MAX_VALUE_TEXT + 100, traps=[Inexact])
_ONE = Decimal(1)
_ZERO = Decimal(0)


class Reading(NamedTuple):
    """A value at an instant in epoch seconds: one minute's sum, or the one event that stands for a span."""

    at: int
    value: Decimal


class Tally:
    """All that is kept of one customer's events on one meter."""

    __slots__ = ("_readings", "events", "meter")

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.events = 0
        self._readings: dict[int, Reading] = {}

    def record(self, timestamp: int, value: Decimal) -> None:
        """Take in one event; the timestamp is in epoch seconds. Events come in the order of receipt."""
        self.events += 1
        formula, window = self.meter.spec.formula, self.meter.spec.event_time_window
        span = MINUTE_SECONDS if window is None else window.seconds
        start = timestamp - timestamp % span
        counted = _ONE if formula is Formula.COUNT else value
        held = self._readings.get(start)
        if held is None or window is not None:
            self._readings[start] = Reading(timestamp, counted)  # in a window the last received wins
        elif formula is not Formula.LAST:
            self._readings[start] = Reading(held.at, _EXACT.add(held.value, counted))
        elif timestamp >= held.at:
            self._readings[start] = Reading(timestamp, counted)

    def total(self) -> Decimal:
        """Return what the meter makes of all events of the customer."""
        return _aggregate(self.meter.spec.formula, self._readings.values())

    def between(self, start: int, end: int) -> Decimal:
        """Return what the meter makes of the events from start to before end, in epoch seconds."""
        return _aggregate(self.meter.spec.formula, self._within(start, end))

    def grouped(self, start: int, end: int, window: Window) -> dict[int, Decimal]:
        """Return the same for each window with usage, by the window's start in epoch seconds."""
        groups: dict[int, list[Reading]] = {}
        for reading in self._within(start, end):
            groups.setdefault(reading.at - reading.at % window.seconds, []).append(reading)
        return {opens: _aggregate(self.meter.spec.formula, group) for opens, group in groups.items()}

    def _within(self, start: int, end: int) -> Iterator[Reading]:
        return (reading for reading in self._readings.values() if start <= reading.at < end)


class UsageBook:
    """The tallies of one account."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str], Tally] = {}

    def record(self, meter: Meter, customer: str, timestamp: int, value: Decimal) -> None:
        """Take in one event of a customer; the timestamp is in epoch seconds."""
        self.tally(meter, customer).record(timestamp, value)

    def tally(self, meter: Meter, customer: str) -> Tally:
        """Return the customer's tally on the meter, empty where nothing was counted yet."""
        key = (meter.meter_id, customer)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally(meter)
        return tally

    def find(self, meter: Meter, customer: str) -> Tally:
        """Return the customer's tally without keeping an empty one."""
        return self._tallies.get((meter.meter_id, customer)) or Tally(meter)

    def counted(self) -> list[tuple[str, Tally]]:
        """Return every customer's tallies, as (customer, tally)."""
        return [(customer, tally) for (_, customer), tally in self._tallies.items()]


def plain(value: Decimal) -> str:
    """Write a decimal exactly: no exponent, no plus sign, no zeros at the end."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def _aggregate(formula: Formula, readings: Iterable[Reading]) -> Decimal:
    if formula is Formula.LAST:
        latest = max(readings, key=lambda reading: reading.at, default=None)
        return _ZERO if latest is None else latest.value
    total = _ZERO
    for reading in readings:
        total = _EXACT.add(total, reading.value)
    return total
