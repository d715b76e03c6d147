"""Instants and spans of time as text: what the command line and the clock page read and write."""

import re
from datetime import UTC, datetime

MINUTE_SECONDS = 60
HOUR_SECONDS = 3600
DAY_SECONDS = 86_400
LATEST_EPOCH_SECONDS = 253_402_300_799  # the last second of the year 9999, where calendars here end

_EPOCH = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_DURATION = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": MINUTE_SECONDS, "h": HOUR_SECONDS, "d": DAY_SECONDS}


def parse_instant(text: str) -> float:
    """
    Read an instant.

    Args:
        text: RFC 3339 with an offset (`2026-11-01T00:00:00Z`) or seconds since the epoch.

    Returns:
        Seconds since the epoch.

    Raises:
        ValueError: The text is neither, or lies before 1970 or after 9999.
    """
    seconds = float(text) if _EPOCH.fullmatch(text) else _calendar_seconds(text)
    return checked_instant(seconds)


def checked_instant(seconds: float) -> float:
    """Return the instant (seconds since the epoch), or raise ValueError outside the years 1970 to 9999."""
    if not 0 <= seconds <= LATEST_EPOCH_SECONDS:
        raise ValueError("an instant lies between the years 1970 and 9999")
    return seconds


def parse_duration(text: str) -> float:
    """
    Read a span of time such as `20ms`, `90s`, `15m`, `1h` or `3d`.

    Returns:
        Seconds, never negative.

    Raises:
        ValueError: The text is no such span.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration; write 20ms, 90s, 15m, 1h or 3d")
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def calendar_moment(seconds: float) -> datetime:
    """Return an instant (seconds since the epoch) in UTC; what lies after the calendar's end is its end."""
    return datetime.fromtimestamp(min(seconds, LATEST_EPOCH_SECONDS), tz=UTC)


def format_instant(seconds: float) -> str:
    """Write an instant (seconds since the epoch) as RFC 3339 in UTC, to the microsecond where it has any."""
    return calendar_moment(seconds).isoformat().replace("+00:00", "Z")


def format_milliseconds(seconds: float) -> str:
    """Write an instant (seconds since the epoch) as v2 does: RFC 3339 in UTC, to the millisecond."""
    return calendar_moment(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _calendar_seconds(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{text!r} is no instant; write RFC 3339 with an offset, or epoch seconds")
    return moment.timestamp()
