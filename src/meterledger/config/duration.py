"""Durations as people write them: ``90s``, ``15m``, ``1h``, ``3d``, ``1h30m``, ``50ms``."""

import re

from meterledger.domain.instant import DAY, HOUR, MILLISECOND, MINUTE, SECOND

_UNITS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": MILLISECOND}
_DURATION = re.compile(r"(?:\d{1,6}(?:ms|[dhms]))+", re.ASCII)
_PART = re.compile(r"(\d+)(ms|[dhms])", re.ASCII)


EXACT = 4
"""So many units write a duration to the second: what a limit is compared with is not cut."""


def parse_duration(text: str) -> int:
    """Return a duration in microseconds; raises ValueError for anything that is no such text."""
    if not _DURATION.fullmatch(text.strip()):
        msg = f"'{text}' is no duration; write it like 90s, 15m, 1h or 3d"
        raise ValueError(msg)
    return sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(text))


def duration_text(microseconds: int, *, units: int = 2) -> str:
    """Write a duration in its largest units, the rest cut: ``1d 2h``, ``45s``; with four to the second."""
    seconds = abs(microseconds) // SECOND
    sign = "-" if microseconds < 0 else ""
    if seconds < 60:  # noqa: PLR2004 # seconds of a minute
        return f"{sign}{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return sign + " ".join(f"{count}{unit}" for count, unit in parts[first : first + units] if count)


def grace_text(microseconds: int) -> str:
    """Write a grace period in hours, as Stripe and the config do: ``48h``; any other duration exactly."""
    hours, rest = divmod(microseconds, HOUR)
    return duration_text(microseconds, units=EXACT) if rest else f"{hours}h"
