"""Time formats: what a source declares is read exactly, and nothing else is."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from dateutil import tz
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.instant import (
    OffsetMissingError,
    TimeError,
    from_datetime,
    parse_instant,
    to_datetime,
)
from meterledger.domain.time_format import TIME_FORMATS, example_of, likely_formats, time_parser
from support.properties import steady

LAST = 1_793_491_199_000_000  # 2026-10-31T23:59:59Z
BERLIN = tz.gettz("Europe/Berlin")
DAY_FIRST = "%d/%m/%Y %H:%M:%S"
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(9998, 12, 30))  # noqa: DTZ001 # made aware in the tests


@pytest.mark.parametrize(
    ("time_format", "text", "instant"),
    [
        ("rfc3339", "2026-10-31T23:59:59Z", LAST),
        ("rfc3339", "1793491199", LAST),
        ("iso8601", "2026-10-31T23:59:59Z", LAST),
        ("iso8601", "20261031T235959Z", LAST),
        ("iso8601", "2026-11-01 01:59:59+02", LAST),
        ("iso8601", "20261101T015959+0200", LAST),
        ("iso8601", "2026-W44-6T23:59:59Z", LAST),
        ("iso8601", "2026W446T235959Z", LAST),
        ("iso8601", "2026-304T23:59:59-00:00", LAST),
        ("iso8601", "2026-10-31T23:59Z", LAST - 59_000_000),
        ("iso8601", "2026-10-31T24:00Z", LAST + 1_000_000),
        ("iso8601", "2026-10-31T23:59:59,25Z", LAST + 250_000),
        ("iso8601", "2026-10-31T23:59:59.1234569Z", LAST + 123_456),
        ("epoch_seconds", "1793491199", LAST),
        ("epoch_seconds", "1793491199.5", LAST + 500_000),
        ("epoch_seconds", "1793491199.0000019", LAST + 1),
        ("epoch_seconds", "0", 0),
        ("epoch_milliseconds", "1793491199000", LAST),
        ("epoch_milliseconds", "1793491199000.0019", LAST + 1),
        ("epoch_milliseconds", "1", 1000),
        ("epoch_microseconds", "1793491199000000", LAST),
        ("epoch_microseconds", "1793491199000000.9", LAST),
        ("epoch_nanoseconds", "1793491199000001999", LAST + 1),
        ("epoch_seconds_or_iso8601", "1793491199.000001", LAST + 1),
        ("epoch_seconds_or_iso8601", "2026-10-31T23:59:59Z", LAST),
        ("%d/%m/%Y %H:%M:%S%z", "1/11/2026 01:59:59+02:00", LAST),
        ("%Y%m%d%H%M%S%fZ %z", "20261031235959999999999Z +0000", LAST + 999_999),
        ("%b %d, %Y %I:%M:%S %p %z", "oct 31, 2026 11:59:59 pm Z", LAST),
        ("%Y-%j %H:%M %z", "2026-304 23:59 +0000", LAST - 59_000_000),
        ("%d.%m.%y %H:%M %z", "31.10.26 23:59 +0000", LAST - 59_000_000),
    ],
)
def test_a_time_in_the_declared_format_is_read_exactly(time_format: str, text: str, instant: int) -> None:
    """Each format gives the very instant, and what is finer than a microsecond is cut."""
    assert instant == time_parser(time_format, None)(text)


@pytest.mark.parametrize(
    ("time_format", "text"),
    [
        ("iso8601", "2026-10-31"),
        ("iso8601", "2026-10"),
        ("iso8601", "2026-10-31T23Z"),
        ("iso8601", "2026-W44T23:59Z"),
        ("iso8601", "2026-02-30T00:00Z"),
        ("iso8601", "2026-10-31T25:00Z"),
        ("iso8601", "2026-10-31T23:59:60Z"),
        ("iso8601", "2026-10-31T23:59+25:00"),
        ("iso8601", "9999-10-31T23:59Z"),
        ("iso8601", "0001-01-01T00:00+14:00"),
        ("iso8601", "1793491199"),
        ("iso8601", "\uff12\uff10\uff12\uff16-10-31T23:59Z"),
        ("epoch_seconds", "-1"),
        ("epoch_seconds", "+1"),
        ("epoch_seconds", "1e9"),
        ("epoch_seconds", "1_793_491_199"),
        ("epoch_seconds", "1793491199."),
        ("epoch_seconds", ".5"),
        ("epoch_seconds", "\uff11\uff12"),
        ("epoch_seconds", "2026-10-31T23:59:59Z"),
        ("epoch_seconds", "253370764800"),
        ("epoch_nanoseconds", "9" * 400),
        ("epoch_seconds_or_iso8601", "31/10/2026"),
        (DAY_FIRST, "10/31/2026 23:59:59"),
        (DAY_FIRST, "2026-10-31T23:59:59Z"),
        (DAY_FIRST, "31/10/2026 23:59"),
        (DAY_FIRST, "31/10/26 23:59:59"),
        (DAY_FIRST, "\u0663\u0661/10/2026 23:59:59"),
        (DAY_FIRST, "30/02/2026 23:59:59"),
        (DAY_FIRST, "31/10/9999 23:59:59"),
        ("%Y%m%d%H%M", "2026131235"),
        ("%Y-%m-%d %H:%M %z", "0001-01-01 00:00 +1400"),
    ],
)
def test_what_is_not_in_the_declared_format_is_refused(time_format: str, text: str) -> None:
    """Another format, another script's digits, and what is on no calendar are no times, not guesses."""
    with pytest.raises(TimeError) as refused:
        time_parser(time_format, BERLIN)(text)

    assert not isinstance(refused.value, OffsetMissingError)


