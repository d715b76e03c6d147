"""Exact quantities: reading, writing and adding without a float."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.quantity import (
    MAX_STORED,
    ZERO,
    PlainDecimal,
    Quantity,
    QuantityOverflowError,
    decimal_text,
    parse_plain_decimal,
    rescaled,
    same_value,
)
from support.properties import steady

PLAIN = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")
UNITS = st.integers(-MAX_STORED, MAX_STORED)
SCALES = st.integers(0, 12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", PlainDecimal(negative=False, whole="0", fraction="")),
        ("12", PlainDecimal(negative=False, whole="12", fraction="")),
        ("12.50", PlainDecimal(negative=False, whole="12", fraction="5")),
        ("12.00", PlainDecimal(negative=False, whole="12", fraction="")),
        ("007", PlainDecimal(negative=False, whole="7", fraction="")),
        ("000.10", PlainDecimal(negative=False, whole="0", fraction="1")),
        ("+3", PlainDecimal(negative=False, whole="3", fraction="")),
        ("-3.25", PlainDecimal(negative=True, whole="3", fraction="25")),
        ("-0", PlainDecimal(negative=False, whole="0", fraction="")),
        ("-0.00", PlainDecimal(negative=False, whole="0", fraction="")),
        ("-0.01", PlainDecimal(negative=True, whole="0", fraction="01")),
        ("9" * 40 + ".5", PlainDecimal(negative=False, whole="9" * 40, fraction="5")),
    ],
)
def test_plain_decimals_are_read_as_written(text: str, expected: PlainDecimal) -> None:
    """Leading zeros and zeros after the last digit of a fraction carry no value; nothing else is dropped."""
    assert expected == parse_plain_decimal(text)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", " 1", "1 ", "1\n", "e", "1e3", "1E3", "1e-3", ".5", "5.", ".", "+", "-", "--1", "+-1",
        "1.2.3", "1,000", "1_000", "0x10", "NaN", "nan", "Infinity", "inf", "-inf", "1/2", "\u0661\u0662",
        "\uff11", "\u00bd", "1\u00a0000", "\u22125", "true", "null",
    ],
)  # fmt: skip
def test_anything_but_a_plain_decimal_is_refused(text: str) -> None:
    """Exponents, separators, other digits and words are no quantity: nothing is guessed."""
    assert parse_plain_decimal(text) is None


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("0", 1),
        ("0.00", 1),
        ("7", 1),
        ("0.001", 1),
        ("0.0010", 1),
        ("100", 3),
        ("100.5", 4),
        ("123456789012345", 15),
        ("1234567890123456", 16),
        ("12345678901234.50", 15),
    ],
)
def test_digits_are_counted_as_sent(text: str, digits: int) -> None:
    """Zeros before the first digit do not count, zeros that are dropped do not either."""
    found = parse_plain_decimal(text)

    assert found is not None
    assert digits == found.digits


@pytest.mark.parametrize(
    ("units", "scale", "expected"),
    [
        (0, 0, "0"),
        (0, 3, "0"),
        (1250, 2, "12.5"),
        (1200, 2, "12"),
        (5, 1, "0.5"),
        (-5, 1, "-0.5"),
        (1, 12, "0.000000000001"),
        (-1, 12, "-0.000000000001"),
        (10**17, 0, "100000000000000000"),
        (MAX_STORED, 12, "999999.999999999999"),
        (-1250, 2, "-12.5"),
    ],
)
def test_quantities_are_written_plainly(units: int, scale: int, expected: str) -> None:
    """Text has no exponent, no plus sign and no trailing zeros, at both ends of the range."""
    assert expected == decimal_text(units, scale)


@steady
@given(units=UNITS, scale=SCALES)
def test_text_is_plain_exact_and_reads_back(units: int, scale: int) -> None:
    """Whatever the units and scale, the text is plain, means exactly that value, and reads back as it."""
    text = str(Quantity(units, scale))
    back = parse_plain_decimal(text)

    assert PLAIN.fullmatch(text)
    assert Fraction(text) == Fraction(units, 10**scale)
    assert back is not None
    assert back.units_at(scale) == units


@steady
@given(first=st.tuples(UNITS, SCALES), second=st.tuples(UNITS, SCALES))
def test_adding_is_exact_or_an_error(first: tuple[int, int], second: tuple[int, int]) -> None:
    """A sum is exact at the finer scale, or an error once it has more digits than are stored."""
    finer = max(first[1], second[1])
    exact = Fraction(first[0], 10 ** first[1]) + Fraction(second[0], 10 ** second[1])
    try:
        total = Quantity(*first) + Quantity(*second)
    except QuantityOverflowError:
        assert abs(exact * 10**finer) > MAX_STORED
    else:
        assert total.scale == finer
        assert Fraction(total.units, 10**total.scale) == exact
        assert abs(total.units) <= MAX_STORED


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (Quantity(1, 0), Quantity(5, 1), Quantity(15, 1)),
        (Quantity(125, 2), Quantity(1, 3), Quantity(1251, 3)),
        (ZERO, Quantity(7, 3), Quantity(7, 3)),
        (Quantity(MAX_STORED - 1, 0), Quantity(1, 0), Quantity(MAX_STORED, 0)),
    ],
)
def test_scales_are_aligned(first: Quantity, second: Quantity, expected: Quantity) -> None:
    """Two scales meet at the finer one, in either order."""
    assert expected == first + second
    assert expected == second + first


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Quantity(MAX_STORED, 0), Quantity(1, 0)),
        (Quantity(-MAX_STORED, 0), Quantity(-1, 0)),
        (Quantity(10**6, 0), Quantity(1, 12)),
    ],
)
def test_overflow_is_an_error(first: Quantity, second: Quantity) -> None:
    """A total with more than 18 digits is refused, never wrapped or rounded."""
    with pytest.raises(QuantityOverflowError, match="more than 18 digits"):
        _ = first + second


@steady
@given(units=st.integers(-(10**6), 10**6), scale=st.integers(0, 6), finer=st.integers(0, 6))
def test_equal_by_value_whatever_the_scale(units: int, scale: int, finer: int) -> None:
    """1.5 and 1.500 are the same quantity, and one unit more at the finer scale is not."""
    aligned = rescaled(units, scale, scale + finer)

    assert same_value(units, scale, aligned, scale + finer)
    assert not same_value(units, scale, aligned + 1, scale + finer)
