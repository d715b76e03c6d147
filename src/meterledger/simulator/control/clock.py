"""`/_simulator/clock`: what time it is, and turning it."""

import msgspec

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.instants import (
    DAY_SECONDS,
    checked_instant,
    format_instant,
    parse_duration,
    parse_instant,
)
from meterledger.simulator.protocol.api_errors import ApiError

CLOCK_PATH = "/_simulator/clock"
MAX_JUMP_YEARS = 10  # in one turn: every period that ends on the way is billed before the turn is answered

_MAX_JUMP_SECONDS = MAX_JUMP_YEARS * 366 * DAY_SECONDS
_MODES = ("running", "frozen")


class ClockTurn(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What may be asked of the clock: set it, then jump, then run or stand."""

    now: str | float | None = None
    advance: str | None = None
    mode: str | None = None


def clock_page(clock: SimulatedClock) -> dict[str, object]:
    """Show the clock: now as text, the same in epoch seconds, and whether it stands."""
    now = clock.now()
    return {"now": format_instant(now), "epoch": now, "mode": "frozen" if clock.frozen else "running"}


def turn_clock(clock: SimulatedClock, body: bytes) -> dict[str, object]:
    """
    Do to the clock what a JSON body says, and show it.

    Raises:
        ApiError: The body is not understood; the clock stays as it was.
    """
    try:
        turn = msgspec.json.decode(body, type=ClockTurn)
        _turn(clock, turn)
    except msgspec.DecodeError as failure:
        raise ApiError(
            f'The clock was not changed: {failure}. Send JSON such as {{"advance": "1h"}}'
        ) from None
    except ValueError as failure:
        raise ApiError(f"The clock was not changed: {failure}") from None
    return clock_page(clock)


def _turn(clock: SimulatedClock, turn: ClockTurn) -> None:
    # Everything is read before anything is done, so that a refused turn changes nothing.
    if turn.mode is not None and turn.mode not in _MODES:
        raise ValueError(f"mode is one of {', '.join(_MODES)}")
    if turn == ClockTurn():
        raise ValueError("send now, advance or mode")
    now = clock.now()
    target = now if turn.now is None else _instant(turn.now)
    seconds = 0.0 if turn.advance is None else parse_duration(turn.advance)
    if checked_instant(target + seconds) - now > _MAX_JUMP_SECONDS:
        raise ValueError(f"one jump leads at most {MAX_JUMP_YEARS} years ahead")
    if turn.now is not None:
        clock.set(target)
    if turn.advance is not None:
        clock.advance(seconds)
    if turn.mode == "running":
        clock.run()
    elif turn.mode == "frozen":
        clock.freeze()


def _instant(given: str | float) -> float:
    return parse_instant(given) if isinstance(given, str) else checked_instant(given)
