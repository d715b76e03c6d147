"""What the forecasts advise, for people: each piece of advice once, with the deadlines that it is for."""

from collections.abc import Sequence

from meterledger.domain.forecast import ChangeKind
from meterledger.domain.instant import Instant, to_text
from meterledger.usecases.findings import counted
from meterledger.usecases.forecast_answer import Forecasted

_NAMED = 3
"""Deadlines that are named one by one."""


def advice(forecasts: Sequence[Forecasted]) -> list[str]:
    """Return a line for each meter and set of changes that would do, in the order of the forecasts."""
    deadlines: dict[tuple[str, str, str], list[Instant]] = {}
    for one in forecasts:
        if one.forecast.changes:
            closing = one.forecast.closing
            deadlines.setdefault((closing.event_name, *_ways(one)), []).append(closing.deadline)
    return [
        f"So that nothing of {event_name} is late at {_named(at)}: {ways}." + (f" {but}." if but else "")
        if ways
        else f"No single change would bring all of {event_name} in time at {_named(at)}. {but}."
        for (event_name, ways, but), at in deadlines.items()
    ]


def _ways(one: Forecasted) -> tuple[str, str]:
    """Return what would do, each way alone, and what would not."""
    earlier = [change for change in one.forecast.changes if change.kind is ChangeKind.DELIVER_EARLIER]
    others = [change for change in one.forecast.changes if change not in earlier]
    ways = [one.words(change) for change in others if change.seconds is not None]
    but = [one.words(change) for change in others if change.seconds is None]
    hopeless = [change.source or "" for change in earlier if change.seconds is None]
    if hopeless:
        but.append(
            f"earlier delivery alone is not enough: some usage of source {', '.join(hopeless)} happens after "
            "the last push before the deadline"
        )
    elif earlier:
        # Each source is late by itself: one that delivers earlier does nothing for the others.
        ways.append(" and ".join(one.words(change) for change in earlier))
    rest = "; ".join(but)
    return "; or ".join(ways), rest[:1].upper() + rest[1:]


def _named(deadlines: Sequence[Instant]) -> str:
    ahead = sorted(set(deadlines))
    shown = ", ".join(to_text(at) for at in ahead[:_NAMED])
    left = len(ahead) - _NAMED
    return f"{shown} and {counted(left, 'later deadline')}" if left > 0 else shown
