"""What the forecasts advise, for people: each piece of advice once, with the deadlines that it is for."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import gcd

from meterledger.domain.forecast import Change, ChangeKind
from meterledger.domain.instant import MINUTE, SECOND, Instant, to_text
from meterledger.usecases.findings import counted
from meterledger.usecases.forecast_answer import Forecasted

_NAMED = 3
"""Deadlines that are named one by one."""

_SHORTEST_PUSH = MINUTE // SECOND

_MOST_LINES = 4
"""More pieces of advice than this for one meter are made into one that does for all its deadlines."""


def advice(forecasts: Sequence[Forecasted]) -> list[str]:
    """
    Return a line for each meter and set of changes that would do, in the order of the forecasts.

    Where customers have periods of their own, hundreds of forecasts each want something else: then a line
    says what would do for all of a meter.
    """
    of_meter: dict[tuple[str, int, int], list[Forecasted]] = {}
    for one in forecasts:
        if one.forecast.changes:
            closing = one.forecast.closing
            key = (closing.event_name, closing.grace_period, one.schedule.every)
            of_meter.setdefault(key, []).append(one)
    return [line for some in of_meter.values() for line in _advice(some)]


def _advice(forecasts: Sequence[Forecasted]) -> list[str]:
    """Return the lines of one meter, grace period and interval of pushes."""
    deadlines: dict[tuple[str, str], list[Instant]] = {}
    for one in forecasts:
        deadlines.setdefault(_ways(one), []).append(one.closing.deadline)
    if len(deadlines) > _MOST_LINES:
        deadlines = {_ways(_for_all(forecasts)): [one.closing.deadline for one in forecasts]}
    event_name = forecasts[0].closing.event_name
    return [
        f"So that nothing of {event_name} is late at {_named(at)}: {ways}." + (f" {but}." if but else "")
        if ways
        else f"No single change would bring all of {event_name} in time at {_named(at)}. {but}."
        for (ways, but), at in deadlines.items()
    ]


def _for_all(forecasts: Sequence[Forecasted]) -> Forecasted:
    """Return a forecast whose changes would do for each of these."""
    first = forecasts[0]
    return replace(first, forecast=replace(first.forecast, changes=tuple(_changes_for_all(forecasts))))


def _changes_for_all(forecasts: Sequence[Forecasted]) -> Iterator[Change]:
    found: dict[tuple[ChangeKind, str | None], list[int | None]] = {}
    for one in forecasts:
        for change in one.forecast.changes:
            found.setdefault((change.kind, change.source), []).append(change.seconds)
    for (kind, source), all_seconds in found.items():
        known = [seconds for seconds in all_seconds if seconds is not None]
        if kind is not ChangeKind.PUSH_EVERY:
            longest = max(known) if len(known) == len(all_seconds) else None
            yield Change(kind=kind, seconds=longest, source=source)
        elif len(known) == len(forecasts) and (shorter := gcd(*known)) >= _SHORTEST_PUSH:
            # What divides all of them keeps every push that there would be with each.
            yield Change(kind=kind, seconds=shorter)


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
