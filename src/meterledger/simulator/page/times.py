"""Instants and spans as people read them, in UTC."""

from datetime import UTC, datetime

from meterledger.simulator.instants import DAY_SECONDS


def instant_text(seconds: float) -> str:
    """Write an instant (epoch seconds) to the second."""
    return f"{datetime.fromtimestamp(int(seconds), tz=UTC):%Y-%m-%d %H:%M:%S}"


def hour_text(seconds: float) -> str:
    """Write an instant (epoch seconds) to the hour."""
    return f"{datetime.fromtimestamp(int(seconds), tz=UTC):%Y-%m-%d %H:00}"


def day_text(seconds: float) -> str:
    """Write the day of an instant (epoch seconds)."""
    return f"{datetime.fromtimestamp(int(seconds), tz=UTC):%Y-%m-%d}"


def short_text(seconds: float) -> str:
    """Write an instant (epoch seconds) by its day alone where a day begins then, as most periods do."""
    return day_text(seconds) if int(seconds) % DAY_SECONDS == 0 else instant_text(seconds)


def span_text(seconds: int) -> str:
    """Write how long something takes by its two largest units."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{rest} s"


def next_month(seconds: float) -> float:
    """Return when the month after the one of an instant begins (both epoch seconds)."""
    first = datetime.fromtimestamp(seconds, tz=UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    in_next = datetime.fromtimestamp(first.timestamp() + 32 * DAY_SECONDS, tz=UTC)
    return in_next.replace(day=1).timestamp()
