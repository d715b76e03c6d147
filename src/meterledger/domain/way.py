"""The ways into Stripe: which endpoint takes a meter event, and what each of them can take."""

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meterledger.domain.quantity import Quantity


class Way(StrEnum):
    """The way that an attempt takes."""

    V1 = "v1"
    """One meter event a request, checked at once."""
    V2 = "v2"
    """The same, as JSON, with codes that machines read."""
    STREAM = "stream"
    """Up to 100 meter events a request, checked later."""

    def takes(self, quantity: "Quantity") -> bool:
        """Tell whether a value can go this way: v2 and the stream take positive integers only."""
        return self is Way.V1 or is_positive_integer(quantity.units, quantity.scale)


def is_positive_integer(units: int, scale: int) -> bool:
    """Tell whether units at a scale are a positive integer."""
    return units > 0 and (scale == 0 or units % 10**scale == 0)
