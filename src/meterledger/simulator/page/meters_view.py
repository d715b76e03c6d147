"""The page's meters: how much was used, and when."""

from dataclasses import dataclass

from meterledger.simulator.metering.meters import Meter
from meterledger.simulator.metering.tally import ZERO, add, plain
from meterledger.simulator.page.activity import Activity
from meterledger.simulator.page.times import day_text, hour_text
from meterledger.simulator.state.account import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class BarView:
    """A bar of a chart: its place from the left, when it begins, its usage, and its share of the largest."""

    place: int
    label: str
    usage: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartView:
    """A chart: what one bar stands for (`hour` or `day`), and the usage of the highest."""

    span: str
    most: str
    bars: list[BarView]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterView:
    """A meter with its usage: the sum of what it makes of each customer's events."""

    id: str
    event_name: str
    kind: str
    active: bool
    events: int
    customers: int
    usage: str
    chart: ChartView


def view_meters(account: Account, meters: list[Meter], activity: Activity, now: float) -> list[MeterView]:
    """Gather some of an account's meters; now is in epoch seconds."""
    totals = {meter.meter_id: ZERO for meter in meters}
    events = dict.fromkeys(totals, 0)
    customers = dict.fromkeys(totals, 0)
    for series in account.usage.series():
        if series.meter_id in totals and (measured := account.usage.measure(series)).events:
            totals[series.meter_id] = add(totals[series.meter_id], measured.total)
            events[series.meter_id] += measured.events
            customers[series.meter_id] += 1
    return [
        MeterView(
            id=meter.meter_id,
            event_name=meter.spec.event_name,
            kind=_kind(meter),
            active=meter.active,
            events=events[meter.meter_id],
            customers=customers[meter.meter_id],
            usage=plain(totals[meter.meter_id]),
            chart=_chart(meter, activity, now),
        )
        for meter in meters
    ]


def _kind(meter: Meter) -> str:
    window = meter.spec.event_time_window
    return meter.spec.formula if window is None else f"{meter.spec.formula}, the last of each {window}"


def _chart(meter: Meter, activity: Activity, now: float) -> ChartView:
    span, bars = activity.chart(meter, now)
    text = hour_text if span == "hour" else day_text
    return ChartView(
        span=span,
        most=next((bar.usage for bar in bars if bar.share == 1), "0"),
        bars=[
            BarView(place=place, label=text(bar.start), usage=bar.usage, share=bar.share)
            for place, bar in enumerate(bars)
        ],
    )
