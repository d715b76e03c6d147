"""
Exact quantities: an integer and its scale, never a float.

``Quantity(1250, 2)`` is 12.50. The scale is the decimal places of the meter at import, so a stored
quantity keeps its meaning when the meter's config changes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import msgspec

from meterledger.errors import LedgerError

MAX_DIGITS = 15
"""Significant digits Stripe takes in one value (since 2026-04-22)."""

MAX_STORED_DIGITS = 18
"""Digits and places together that fit a signed 64-bit integer."""

MAX_STORED = 10**MAX_STORED_DIGITS - 1

_PLAIN_DECIMAL = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?", re.ASCII)


class QuantityOverflowError(LedgerError, ArithmeticError):
    """A sum has more digits than the ledger stores."""


class Quantity(msgspec.Struct, frozen=True):
    """An exact decimal: ``units`` divided by ten to the power of ``scale``."""

    units: int
    scale: int

    def __str__(self) -> str:
        """Plain decimal text without exponent, plus sign or trailing zeros."""
        return decimal_text(self.units, self.scale)

    def __add__(self, other: Self) -> "Quantity":
        """Add, aligned to the finer scale; raises QuantityOverflowError past 18 digits."""
        scale = max(self.scale, other.scale)
        units = rescaled(self.units, self.scale, scale) + rescaled(other.units, other.scale, scale)
        if abs(units) > MAX_STORED:
            raise QuantityOverflowError(
                f"a total of {decimal_text(units, scale)} has more than {MAX_STORED_DIGITS} digits",
                hint="ask for one --customer or --meter at a time",
            )
        return Quantity(units, scale)


ZERO = Quantity(0, 0)


def rescaled(units: int, scale: int, to_scale: int) -> int:
    """Return the units at a finer scale; ``to_scale`` must not be smaller than ``scale``."""
    factor: int = 10 ** (to_scale - scale)
    return units * factor


def same_value(units: int, scale: int, other_units: int, other_scale: int) -> bool:
    """Tell whether two quantities are equal by value, whatever their scales."""
    finest = max(scale, other_scale)
    return rescaled(units, scale, finest) == rescaled(other_units, other_scale, finest)


def decimal_text(units: int, scale: int) -> str:
    """Write units at a scale as plain decimal text: ``decimal_text(1250, 2) == "12.5"``."""
    if scale == 0:
        return str(units)
    sign = "-" if units < 0 else ""
    digits = str(abs(units)).rjust(scale + 1, "0")
    fraction = digits[-scale:].rstrip("0")
    return f"{sign}{digits[:-scale]}.{fraction}" if fraction else f"{sign}{digits[:-scale]}"


def exact_sum(units_by_scale: Mapping[int, int]) -> tuple[int, int]:
    """Return the sum of units at several scales, as units at the smallest scale that holds it exactly."""
    scale = max(units_by_scale, default=0)
    units = sum(rescaled(units, own, scale) for own, units in units_by_scale.items())
    while scale and units % 10 == 0:
        units, scale = units // 10, scale - 1
    return units, scale


def fits_one_value(units: int, scale: int) -> bool:
    """Tell whether Stripe takes a value: by the digits of the text that is sent."""
    return len(decimal_text(abs(units), scale).replace(".", "").lstrip("0")) <= MAX_DIGITS


@dataclass(frozen=True, slots=True)
class PlainDecimal:
    """A decimal as written, without trailing zeros: sign, digits before and after the point."""

    negative: bool
    whole: str
    fraction: str

    def __str__(self) -> str:
        """Plain decimal text."""
        sign = "-" if self.negative else ""
        return f"{sign}{self.whole}.{self.fraction}" if self.fraction else f"{sign}{self.whole}"

    @property
    def digits(self) -> int:
        """Significant digits as Stripe counts them in the text that is sent."""
        return len((self.whole + self.fraction).lstrip("0")) or 1

    def units_at(self, scale: int) -> int:
        """Return the value as units of ``10**-scale``; the fraction must fit."""
        units = int(self.whole + self.fraction.ljust(scale, "0"))
        return -units if self.negative else units


def parse_plain_decimal(text: str) -> PlainDecimal | None:
    """Read ASCII decimal text such as ``12.50`` or ``-3``; None for anything else, exponents included."""
    match = _PLAIN_DECIMAL.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction = match.groups()
    fraction = (fraction or "").rstrip("0")
    whole = whole.lstrip("0") or "0"
    is_zero = whole == "0" and not fraction
    return PlainDecimal(sign == "-" and not is_zero, whole, fraction)
