"""Which version of the API a call names."""

import re

from meterledger.simulator.protocol.api_errors import ApiError

MAX_VERSION = 255  # characters
_SHOWN_CHARACTERS = 40  # of a version that is refused

# A day, the name of a release or `preview`, and the betas that a client opts into.
_VERSION = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"(\.[a-z][a-z0-9_-]*)?"
    r"(; ?[a-z][a-z0-9_]*(=[a-z0-9.]+)?)*",
    re.IGNORECASE,
)


def check_version(version: str | None, *, required: bool) -> None:
    """
    Refuse a call by its Stripe-Version header.

    Args:
        version: The header as sent; None without one.
        required: Whether the header has to be there, as on v2.

    Raises:
        ApiError: 400, the header is missing or has another form than a version.
    """
    if version is None:
        if required:
            raise ApiError("Please send the API version to use in the Stripe-Version header.")
        return
    if len(version) > MAX_VERSION or _VERSION.fullmatch(version) is None:
        raise ApiError(f"Invalid Stripe API version: {version[:_SHOWN_CHARACTERS]}")
