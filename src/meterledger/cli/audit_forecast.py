"""The forecast for people: what would come too late, what that rests on, and what would do."""

from typing import TYPE_CHECKING

from meterledger.cli.output import console, count_text, harmless, print_table, quantity_text
from meterledger.config.duration import duration_text
from meterledger.domain.instant import to_text
from meterledger.usecases.findings import counted
from meterledger.usecases.forecast_advice import advice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterledger.domain.forecast import Expected
    from meterledger.usecases.forecast_answer import Forecasted

_SHOWN = 20
"""Forecasts that are shown, the worst of them; JSON has all."""

_ADVICE_SHOWN = 4
"""Lines of what would do, those for the worst; as above."""


def print_forecasts(forecasts: "Sequence[Forecasted]") -> None:
    """Print the forecasts that rest on enough history, the most late usage first."""
    known = sorted((one for one in forecasts if one.forecast.late), key=_order)
    if not known:
        return
    shown = known if len(known) <= _SHOWN else [one for one in known if _may_be_late(one)][:_SHOWN]
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
        [_cells(one) for one in shown],
        title=f"Forecast, with a push every {duration_text(schedule.every)} ({schedule.basis.value}): usage "
        "events that would reach Stripe after their deadline, their quantity below",
        caption=_left_out(known, shown),
    )
    for line in advice(known)[:_ADVICE_SHOWN]:
        console().print(harmless(line), soft_wrap=True, markup=False)


def _left_out(known: "Sequence[Forecasted]", shown: "Sequence[Forecasted]") -> str:
    """Say what is not shown of many forecasts."""
    more = len(known) - len(shown)
    if not more:
        return ""
    late = sum(map(_may_be_late, known)) - len(shown)
    of_which = f", {count_text(late)} of them with some late usage" if late else ": nothing would be late"
    return f"{counted(more, 'more deadline')}{of_which}; --format json has all"


def _may_be_late(one: "Forecasted") -> bool:
    return one.forecast.late is not None and one.forecast.late.most.events > 0


def _order(one: "Forecasted") -> tuple[object, ...]:
    late, closing = one.forecast.late, one.forecast.closing
    worst = (-late.expected.events, -late.most.events) if late else (0, 0)
    return (*worst, closing.deadline, closing.event_name, closing.period)


def _cells(one: "Forecasted") -> list[object]:
    forecast, late = one.forecast, one.forecast.late
    if late is None:
        raise AssertionError("unreachable: only known forecasts are shown")
    return [
        to_text(forecast.closing.deadline),
        forecast.closing.event_name,
        _amount(late.expected),
        _amount(late.least),
        _amount(late.most),
        one.rehearsed_on,
    ]


def _amount(expected: "Expected") -> str:
    if not expected.events:
        return "0"
    return f"{count_text(expected.events)}\n{quantity_text(str(expected.quantity))}"
