"""The filter of v1's lists by an instant, such as `created`."""

from dataclasses import dataclass

from meterledger.simulator.protocol.parameters import Parameters

_COMPARISONS = ("gt", "gte", "lt", "lte")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstantRange:
    """Whole seconds since the epoch, from first to last, both within."""

    first: int | None = None
    last: int | None = None

    def holds(self, instant: int) -> bool:
        """Tell whether an instant lies within."""
        return (self.first is None or self.first <= instant) and (self.last is None or instant <= self.last)


def range_names(name: str) -> frozenset[str]:
    """Return the parameters by which a list is cut to a range of instants."""
    return frozenset({name, *(f"{name}[{word}]" for word in _COMPARISONS)})


def read_range(parameters: Parameters, name: str) -> InstantRange:
    """
    Read `created`, or `created[gte]` and its like.

    Raises:
        ApiError: One of them is no integer.
    """
    exact = parameters.optional_integer(name)
    if exact is not None:
        return InstantRange(first=exact, last=exact)
    above, below = parameters.optional_integer(f"{name}[gt]"), parameters.optional_integer(f"{name}[lt]")
    firsts = [parameters.optional_integer(f"{name}[gte]"), None if above is None else above + 1]
    lasts = [parameters.optional_integer(f"{name}[lte]"), None if below is None else below - 1]
    return InstantRange(
        first=max((value for value in firsts if value is not None), default=None),
        last=min((value for value in lasts if value is not None), default=None),
    )