@pytest.mark.parametrize(
    ("time_format", "text"),
    [
        ("rfc3339", "2026-10-31T23:59:59"),
        ("iso8601", "20261031T2359"),
        ("epoch_seconds_or_iso8601", "20261031T2359"),
        (DAY_FIRST, "31/10/2026 23:59:59"),
    ],
)
def test_a_time_without_an_offset_needs_the_sources_time_zone(time_format: str, text: str) -> None:
    """Without a declared time zone a local time is refused as such; with one it is read there."""
    with pytest.raises(OffsetMissingError):
        time_parser(time_format, None)(text)

    assert to_datetime(time_parser(time_format, BERLIN)(text)).hour == 22


@pytest.mark.parametrize("clock", ["25/10/2026 02:30:00", "29/03/2026 02:30:00"])
def test_a_time_that_clocks_showed_twice_or_never_is_refused(clock: str) -> None:
    """In every format the hours of the clock change are refused where the offset is missing."""
    day, month, rest = clock.split("/")
    year, hour = rest.split(" ")
    for time_format, text in ((DAY_FIRST, clock), ("iso8601", f"{year}{month}{day}T{hour}")):
        with pytest.raises(TimeError):
            time_parser(time_format, BERLIN)(text)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("", "no time format"),
        ("epoch", "no time format"),
        ("%H:%M", "lacks the year"),
        ("%Y-%m %H:%M", "lacks the year, the month or the day"),
        ("%Y-%m-%d", "lacks the hour"),
        ("%Y-%m-%d %H", "lacks the hour or the minute"),
        ("%Y-%m-%d %I:%M", "%I needs %p"),
        ("%Y-%m-%d %H:%M %Z", "%Z cannot be read"),
        ("%c", "%c cannot be read"),
        ("%Y-%m-%d %H:%M %Y", "%Y stands twice"),
        ("%Y-%m-%d %H:%M %p", "%H and %p say the same"),
        ("%Y %y-%m-%d %H:%M", "%Y and %y say the same"),
    ],
)
def test_a_pattern_that_could_not_tell_a_minute_is_refused_at_once(pattern: str, complaint: str) -> None:
    """A pattern is checked before any row: it must name date, hour and minute, and nothing of the machine."""
    with pytest.raises(ValueError, match="'") as refused:
        time_parser(pattern, None)

    assert complaint in str(refused.value)


@pytest.mark.parametrize("time_format", [*TIME_FORMATS, DAY_FIRST, "%Y-%m-%d %H:%M"])
def test_the_example_of_a_format_can_be_read_in_it(time_format: str) -> None:
    """The mend that a message gives is right for the format that the source declares."""
    example = example_of(time_format).partition(" or ")[0]

    assert time_parser(time_format, UTC)(example) // 60_000_000 == LAST // 60_000_000


@steady
@given(moment=MOMENTS, minutes=st.integers(-14 * 60, 14 * 60))
def test_every_format_gives_back_the_instant_it_was_written_from(moment: datetime, minutes: int) -> None:
    """A moment written in any format, at any offset, is the same instant again."""
    aware = moment.replace(tzinfo=UTC)
    instant = from_datetime(aware)
    there = aware.astimezone(timezone(timedelta(minutes=minutes)))
    pattern = "%d.%m.%Y %H:%M:%S.%f %z"
    written = {
        "rfc3339": there.isoformat(),
        "iso8601": there.strftime("%G-W%V-%uT%H%M%S,%f%z"),
        "epoch_seconds": f"{instant // 1_000_000}.{instant % 1_000_000:06}",
        "epoch_milliseconds": f"{instant // 1000}.{instant % 1000:03}",
        "epoch_microseconds": str(instant),
        "epoch_nanoseconds": f"{instant}999",
        pattern: there.strftime(pattern),
    }

    assert {time_parser(name, None)(text) for name, text in written.items()} == {instant}


def test_the_default_format_costs_nothing_more() -> None:
    """Where nothing is declared, rows are read by the very function of instants."""
    assert time_parser("rfc3339", None) is parse_instant


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("1793491200000000", ["epoch_microseconds"]),
        ("1793491200000000000", ["epoch_nanoseconds"]),
        ("1793491200.25", ["epoch_seconds"]),
        ("20261031T235959Z", ["iso8601"]),
        ("30.10.2026 10:00", ["%d.%m.%Y %H:%M"]),
        ("31/10/2026 10:00:00", ["%d/%m/%Y %H:%M:%S"]),
        ("03/10/2026 10:00:00", ["%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"]),
        ("31/Oct/2026:10:00:00 +0200", ["%d/%b/%Y:%H:%M:%S %z"]),
        ("2026-10-31 10:00", ["iso8601"]),
        ("99.99.2026 10:00", []),
        ("2026-10-31", []),
        ("soon", []),
        ("", []),
    ],
)
def test_the_formats_that_could_read_a_time_are_known(text: str, formats: list[str]) -> None:
    """All that read it, where day and month could be either; none for what is no time with a clock."""
    assert likely_formats(text) == formats
