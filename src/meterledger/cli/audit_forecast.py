"""The forecast for people: what would come too late, what that rests on, and what would do."""

from typing import TYPE_CHECKING

from meterledger.cli.output import console, count_text, harmless, print_table, quantity_text
from meterledger.config.duration import duration_text
from meterledger.domain.instant import to_datetime, to_text
from meterledger.usecases.findings import counted
from meterledger.usecases.forecast_advice import advice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterledger.domain.forecast import Expected
    from meterledger.usecases.forecast_answer import Forecasted

_SHOWN = 20
"""Forecasts that are shown, the worst of them; JSON has all."""


def print_forecasts(forecasts: "Sequence[Forecasted]") -> None:
    """Print the forecasts that rest on enough history, the most late usage first."""
    known = sorted((one for one in forecasts if one.forecast.late), key=_order)
    if not known:
        return
    schedule = known[0].schedule
    print_table(
        [
            ("deadline", "left"),
            ("meter", "left"),
            ("expected", "right"),
            ("least", "right"),
            ("most", "right"),
            ("rehearsed on", "left"),
        ],
        [_cells(one) for one in known[:_SHOWN]],
        title=f"Forecast, with a push every {duration_text(schedule.every)} ({schedule.basis.value}): usage "
        "events that would reach Stripe after their deadline, their quantity below",
    )
    if len(known) > _SHOWN:
        console().print(f"{count_text(len(known) - _SHOWN)} more forecasts: see --format json", markup=False)
    for line in advice(known[:_SHOWN]):
        console().print(harmless(line), soft_wrap=True, markup=False)


def _order(one: "Forecasted") -> tuple[object, ...]:
    late, closing = one.forecast.late, one.forecast.closing
    return (-late.expected.events if late else 0, closing.deadline, closing.event_name, closing.period)


def _cells(one: "Forecasted") -> list[object]:
    forecast, late = one.forecast, one.forecast.late
    if late is None:
        raise AssertionError("unreachable: only known forecasts are shown")
    weekday = f"{to_datetime(forecast.closing.period.end):%A}"
    return [
        to_text(forecast.closing.deadline),
        forecast.closing.event_name,
        _amount(late.expected),
        _amount(late.least),
        _amount(late.most),
        counted(forecast.boundaries, weekday if forecast.weekday_only else "day"),
    ]


def _amount(expected: "Expected") -> str:
    if not expected.events:
        return "0"
    return f"{count_text(expected.events)}\n{quantity_text(str(expected.quantity))}"
