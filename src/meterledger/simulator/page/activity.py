"""Usage over time, for the page's charts."""

from collections import defaultdict
from decimal import Decimal
from typing import NamedTuple

from meterledger.simulator.instants import DAY_SECONDS, HOUR_SECONDS
from meterledger.simulator.metering.meters import Formula, Meter, MeterBook
from meterledger.simulator.metering.tally import ZERO, add, plain, scaled
from meterledger.simulator.metering.usage import CountedEvent, UsageBook

MOST_HOURS = 48  # what is younger is drawn by the hour
MOST_DAYS = 35  # what is older is not drawn: Stripe takes no usage older than that
_ONE = Decimal(1)


class Bar(NamedTuple):
    """One span of a chart: when it begins (epoch seconds), its usage, and its share of the largest."""

    start: int
    usage: str
    share: float


class Chart(NamedTuple):
    """The bars from the oldest to the newest, and what one of them stands for: `hour` or `day`."""

    span: str
    bars: list[Bar]


class Activity:
    """
    The usage of one account by meter and hour of its timestamps.

    It keeps up with what was counted since somebody looked last, so that a page over a million events is
    drawn as fast as one over ten.

    Args:
        meters: The account's meters.
        usage: What was counted.
    """

    def __init__(self, meters: MeterBook, usage: UsageBook) -> None:
        self._meters = meters
        self._usage = usage
        self._rows = 0
        self._canceled = 0
        self._hours: dict[str, dict[int, Decimal]] = {}

    def chart(self, meter: Meter, now: float) -> Chart:
        """Return a meter's usage up to now (epoch seconds): by the hour if it is all young, else by the day."""
        self._catch_up()
        hours = self._hours.get(meter.meter_id, {})
        young = now - MOST_HOURS * HOUR_SECONDS
        if all(hour >= young for hour in hours):
            return Chart("hour", _bars(hours, HOUR_SECONDS, MOST_HOURS, now))
        days: dict[int, Decimal] = defaultdict(lambda: ZERO)
        for hour, value in hours.items():
            day = hour - hour % DAY_SECONDS
            days[day] = add(days[day], value)
        return Chart("day", _bars(days, DAY_SECONDS, MOST_DAYS, now))

    def _catch_up(self) -> None:
        if self._usage.canceled_events != self._canceled:
            self._rows, self._hours, self._canceled = 0, {}, self._usage.canceled_events
        for row in range(self._rows, len(self._usage)):
            if self._usage.is_canceled(row):
                continue
            event = self._usage.event(row)
            hours = self._hours.setdefault(event.meter, {})
            hour = event.timestamp - event.timestamp % HOUR_SECONDS
            hours[hour] = add(hours.get(hour, ZERO), self._used(event))
        self._rows = len(self._usage)

    def _used(self, event: CountedEvent) -> Decimal:
        counts = self._meters.get(event.meter).spec.formula is Formula.COUNT
        return _ONE if counts else scaled(*event.value)


def _bars(usage: dict[int, Decimal], span: int, most: int, now: float) -> list[Bar]:
    newest = int(now) - int(now) % span
    starts = [newest - span * place for place in range(most - 1, -1, -1)]
    values = [usage.get(start, ZERO) for start in starts]
    largest = max(values, default=ZERO)
    return [
        Bar(start, plain(value), float(value / largest) if largest > 0 and value > 0 else 0.0)
        for start, value in zip(starts, values, strict=True)
    ]
