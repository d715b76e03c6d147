"""
Instants: microseconds since the epoch, in UTC, as integers.

Text is RFC 3339. Nothing is guessed: a time without an offset is only read where a source names its
time zone, and then only where that zone has exactly one such instant.
"""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

from dateutil import tz

Instant = int

MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = EPOCH.toordinal()
_DAY_SECONDS = DAY // SECOND
MAX_SECONDS_DIGITS = 11

_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?", re.ASCII
)
_LAST_YEAR = "9999"
_INTEGER = re.compile(r"\d{1,14}", re.ASCII)


class TimeError(ValueError):
    """The text is no time that a ledger could hold; the message says why."""


class OffsetMissingError(TimeError):
    """The text is a time without an offset, and nothing declares its time zone."""


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of an aware datetime, exact to the microsecond."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    days = moment.toordinal() - _EPOCH_ORDINAL
    seconds = ((days * 24 + moment.hour) * 60 + moment.minute) * 60 + moment.second
    return seconds * SECOND + moment.microsecond


def to_datetime(instant: Instant) -> datetime:
    """Return the aware UTC datetime of an instant."""
    return EPOCH + timedelta(microseconds=instant)


def to_text(instant: Instant) -> str:
    """Write an instant as RFC 3339 in UTC; a fraction only where there is one."""
    return to_datetime(instant).isoformat().replace("+00:00", "Z")


def seconds_text(seconds: int) -> str:
    """Write epoch seconds as `to_text` does, for many that are near each other."""
    days, rest = divmod(seconds, _DAY_SECONDS)
    minutes, second = divmod(rest, 60)
    return f"{_date_text(days)}T{minutes // 60:02}:{minutes % 60:02}:{second:02}Z"


@lru_cache(maxsize=64)
def _date_text(days: int) -> str:
    return date.fromordinal(_EPOCH_ORDINAL + days).isoformat()


def seconds_floor(instant: Instant) -> int:
    """Return the epoch second an instant lies in: rounded down, so usage never moves to a later period."""
    return instant // SECOND


def parse_instant(text: str, zone: tzinfo | None = None) -> Instant:
    """
    Read RFC 3339 (``T`` or a space) or epoch seconds (up to 11 digits) or milliseconds (12 to 14).

    Digits finer than a microsecond are cut. Raises TimeError or OffsetMissingError.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        return _from_epoch_text(text)
    date, clock, fraction, offset = match.groups()
    if date.startswith(_LAST_YEAR):
        raise TimeError("it is in no billing period that ends")
    micros = int(fraction[:6].ljust(6, "0")) if fraction else 0
    if offset is None:
        return _from_local(f"{date} {clock}", zone) + micros
    if offset in "Zz":
        offset = "+00:00"
    try:
        return from_datetime(datetime.fromisoformat(f"{date}T{clock}{offset}")) + micros
    except (ValueError, OverflowError) as error:
        raise TimeError("it is no date and time of the calendar") from error


def _from_epoch_text(text: str) -> Instant:
    if not _INTEGER.fullmatch(text):
        raise TimeError("it is neither RFC 3339 with an offset nor epoch seconds or milliseconds")
    if len(text) <= MAX_SECONDS_DIGITS:
        return int(text) * SECOND
    return int(text) * MILLISECOND


def _from_local(text: str, zone: tzinfo | None) -> Instant:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise TimeError("it is no date and time of the calendar") from error
    return from_local(moment, zone)


def from_local(moment: datetime, zone: tzinfo | None) -> Instant:
    """
    Return the instant of what clocks of a zone showed.

    Raises OffsetMissingError where there is no zone, and TimeError where the zone's clocks showed it
    twice or never.
    """
    if zone is None:
        raise OffsetMissingError("it has no offset, and its source declares no time_zone")
    moment = moment.replace(tzinfo=zone)
    try:
        if tz.datetime_ambiguous(moment):
            raise TimeError("its offset is missing, and clocks showed this time twice that day")
        if not tz.datetime_exists(moment):
            raise TimeError("its offset is missing, and clocks skipped this time that day")
        return from_datetime(moment)
    except OverflowError as error:
        raise TimeError("it is no date and time of the calendar") from error


def to_text_or_none(instant: Instant | None) -> str | None:
    """Write an instant where there is one."""
    return None if instant is None else to_text(instant)
