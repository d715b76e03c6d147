"""Parameters that the billing endpoints read alike."""

from meterledger.simulator.instants import LATEST_EPOCH_SECONDS
from meterledger.simulator.protocol.api_errors import ApiError
from meterledger.simulator.protocol.parameters import Parameters

MAX_METADATA_KEYS = 50


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
