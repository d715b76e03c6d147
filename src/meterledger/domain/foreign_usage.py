"""
Foreign usage: what Stripe has counted of a customer and meter beyond what this ledger knows it has sent.

Stripe's summaries are compared window by window: whole UTC hours, or whole UTC days on a meter that is
pre-aggregated by day.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from meterledger.domain.instant import DAY, HOUR, SECOND, Instant
from meterledger.domain.meter import Aggregation, EventTimeWindow, Meter

WINDOWS_PER_READ = 100
"""Summaries that one read brings at most (Stripe's largest page)."""

_FLOAT_TOLERANCE = Decimal("1e-12")
"""Stripe tells totals as floats, good for some 15 digits: a smaller share of a total says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignUsage:
    """A window [start, end) in which Stripe has more than this ledger knows of."""

    event_name: str
    stripe_customer_id: str
    start: Instant
    end: Instant
    ledger: Decimal
    stripe: Decimal

    @property
    def surplus(self) -> Decimal:
        """What Stripe has beyond the ledger."""
        return self.stripe - self.ledger


def is_additive(meter: Meter) -> bool:
    """Tell whether values add up, so that quantities can be compared; else a later value replaces one."""
    return not meter.is_ordered


def window_length(meter: Meter) -> int:
    """Return how long the windows are that a meter is compared in, in microseconds."""
    return DAY if meter.event_time_window is EventTimeWindow.DAY else HOUR


def window_start(instant: Instant, length: int) -> Instant:
    """Return the beginning of the UTC window that holds an instant."""
    return instant - instant % length


def read_spans(starts: Iterable[Instant], length: int) -> Iterator[tuple[Instant, Instant]]:
    """Yield the ranges to read so that each window is covered, none longer than one read brings."""
    begin: Instant | None = None
    end = 0
    for start in sorted(starts):
        if begin is not None and start + length > begin + WINDOWS_PER_READ * length:
            yield begin, end
            begin = None
        begin = start if begin is None else begin
        end = start + length
    if begin is not None:
        yield begin, end


def is_foreign(meter: Meter, *, ledger: Decimal, known_events: int, stripe: Decimal) -> bool:
    """
    Tell whether a window holds usage that this ledger does not know of.

    Args:
        meter: Which meter.
        ledger: The quantity that the ledger knows of.
        known_events: How many meter events, or usage events billed elsewhere, that is.
        stripe: What Stripe has counted.
    """
    if not is_additive(meter):
        return known_events == 0 and stripe != 0
    return stripe - ledger > max(abs(stripe), abs(ledger)) * _FLOAT_TOLERANCE


def counted(meter: Meter, quantity: Decimal, events: int) -> Decimal:
    """Return what known usage comes to at Stripe: a count meter counts events, whatever their value."""
    return Decimal(events) if meter.aggregation is Aggregation.COUNT else quantity


def plain(value: Decimal) -> str:
    """Write a decimal without exponent, plus sign or trailing zeros."""
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("", "-0") else text


def seconds(instant: Instant) -> int:
    """Return an aligned instant as epoch seconds."""
    return instant // SECOND
