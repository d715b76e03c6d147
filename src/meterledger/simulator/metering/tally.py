"""
What a meter makes of one customer's events: exact decimals, kept per minute.

Summaries start and end on minutes, so a minute is the finest thing worth keeping: memory follows the
number of minutes with usage, not the number of events.
"""

from collections.abc import Iterable, Iterator
from decimal import Context, Decimal, Inexact
from typing import NamedTuple

from meterledger.simulator.instants import MINUTE_SECONDS
from meterledger.simulator.metering.meters import Formula, MeterSpec, Window

MAX_VALUE_TEXT = 500  # characters of a value; bounds the digits an exact sum can need

# A sum that could not be exact raises instead of rounding; 600 digits hold any sum of such values.
_EXACT = Context(prec=MAX_VALUE_TEXT + 100, traps=[Inexact])
_ONE = Decimal(1)
ZERO = Decimal(0)


class Reading(NamedTuple):
    """A value at an instant in epoch seconds: one minute's sum, or the one event that stands for a span."""

    at: int
    value: Decimal


class Tally:
    """
    Takes in events in the order of their receipt.

    Args:
        spec: The meter's.
        last_by_receipt: Of a meter that takes the last, take the last received, whatever its timestamp.
    """

    __slots__ = ("_last_by_receipt", "_readings", "_spec")

    def __init__(self, spec: MeterSpec, *, last_by_receipt: bool = False) -> None:
        self._spec = spec
        self._last_by_receipt = last_by_receipt
        self._readings: dict[int, Reading] = {}

    def record(self, timestamp: int, value: Decimal) -> None:
        """Take in one event; the timestamp is in epoch seconds."""
        formula, window = self._spec.formula, self._spec.event_time_window
        span = MINUTE_SECONDS if window is None else window.seconds
        start = timestamp - timestamp % span
        counted = _ONE if formula is Formula.COUNT else value
        held = self._readings.get(start)
        if held is None or window is not None:
            self._place(start, Reading(timestamp, counted))  # in a window the last received wins
        elif formula is not Formula.LAST:
            self._readings[start] = Reading(held.at, add(held.value, counted))
        elif self._last_by_receipt or timestamp >= held.at:
            self._place(start, Reading(timestamp, counted))

    def total(self) -> Decimal:
        """Return what the meter makes of all events."""
        return self._aggregate(self._readings.values())

    def between(self, start: int, end: int) -> Decimal:
        """Return what the meter makes of the events from start to before end, in epoch seconds."""
        return self._aggregate(self._within(start, end))

    def within(self, start: int, end: int) -> bool:
        """Tell whether any event lies from start to before end, in epoch seconds."""
        return any(True for _ in self._within(start, end))

    def grouped(self, start: int, end: int, window: Window) -> dict[int, Decimal]:
        """Return the same for each window with usage, by the window's start in epoch seconds."""
        groups: dict[int, list[Reading]] = {}
        for reading in self._within(start, end):
            groups.setdefault(reading.at - reading.at % window.seconds, []).append(reading)
        return {opens: self._aggregate(group) for opens, group in groups.items()}

    def _place(self, start: int, reading: Reading) -> None:
        # What was received last stands last, so that the order of the readings is that of their receipt.
        self._readings.pop(start, None)
        self._readings[start] = reading

    def _within(self, start: int, end: int) -> Iterator[Reading]:
        return (reading for reading in self._readings.values() if start <= reading.at < end)

    def _aggregate(self, readings: Iterable[Reading]) -> Decimal:
        if self._spec.formula is Formula.LAST:
            return self._last(readings)
        total = ZERO
        for reading in readings:
            total = add(total, reading.value)
        return total

    def _last(self, readings: Iterable[Reading]) -> Decimal:
        latest: Reading | None = None
        for reading in readings:
            if latest is None or self._last_by_receipt or reading.at >= latest.at:
                latest = reading
        return ZERO if latest is None else latest.value


def add(left: Decimal, right: Decimal) -> Decimal:
    """Return the exact sum."""
    return _EXACT.add(left, right)


def scaled(digits: int, places: int) -> Decimal:
    """Return the decimal of whole digits and a number of decimal places, exactly."""
    return _EXACT.scaleb(Decimal(digits), -places)


def plain(value: Decimal) -> str:
    """Write a decimal exactly: no exponent, no plus sign, no zeros at the end."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text
