"""The `created` filter of v1's lists."""

from typing import NamedTuple

from meterledger.simulator.protocol.parameters import Parameters

CREATED_NAMES = frozenset({"created", "created[gt]", "created[gte]", "created[lt]", "created[lte]"})


class CreatedRange(NamedTuple):
    """The first and the last second asked for, since the epoch; None where it is open."""

    first: int | None
    last: int | None

    def holds(self, created: int) -> bool:
        """Tell whether an instant in epoch seconds lies in the range."""
        return (self.first is None or created >= self.first) and (self.last is None or created <= self.last)


def read_created(parameters: Parameters) -> CreatedRange:
    """
    Read the filter: one instant, or bounds.

    Raises:
        ApiError: One of them is no integer.
    """
    exact = parameters.optional_integer("created")
    if exact is not None:
        return CreatedRange(exact, exact)
    after, since = parameters.optional_integer("created[gt]"), parameters.optional_integer("created[gte]")
    before, until = parameters.optional_integer("created[lt]"), parameters.optional_integer("created[lte]")
    firsts = [since, None if after is None else after + 1]
    lasts = [until, None if before is None else before - 1]
    return CreatedRange(
        max((first for first in firsts if first is not None), default=None),
        min((last for last in lasts if last is not None), default=None),
    )
