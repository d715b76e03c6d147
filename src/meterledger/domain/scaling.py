"""Scaling: from the unit of a source to the unit of a meter, exactly."""

import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from meterledger.domain.quantity import PlainDecimal

MAX_FACTOR_DIGITS = 18
_FACTOR = re.compile(rf"[0-9]{{1,{MAX_FACTOR_DIGITS}}}(?:\.[0-9]{{1,{MAX_FACTOR_DIGITS}}})?", re.ASCII)

MAX_SCALED_DIGITS = 60
"""Digits of a quantity that is worth scaling; one with more fits no ledger whatever the factor."""

_SHOWN_PLACES = 15


class Rounding(StrEnum):
    """How a scaled quantity is brought to its meter's decimal places, where a source asks for it."""

    UP = "up"
    DOWN = "down"
    HALF_EVEN = "half_even"


class InexactError(ValueError):
    """A scaled quantity does not fit its meter's decimal places; the message says how it looks."""


def factor_of(text: str) -> Fraction:
    """Read a factor from its text; raises ValueError unless it is a plain decimal above zero."""
    factor = Fraction(text) if _FACTOR.fullmatch(text) else Fraction()
    if factor <= 0:
        raise ValueError(f"'{text}' is no factor; write it like 1000000000 or \"0.5\", above zero")
    return factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """What a quantity is multiplied by, and whether it is rounded to its meter's decimal places."""

    factor: Fraction
    rounding: Rounding | None = None

    def scaled(self, number: PlainDecimal, decimal_places: int) -> PlainDecimal:
        """Return a quantity times the factor; raises InexactError if it does not fit and is not rounded."""
        whole = int(number.whole + number.fraction)
        exact = Fraction(whole, 10 ** len(number.fraction)) * self.factor
        units = exact * 10**decimal_places
        if units.denominator != 1 and self.rounding is None:
            raise InexactError(_shown(exact))
        digits = str(_rounded(units, self.rounding)).rjust(decimal_places + 1, "0")
        split = len(digits) - decimal_places
        fraction = digits[split:].rstrip("0")
        return PlainDecimal(number.negative, digits[:split].lstrip("0") or "0", fraction)

    def as_mapping(self) -> dict[str, str]:
        """Return it as JSON would hold it."""
        found = {"multiply_by": str(self.factor.numerator)}
        if self.factor.denominator != 1:
            found = found if self.factor.numerator != 1 else {}
            found["divide_by"] = str(self.factor.denominator)
        return found | ({"round": self.rounding.value} if self.rounding else {})


def _rounded(units: Fraction, rounding: Rounding | None) -> int:
    match rounding:
        case Rounding.UP:
            return -(-units.numerator // units.denominator)
        case Rounding.HALF_EVEN:
            return round(units)
        case _:
            return units.numerator // units.denominator


def _shown(exact: Fraction) -> str:
    """Write a quantity as far as a person wants to read it."""
    units, rest = divmod(exact * 10**_SHOWN_PLACES, 1)
    digits = str(units).rjust(_SHOWN_PLACES + 1, "0")
    text = f"{digits[:-_SHOWN_PLACES]}.{digits[-_SHOWN_PLACES:]}"
    return f"{text}…" if rest else text.rstrip("0")
