"""Instants: what is read as a time, what is refused, and nothing guessed."""

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
    seconds_floor,
    to_datetime,
    to_text,
)
from support.properties import steady

OCTOBER = 1_790_812_800_000_000  # 2026-10-01T00:00:00Z
BERLIN = tz.gettz("Europe/Berlin")
SANTIAGO = tz.gettz("America/Santiago")
APIA = tz.gettz("Pacific/Apia")
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9998, 12, 30))  # noqa: DTZ001 # made aware in the tests


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-01T00:00:00Z", OCTOBER),
        ("2026-10-01t00:00:00z", OCTOBER),
        ("2026-10-01 00:00:00Z", OCTOBER),
        ("2026-10-01T00:00:00+00:00", OCTOBER),
        ("2026-10-01T00:00:00-00:00", OCTOBER),
        ("2026-10-01T02:00:00+02:00", OCTOBER),
        ("2026-09-30T18:30:00-05:30", OCTOBER),
        ("2026-10-01T23:59:00+23:59", OCTOBER),
        ("2026-10-01T00:00:00.5Z", OCTOBER + 500_000),
        ("2026-10-01T00:00:00.000001Z", OCTOBER + 1),
        ("2026-10-01 02:00:00.25+02:00", OCTOBER + 250_000),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59Z", -1_000_000),
        ("1969-12-31T23:59:59.5Z", -500_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
    ],
)
def test_rfc_3339_is_read(text: str, expected: int) -> None:
    """RFC 3339 with an offset is read with T or a space, in either case, to the microsecond."""
    assert expected == parse_instant(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-01T00:00:00.1234567Z", OCTOBER + 123_456),
        ("2026-10-01T00:00:00.9999999Z", OCTOBER + 999_999),
        ("2026-10-01T00:00:00.999999999Z", OCTOBER + 999_999),
        ("2026-10-01T00:00:00.000000999999999999Z", OCTOBER),
        ("1969-12-31T23:59:59.9999999Z", -1),
    ],
)
def test_finer_than_a_microsecond_is_cut(text: str, expected: int) -> None:
    """Nanoseconds are cut and never rounded up into the next second."""
    assert expected == parse_instant(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("7", 7_000_000),
        ("1790812800", OCTOBER),
        ("99999999999", 99_999_999_999_000_000),
        ("100000000000", 100_000_000_000_000),
        ("1790812800000", OCTOBER),
        ("1790812800123", OCTOBER + 123_000),
        ("99999999999999", 99_999_999_999_999_000),
    ],
)
def test_the_number_of_digits_tells_the_unit_of_an_epoch(text: str, expected: int) -> None:
    """Up to 11 digits are seconds, 12 to 14 are milliseconds."""
    assert expected == parse_instant(text)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "now", "yesterday", "-1", "+1", "1.5", "1e9", "123456789012345", "1790812800000000", "0x10",
        "\u0661\u0667\u0669\u0660\u0668\u0661\u0662\u0668\u0660\u0660", "\uff11790812800", "2026-10-01",
        "2026-10-01T00:00Z", "20261001T000000Z", "2026-10-01T00:00:00+0200", "2026-10-01T00:00:00+02",
        "2026-10-01T00:00:00 Z",
        "2026-10-01T00:00:00,5Z", "2026-10-01T00:00:00.Z", "2026-10-1T00:00:00Z", "26-10-01T00:00:00Z",
        "01/10/2026 00:00:00", "2026-W40-4T00:00:00Z", "2026-10-01T00:00:00ZZ", "2026-10-01T00:00:00Z ",
        "2026-10-01T00:00:00CET", "2026-10-01  00:00:00Z", "2026-10-01\n00:00:00Z",
    ],
)  # fmt: skip
def test_other_forms_are_refused(text: str) -> None:
    """What is neither RFC 3339 nor an epoch of a known unit is refused, however a person might read it."""
    with pytest.raises(TimeError):
        parse_instant(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2026-10-01T24:00:00Z",
        "2026-10-01T25:00:00Z",
        "2026-10-01T00:60:00Z",
        "2026-10-01T00:00:61Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2026-10-01T00:00:00+24:00",
        "2026-10-01T00:00:00+05:60",
        "2026-10-01T00:00:00-99:99",
    ],
)
def test_what_no_calendar_holds_is_refused(text: str) -> None:
    """Dates, hours and offsets that do not exist are refused, not carried over into the next."""
    with pytest.raises(TimeError) as refused:
        parse_instant(text)

    assert not isinstance(refused.value, OffsetMissingError)


def test_a_leap_second_is_refused() -> None:
    """A 60th second has no place on the epoch's clock, and moving it would be a guess."""
    with pytest.raises(TimeError):
        parse_instant("2016-12-31T23:59:60Z")


