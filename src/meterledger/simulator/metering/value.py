"""A meter event's value: exact, and small enough to be kept a million times."""

import re
from typing import NamedTuple

from meterledger.simulator.metering.tally import MAX_VALUE_TEXT

MAX_VALUE_DIGITS = 15  # digits, zeros in front not counted

_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class Value(NamedTuple):
    """A decimal as whole digits and the number of decimal places: 12.50 is 1250 and 2."""

    digits: int
    places: int

    def __str__(self) -> str:
        if not self.places:
            return str(self.digits)
        text = f"{abs(self.digits):0{self.places + 1}d}"
        sign = "-" if self.digits < 0 else ""
        return f"{sign}{text[: -self.places]}.{text[-self.places :]}"


ZERO_VALUE = Value(0, 0)


class TooManyDigitsError(ValueError):
    """A value has more digits than Stripe takes."""


def parse_value(text: str) -> Value:
    """
    Read a plain decimal.

    Raises:
        TooManyDigitsError: It has more than 15 digits.
        ValueError: It is no plain decimal, or longer than `MAX_VALUE_TEXT` characters.
    """
    if len(text) > MAX_VALUE_TEXT or _DECIMAL.fullmatch(text) is None:
        raise ValueError(text)
    whole, _, decimals = text.partition(".")
    if len(text.lstrip("-0.").replace(".", "")) > MAX_VALUE_DIGITS:
        raise TooManyDigitsError(text)
    return Value(int(whole + decimals), len(decimals))
