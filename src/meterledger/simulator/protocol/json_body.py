"""The JSON bodies of v2."""

import msgspec

from meterledger.simulator.protocol.api_errors import ApiError


def parse_json(body: bytes) -> object:
    """
    Decode a body; None where there is none.

    Raises:
        ApiError: It is no JSON.
    """
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise ApiError("The request's body is no JSON.") from None
