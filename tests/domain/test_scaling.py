"""Scaling: exact arithmetic between a source's unit and a meter's, rounded only where it is asked for."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.quantity import parse_plain_decimal
from meterledger.domain.scaling import InexactError, Rounding, Scaling, factor_of
from support.properties import steady


def scaled(text: str, factor: str, places: int, rounding: Rounding | None = None) -> str:
    """Return a quantity after scaling, as text."""
    number = parse_plain_decimal(text)
    assert number is not None
    return str(Scaling(factor=Fraction(factor), rounding=rounding).scaled(number, places))


@pytest.mark.parametrize(
    ("text", "factor", "places", "expected"),
    [
        ("1500000000", "1/1000000000", 3, "1.5"),
        ("0", "1/1000000000", 0, "0"),
        ("1.5", "60", 0, "90"),
        ("90", "1/60", 1, "1.5"),
        ("0.1", "1/3", 12, None),
        ("0.3", "1/3", 1, "0.1"),
        ("1", "1/3", 12, None),
        ("3", "1/3", 0, "1"),
        ("1500000001", "1/1000000000", 3, None),
        ("1", "1/1000000000", 12, "0.000000001"),
        ("9007199254740993", "1", 0, "9007199254740993"),
        ("9007199254740993", "1/1000", 3, "9007199254740.993"),
        ("-1500", "1/1000", 1, "-1.5"),
    ],
)
def test_a_quantity_is_scaled_exactly_or_not_at_all(
    text: str, factor: str, places: int, expected: str | None
) -> None:
    """What fits the meter's decimal places is exact to the last digit; what does not is refused."""
    if expected is not None:
        assert expected == scaled(text, factor, places)
        return
    with pytest.raises(InexactError):
        scaled(text, factor, places)


@pytest.mark.parametrize(
    ("text", "up", "down", "half_even"),
    [
        ("1500000001", "2", "1", "2"),
        ("2500000000", "3", "2", "2"),
        ("3500000000", "4", "3", "4"),
        ("1000000000", "1", "1", "1"),
        ("1", "1", "0", "0"),
        ("0", "0", "0", "0"),
    ],
)
def test_rounding_is_what_the_source_asks_for(text: str, up: str, down: str, half_even: str) -> None:
    """Rounding goes to the meter's decimal places, in the declared direction, and spares what fits."""
    found = [scaled(text, "1/1000000000", 0, rounding) for rounding in Rounding]

    assert found == [up, down, half_even]


@pytest.mark.parametrize(
    "text", ["0", "0.0", "-1", "1e3", "", " 1", "1/2", "\uff11", "1" * 19, "0." + "1" * 19]
)
def test_a_factor_is_a_plain_decimal_above_zero(text: str) -> None:
    """Zero, signs, exponents and factors without end are refused."""
    with pytest.raises(ValueError, match="is no factor"):
        factor_of(text)


def test_the_scaled_value_is_shown_where_it_does_not_fit() -> None:
    """A message shows what the quantity came to, and that it goes on where it does."""
    with pytest.raises(InexactError, match=r"^1\.500000001$"):
        scaled("1500000001", "1/1000000000", 3)
    with pytest.raises(InexactError, match=r"^0\.333333333333333…$"):
        scaled("1", "1/3", 3)


@steady
@given(
    whole=st.integers(0, 10**40),
    fraction=st.text("0123456789", max_size=20),
    up=st.integers(1, 10**18),
    down=st.integers(1, 10**18),
    places=st.integers(0, 12),
)
def test_scaling_is_fraction_arithmetic(whole: int, fraction: str, up: int, down: int, places: int) -> None:
    """For any quantity and factor the scaled text is the exact product, or there is none."""
    text = f"{whole}.{fraction}" if fraction else str(whole)
    exact = Fraction(text) * Fraction(up, down)
    fits = (exact * 10**places).denominator == 1
    try:
        found = scaled(text, f"{up}/{down}", places)
    except InexactError:
        assert not fits
    else:
        assert fits
        assert Fraction(found) == exact
    step = Fraction(1, 10**places)
    lower, upper, nearest = (
        Fraction(scaled(text, f"{up}/{down}", places, r))
        for r in (Rounding.DOWN, Rounding.UP, Rounding.HALF_EVEN)
    )
    assert lower <= exact <= upper
    assert upper - lower == (0 if fits else step)
    assert nearest in (lower, upper)
    assert abs(nearest - exact) * 2 <= step
