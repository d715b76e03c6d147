"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.config.duration import EXACT, duration_text, parse_duration
from meterledger.domain.instant import DAY, HOUR, MILLISECOND, MINUTE, SECOND
from support.properties import steady


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90 * SECOND),
        ("15m", 15 * MINUTE),
        ("1h", HOUR),
        ("72h", 72 * HOUR),
        ("3d", 3 * DAY),
        ("1h30m", HOUR + 30 * MINUTE),
        ("1d2h3m4s", DAY + 2 * HOUR + 3 * MINUTE + 4 * SECOND),
        ("50ms", 50 * MILLISECOND),
        ("1m500ms", MINUTE + 500 * MILLISECOND),
        ("0s", 0),
        (" 5m ", 5 * MINUTE),
    ],
)
def test_durations_are_read(text: str, expected: int) -> None:
    """Days, hours, minutes, seconds and milliseconds add up, to microseconds."""
    assert expected == parse_duration(text)


@pytest.mark.parametrize(
    "text",
    ["", "5", "m", "-5m", "1.5h", "1 h", "1w", "1h 30m", "5M", "\u0665m", "1h30", "PT1H", "1000000000d"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A number without a unit, another unit or another notation is refused with an example."""
    with pytest.raises(ValueError, match="no duration; write it like"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("microseconds", "expected"),
    [
        (0, "0s"),
        (999_999, "0s"),
        (45 * SECOND, "45s"),
        (-45 * SECOND, "-45s"),
        (HOUR, "1h"),
        (HOUR + SECOND, "1h"),
        (26 * HOUR + 3 * MINUTE, "1d 2h"),
        (DAY, "1d"),
        (90 * MINUTE, "1h 30m"),
        (61 * SECOND, "1m 1s"),
    ],
)
def test_durations_are_written_in_two_units(microseconds: int, expected: str) -> None:
    """The two largest units are written, the rest is cut."""
    assert expected == duration_text(microseconds)


def test_a_limit_is_written_to_the_second() -> None:
    """What is compared with a limit is not cut: an hour and a second is over the hour."""
    assert duration_text(HOUR + SECOND, units=EXACT) == "1h 1s"
    assert duration_text(DAY + 15 * MINUTE, units=EXACT) == "1d 15m"


@steady
@given(count=st.integers(1, 23), unit=st.sampled_from(["h", "m", "s"]))
def test_one_unit_reads_back(count: int, unit: str) -> None:
    """What is written for a whole unit reads back as the same duration."""
    duration = parse_duration(f"{count}{unit}")

    assert parse_duration(duration_text(duration)) == duration
