"""Instants and spans as people read them, in UTC."""

from meterledger.simulator.instants import DAY_SECONDS, LATEST_EPOCH_SECONDS, calendar_moment


def instant_text(seconds: float) -> str:
    """Write an instant (epoch seconds) to the second."""
    return f"{calendar_moment(int(seconds)):%Y-%m-%d %H:%M:%S}"


def hour_text(seconds: float) -> str:
    """Write an instant (epoch seconds) to the hour."""
    return f"{calendar_moment(int(seconds)):%Y-%m-%d %H:00}"


def day_text(seconds: float) -> str:
    """Write the day of an instant (epoch seconds)."""
    return f"{calendar_moment(int(seconds)):%Y-%m-%d}"


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
    """Return when the month after the one of an instant begins, or the calendar ends (all epoch seconds)."""
    first = calendar_moment(seconds).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    in_next = calendar_moment(first.timestamp() + 32 * DAY_SECONDS)
    return LATEST_EPOCH_SECONDS if in_next.month == first.month else in_next.replace(day=1).timestamp()
