"""What the page shows, gathered from the simulator's state; no HTML yet."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.instants import DAY_SECONDS, format_instant
from meterledger.simulator.metering.meters import Meter
from meterledger.simulator.metering.tally import plain
from meterledger.simulator.page.activity import Activity
from meterledger.simulator.state.account import Account

MOST_METERS = 20  # of an account


@dataclass(frozen=True, slots=True, kw_only=True)
class InstantView:
    """An instant for people and for machines, in UTC."""

    text: str
    iso: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockView:
    """The clock, and where its buttons lead; next_due is None where nothing is planned."""

    text: str
    iso: str
    frozen: bool
    month_end: str
    next_due: InstantView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BarView:
    """A bar of a chart: its place from the left, and its share of the largest."""

    place: int
    label: str
    usage: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartView:
    """A chart, and what one bar stands for: `hour` or `day`."""

    span: str
    bars: list[BarView]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterView:
    """A meter with its usage."""

    id: str
    event_name: str
    kind: str
    active: bool
    events: int
    customers: int
    usage: str
    chart: ChartView


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """An account with its meters and invoices."""

    name: str
    livemode: bool
    meters: list[MeterView]
    more_meters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PageView:
    """The whole page; refusal is why the last button did nothing."""

    clock: ClockView
    accounts: list[AccountView]
    refusal: str | None


def view_clock(clock: SimulatedClock, accounts: list[Account]) -> ClockView:
    """Gather the clock."""
    now = clock.now()
    next_due = min((account.timeline.next_due for account in accounts), default=float("inf"))
    return ClockView(
        text=instant_text(now),
        iso=format_instant(now),
        frozen=clock.frozen,
        month_end=format_instant(_next_month(now)),
        next_due=None if next_due == float("inf") else _instant(next_due),
    )


def view_account(account: Account, activity: Activity, now: float) -> AccountView:
    """Gather an account; now is in epoch seconds."""
    meters = account.meters.newest_first()
    return AccountView(
        name=account.account_id,
        livemode=account.livemode,
        meters=[_meter(account, meter, activity, now) for meter in islice(meters, MOST_METERS)],
        more_meters=max(0, len(meters) - MOST_METERS),
    )


def instant_text(seconds: float) -> str:
    """Write an instant (epoch seconds) for people."""
    return f"{datetime.fromtimestamp(int(seconds), tz=UTC):%Y-%m-%d %H:%M:%S} UTC"


def _meter(account: Account, meter: Meter, activity: Activity, now: float) -> MeterView:
    spec = meter.spec
    measured = [
        account.usage.measure(series)
        for series in account.usage.series()
        if series.meter_id == meter.meter_id
    ]
    used = [one for one in measured if one.events]
    chart = activity.chart(meter, now)
    length = len("2026-11-01 00:00") if chart.span == "hour" else len("2026-11-01")
    return MeterView(
        id=meter.meter_id,
        event_name=spec.event_name,
        kind=spec.formula
        if spec.event_time_window is None
        else f"{spec.formula}, one for each {spec.event_time_window}",
        active=meter.active,
        events=sum(one.events for one in used),
        customers=len(used),
        usage=plain(sum((one.total for one in used), start=used[0].total * 0)) if used else "0",
        chart=ChartView(
            span=chart.span,
            bars=[
                BarView(place=place, label=instant_text(bar.start)[:length], usage=bar.usage, share=bar.share)
                for place, bar in enumerate(chart.bars)
            ],
        ),
    )


def _instant(seconds: float) -> InstantView:
    return InstantView(text=instant_text(seconds), iso=format_instant(seconds))


def _next_month(now: float) -> float:
    today = datetime.fromtimestamp(now, tz=UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    in_next = today.replace(day=1).timestamp() + 32 * DAY_SECONDS
    return datetime.fromtimestamp(in_next, tz=UTC).replace(day=1).timestamp()
