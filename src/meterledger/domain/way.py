"""The ways into Stripe: which endpoint takes a meter event, and what each of them can take."""

from enum import StrEnum

from meterledger.domain.quantity import Quantity


class Way(StrEnum):
    """The way that an attempt takes."""

    V1 = "v1"
    """One meter event a request, checked at once."""
    V2 = "v2"
    """The same, as JSON, with codes that machines read."""
    STREAM = "stream"
    """Up to 100 meter events a request, checked later."""

    def takes(self, quantity: Quantity) -> bool:
        """Tell whether a value can go this way: v2 and the stream take positive integers only."""
        if self is Way.V1:
            return True
        return quantity.units > 0 and quantity.units % 10**quantity.scale == 0
