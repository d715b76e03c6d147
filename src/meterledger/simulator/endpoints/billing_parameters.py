"""Parameters that the billing endpoints read alike."""

from dataclasses import dataclass

from meterledger.simulator.instants import LATEST_EPOCH_SECONDS
from meterledger.simulator.protocol.api_errors import ApiError
from meterledger.simulator.protocol.parameters import Parameters

MAX_METADATA_KEYS = 50

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


def optional_flag(parameters: Parameters, name: str) -> bool | None:
    """
    Return a boolean parameter, or None where it was not sent.

    Raises:
        ApiError: It is neither `true` nor `false`.
    """
    word = parameters.optional_choice(name, ("true", "false"))
    return None if word is None else word == "true"


def optional_instant(parameters: Parameters, name: str) -> int | None:
    """
    Return a parameter in whole seconds since the epoch, or None where it was not sent.

    Raises:
        ApiError: It is no integer, or outside the years 1970 to 9999.
    """
    instant = parameters.optional_integer(name)
    if instant is not None and not 0 <= instant <= LATEST_EPOCH_SECONDS:
        raise ApiError(f"Invalid timestamp: {instant}", param=name)
    return instant


def merged_metadata(parameters: Parameters, name: str, held: dict[str, str]) -> dict[str, str]:
    """
    Return metadata with what was sent of it; a key that was sent empty is taken out.

    Raises:
        ApiError: It is no flat map, or has more than 50 keys then.
    """
    merged = {key: value for key, value in (held | parameters.family(name)).items() if value}
    if len(merged) > MAX_METADATA_KEYS:
        raise ApiError(f"Metadata can have at most {MAX_METADATA_KEYS} keys.", param=name)
    return merged
