"""Keeps the pages of other web sites out: a visitor's browser would let them in."""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from meterledger.simulator.protocol.api_errors import FORBIDDEN, ApiError

_FRAMES = frozenset({"iframe", "frame", "embed", "object"})
_REMEMBERED_HOSTS = 16


def check_origin(headers: Mapping[str, str], *, on_loopback: bool) -> None:
    """
    Refuse a request that a browser makes for the page of another site.

    Clients of the API send no Origin and are not affected.

    Args:
        headers: As they were sent, looked up without regard to case.
        on_loopback: Whether the simulator can be reached from this machine alone. Then the Host must be a
            loopback one, or a site could have its own name lead here.

    Raises:
        ApiError: 403.
    """
    host = headers.get("Host")
    if on_loopback and host is not None and not _leads_to_loopback(host):
        raise _refused("The simulator listens on loopback, and the Host header names another host.")
    origin = headers.get("Origin")
    if origin is not None and origin.partition("://")[2].lower() != (host or "").lower():
        raise _refused("The simulator takes no requests from the pages of other sites.")
    if headers.get("Sec-Fetch-Dest") in _FRAMES:
        raise _refused("The simulator's page cannot be framed.")


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@lru_cache(maxsize=_REMEMBERED_HOSTS)  # nearly every request has the same
def _leads_to_loopback(header: str) -> bool:
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or name.endswith(".localhost")


def _refused(message: str) -> ApiError:
    return ApiError(message, status=FORBIDDEN)
