"""
Time formats: how a source writes its times, and the function that reads them.

A source declares one format for all its times. The rules of time zones are those of ``instant``:
nothing is guessed, whatever the format.
"""

import re
from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import lru_cache, partial

from dateutil.parser import isoparser

from meterledger.domain.instant import (
    EPOCH,
    Instant,
    OffsetMissingError,
    TimeError,
    from_datetime,
    from_local,
    parse_instant,
)

TimeParser = Callable[[str], Instant]
"""Reads a time; raises TimeError or OffsetMissingError."""

DEFAULT_TIME_FORMAT = "rfc3339"
_MICROSECOND_PLACES = 6
_UNITS = {
    "epoch_seconds": 6,
    "epoch_milliseconds": 3,
    "epoch_microseconds": 0,
    "epoch_nanoseconds": -3,
}
"""Epoch formats, and how many places a unit is above a microsecond."""

TIME_FORMATS = (DEFAULT_TIME_FORMAT, "iso8601", *_UNITS, "epoch_seconds_or_iso8601")
"""The formats with a name; any other format is a pattern."""

_EPOCH = re.compile(r"([0-9]{1,24})(?:\.([0-9]{1,24}))?")
_LAST_YEAR = 9999
_END = from_datetime(EPOCH.replace(year=_LAST_YEAR))