@pytest.mark.parametrize("text", ["2026-10-01T00:00:00", "2026-10-01 00:00:00.5"])
def test_a_time_without_offset_is_refused_as_such(text: str) -> None:
    """Without an offset and without a declared time zone there is no instant, and the error says which."""
    with pytest.raises(OffsetMissingError, match="offset"):
        parse_instant(text)


def test_a_date_of_no_calendar_is_that_before_it_lacks_an_offset() -> None:
    """30 February is no time at all; that it has no offset either is the lesser fault."""
    with pytest.raises(TimeError) as refused:
        parse_instant("2026-02-30T00:00:00")

    assert not isinstance(refused.value, OffsetMissingError)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-01T02:00:00", "2026-10-01T00:00:00Z"),
        ("2026-12-01T02:00:00.5", "2026-12-01T01:00:00.500000Z"),
        ("2026-03-29T01:59:59.999999", "2026-03-29T00:59:59.999999Z"),
        ("2026-03-29T03:00:00", "2026-03-29T01:00:00Z"),
        ("2026-10-25T01:59:59.999999", "2026-10-24T23:59:59.999999Z"),
        ("2026-10-25T03:00:00", "2026-10-25T02:00:00Z"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z"),
        ("2026-10-25T02:30:00Z", "2026-10-25T02:30:00Z"),
        ("1790812800", "2026-10-01T00:00:00Z"),
    ],
)
def test_a_declared_zone_stands_in_for_a_missing_offset_only(text: str, expected: str) -> None:
    """The zone of a source reads local times; an offset or an epoch in the text is stronger."""
    assert expected == to_text(parse_instant(text, BERLIN))


@pytest.mark.parametrize(
    ("text", "zone", "word"),
    [
        ("2026-10-25T02:00:00", "Europe/Berlin", "twice"),
        ("2026-10-25T02:59:59.999999", "Europe/Berlin", "twice"),
        ("2026-03-29T02:00:00", "Europe/Berlin", "skipped"),
        ("2026-03-29T02:59:59", "Europe/Berlin", "skipped"),
        ("2026-11-01T01:30:00", "America/New_York", "twice"),
        ("2026-03-08T02:30:00", "America/New_York", "skipped"),
        ("2011-12-30T12:00:00", "Pacific/Apia", "skipped"),
        ("2026-02-30T00:00:00", "Europe/Berlin", "calendar"),
        ("0001-01-01T00:00:00", "Europe/Berlin", "calendar"),
    ],
)
def test_a_local_time_that_is_not_exactly_one_instant_is_refused(text: str, zone: str, word: str) -> None:
    """A local time that clocks showed twice or skipped is refused even where the zone is known."""
    with pytest.raises(TimeError, match=word) as refused:
        parse_instant(text, tz.gettz(zone))

    assert not isinstance(refused.value, OffsetMissingError)


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (0, 0),
        (999_999, 0),
        (1_000_000, 1),
        (-1, -1),
        (-1_000_000, -1),
        (-1_000_001, -2),
        (OCTOBER - 1, OCTOBER // 1_000_000 - 1),
    ],
)
def test_seconds_are_the_floor(instant: int, expected: int) -> None:
    """The second of an instant is rounded down on both sides of the epoch, never to a later period."""
    assert expected == seconds_floor(instant)


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (OCTOBER + 500_000, "2026-10-01T00:00:00.500000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_instants_are_written_in_utc(instant: int, expected: str) -> None:
    """Text is RFC 3339 in UTC, with a fraction only where there is one."""
    assert expected == to_text(instant)


@steady
@given(moment=MOMENTS, minutes=st.integers(-14 * 60, 14 * 60))
def test_an_instant_survives_every_offset_it_is_written_at(moment: datetime, minutes: int) -> None:
    """The same moment at any offset is the same instant, and its own text reads back as it."""
    aware = moment.replace(tzinfo=UTC)
    elapsed = aware - datetime(1970, 1, 1, tzinfo=UTC)
    expected = (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds
    elsewhere = aware.astimezone(timezone(timedelta(minutes=minutes)))

    assert expected == from_datetime(aware)
    assert expected == from_datetime(elsewhere)
    assert expected == parse_instant(elsewhere.isoformat())
    assert expected == parse_instant(to_text(expected))
    assert aware == to_datetime(expected)


@steady
@given(
    moment=st.datetimes(datetime(1990, 1, 1), datetime(2036, 1, 1)),  # noqa: DTZ001 # a local time is the point
    zone=st.sampled_from([BERLIN, SANTIAGO, APIA]),
)
def test_a_local_time_is_read_back_on_the_clock_it_was_read_from(moment: datetime, zone: tz.tzfile) -> None:
    """Where a local time is read at all, clocks of that zone show exactly it at that instant, and once."""
    try:
        instant = parse_instant(moment.isoformat(), zone)
    except TimeError:
        local = moment.replace(tzinfo=zone)
        assert tz.datetime_ambiguous(local) or not tz.datetime_exists(local)
    else:
        assert to_datetime(instant).astimezone(zone).replace(tzinfo=None) == moment