_ISO_8601 = re.compile(
    r"(\d{4}-\d\d-\d\d|\d{8}|\d{4}-W\d\d-\d|\d{4}W\d{3}|\d{4}-\d{3}|\d{7})[T ]"
    r"(\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?|\d{4}(?:\d\d(?:[.,]\d+)?)?)"
    r"(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_ISO_PARSER = isoparser(sep="T")

_LIKELY_EPOCHS = (
    (re.compile(r"[0-9]{9,11}\.[0-9]+"), "epoch_seconds"),
    (re.compile(r"[0-9]{12,14}\.[0-9]+"), "epoch_milliseconds"),
    (re.compile(r"[0-9]{15,17}"), "epoch_microseconds"),
    (re.compile(r"[0-9]{18,20}"), "epoch_nanoseconds"),
)
_LIKELY_DATES = (
    "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%Y.%m.%d", "%d/%b/%Y",
    "%d %b %Y", "%d-%b-%Y",
)  # fmt: skip
_LIKELY_CLOCKS = (
    " %H:%M:%S", " %H:%M", " %H:%M:%S.%f", " %I:%M:%S %p", " %I:%M %p", ", %H:%M:%S", ", %H:%M", "T%H:%M:%S",
    "T%H:%M", " %H:%M:%S %z", " %H:%M %z", ":%H:%M:%S %z",
)  # fmt: skip

_DIRECTIVE = re.compile(r"%(.)|(\s+)|(.)", re.DOTALL)
_DIGITS = {"Y": 4, "y": 2, "m": 2, "d": 2, "H": 2, "I": 2, "M": 2, "S": 2, "j": 3}
_WORDS = {
    "b": r"[A-Za-z]+",
    "B": r"[A-Za-z]+",
    "a": r"[A-Za-z]+",
    "A": r"[A-Za-z]+",
    "p": r"[AaPp][Mm]",
    "z": r"(?:[Zz]|[+-]\d\d:?\d\d)",
    "f": r"(?P<fraction>\d+)",
    "%": "%",
}


def time_parser(time_format: str, zone: tzinfo | None) -> TimeParser:
    """Return what reads the times of a format; raises ValueError if it is neither a name nor a pattern."""
    if time_format == DEFAULT_TIME_FORMAT:
        return parse_instant if zone is None else partial(parse_instant, zone=zone)
    if time_format in _UNITS:
        return partial(_from_epoch, time_format, _UNITS[time_format])
    if time_format == "iso8601":
        return partial(_from_iso, zone)
    if time_format == "epoch_seconds_or_iso8601":
        return partial(_from_epoch_or_iso, zone)
    return partial(_from_pattern, zone, time_format, _shape(time_format))


def example_of(time_format: str) -> str:
    """Return how a time is written in a format, for the mend in a message."""
    at = 1_793_491_199
    if time_format == DEFAULT_TIME_FORMAT:
        return "2026-10-31T23:59:59Z"
    if time_format in _UNITS:
        places = _UNITS[time_format] - _MICROSECOND_PLACES
        return f"{at}{'0' * -places}"
    if time_format in TIME_FORMATS:
        return "20261031T235959Z" if time_format == "iso8601" else f"{at} or 20261031T235959Z"
    return datetime(2026, 10, 31, 23, 59, 59, tzinfo=EPOCH.tzinfo).strftime(time_format)


def likely_formats(text: str) -> list[str]:
    """Return the formats a source could declare to have a time read that its own format does not read."""
    for shape, name in _LIKELY_EPOCHS:
        if shape.fullmatch(text):
            return [name]
    # Which patterns fit depends on where digits stand, and the times of a file are written alike.
    return [one for one in _fitting_formats(re.sub(r"[0-9]", "0", text)) if _is_read(one, text)]


@lru_cache(maxsize=256)
def _fitting_formats(shape: str) -> tuple[str, ...]:
    if _ISO_8601.fullmatch(shape):
        return ("iso8601",)
    patterns = (date + clock for date in _LIKELY_DATES for clock in _LIKELY_CLOCKS)
    return tuple(one for one in patterns if _shape(one).fullmatch(shape))


def _is_read(time_format: str, text: str) -> bool:
    try:
        time_parser(time_format, EPOCH.tzinfo)(text)
    except TimeError:
        return False
    return True


def _from_epoch(name: str, places: int, text: str) -> Instant:
    match = _EPOCH.fullmatch(text)
    if match is None:
        raise TimeError(f"it is no number of {name}")
    digits = match[1] + (match[2] or "")[: max(places, 0)].ljust(max(places, 0), "0")
    too_fine: int = 10 ** max(-places, 0)
    instant = int(digits) // too_fine
    if instant >= _END:
        raise TimeError(f"it is in no billing period that ends, as {name}")
    return instant


def _from_epoch_or_iso(zone: tzinfo | None, text: str) -> Instant:
    if _EPOCH.fullmatch(text):
        return _from_epoch("epoch_seconds", _UNITS["epoch_seconds"], text)
    try:
        return _from_iso(zone, text)
    except OffsetMissingError:
        raise
    except TimeError as error:
        raise TimeError(str(error).replace("no ISO 8601", "neither epoch seconds nor ISO 8601")) from error


def _from_iso(zone: tzinfo | None, text: str) -> Instant:
    match = _ISO_8601.fullmatch(text)
    if match is None:
        raise TimeError("it is no ISO 8601 with a date and a time")
    date, clock, offset = match.groups()
    try:
        moment = _ISO_PARSER.isoparse(f"{date}T{clock}{offset or ''}")
    except (ValueError, OverflowError) as error:
        raise TimeError("it is no date and time of the calendar") from error
    return _instant(moment, zone)


def _from_pattern(zone: tzinfo | None, pattern: str, shape: re.Pattern[str], text: str) -> Instant:
    match = shape.fullmatch(text)
    if match is None:
        raise TimeError(f"it is not written as {pattern}")
    if "fraction" in shape.groupindex:
        begin, end = match.span("fraction")
        # strptime takes six digits at most; finer ones are cut.
        text = text[: min(end, begin + _MICROSECOND_PLACES)] + text[end:]
    try:
        moment = datetime.strptime(text, pattern)  # noqa: DTZ007 # the zone is looked at below
    except ValueError as error:
        raise TimeError(f"it is no date and time of the calendar, written as {pattern}") from error
    return _instant(moment, zone)


def _instant(moment: datetime, zone: tzinfo | None) -> Instant:
    if moment.year >= _LAST_YEAR:
        raise TimeError("it is in no billing period that ends")
    if moment.tzinfo is None:
        return from_local(moment, zone)
    try:
        return from_datetime(moment)
    except OverflowError as error:
        raise TimeError("it is no date and time of the calendar") from error


def _shape(pattern: str) -> re.Pattern[str]:
    """
    Return the expression that text of a pattern matches; raises ValueError if it is no usable pattern.

    strptime alone would take other scripts' digits, and guess where digits stand side by side.
    """
    parts = _DIRECTIVE.findall(pattern)
    _check_directives(pattern, [directive for directive, _, _ in parts if directive])
    written = []
    for index, (directive, space, literal) in enumerate(parts):
        if directive in _DIGITS:
            neighbours = parts[index - 1 : index] + parts[index + 1 : index + 2]
            is_glued = any(part[0] in _DIGITS or part[0] == "f" for part in neighbours)
            width = _DIGITS[directive]
            written.append(rf"\d{{{width if is_glued or directive in 'Yyj' else 1},{width}}}")
        elif directive:
            written.append(_WORDS[directive])
        else:
            written.append(r"\s+" if space else re.escape(literal))
    return re.compile("".join(written), re.ASCII | re.IGNORECASE)


def _check_directives(pattern: str, directives: list[str]) -> None:
    if not directives:
        raise ValueError(
            f"'{pattern}' is no time format; there are {', '.join(TIME_FORMATS)}, "
            'and patterns such as "%d/%m/%Y %H:%M:%S"'
        )
    for directive in directives:
        if directive not in _DIGITS and directive not in _WORDS:
            raise ValueError(f"'{pattern}': %{directive} cannot be read")
        if directive != "%" and directives.count(directive) > 1:
            raise ValueError(f"'{pattern}': %{directive} stands twice")
    found = set(directives)
    if not found & {"Y", "y"} or not ("j" in found or ("d" in found and found & {"m", "b", "B"})):
        raise ValueError(f"'{pattern}' lacks the year, the month or the day")
    if "M" not in found or not ("H" in found or {"I", "p"} <= found):
        raise ValueError(f"'{pattern}' lacks the hour or the minute; %I needs %p")
    for one, other in (("Y", "y"), ("H", "I"), ("H", "p"), ("m", "b"), ("m", "B"), ("b", "B"), ("j", "d")):
        if {one, other} <= found:
            raise ValueError(f"'{pattern}': %{one} and %{other} say the same")
