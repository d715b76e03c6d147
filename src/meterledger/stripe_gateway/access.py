"""How Stripe is reached: the key, its mode, the host. The key is never shown, logged or stored."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from meterledger.errors import UsageError

STRIPE_BASE = "https://api.stripe.com"
STRIPE_METER_EVENTS_BASE = "https://meter-events.stripe.com"
_KEY_MODES = {"sk_test_": "test", "rk_test_": "test", "sk_live_": "live", "rk_live_": "live"}
_MAX_KEY_BYTES = 1024
_MAX_HOST_CHARS = 253
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?", re.ASCII)
_KEY_HINT = "set STRIPE_API_KEY, or name a file that holds the key with --api-key-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeAccess:
    """A key with its mode (``test`` or ``live``), the API's base address, and a connected account or ""."""

    key: str = field(repr=False)
    mode: str
    base: str
    stripe_account: str = ""
    stream_base: str = ""
    """The stream's base address, where the environment names one."""

    @property
    def meter_events_base(self) -> str:
        """The stream's base address: Stripe's has a host of its own, any other is the API's unless named."""
        default = STRIPE_METER_EVENTS_BASE if self.base == STRIPE_BASE else self.base
        return self.stream_base or default

    @property
    def is_stripe(self) -> bool:
        """Tell whether the host is Stripe's own."""
        return _is_stripes(self.base)

    @property
    def is_loopback(self) -> bool:
        """Tell whether the host is this machine, by the loopback address."""
        return is_loopback(urlsplit(self.base).hostname or "")


def read_access(
    environment: Mapping[str, str], key_file: Path | None = None, stripe_account: str = ""
) -> StripeAccess:
    """
    Return how Stripe is reached by this environment.

    Raises:
        UsageError: There is no key, it is no secret key, or a live key would go to a host that is
            neither Stripe nor loopback.
    """
    key = _key_from_file(key_file) if key_file else environment.get("STRIPE_API_KEY", "").strip()
    if not key:
        raise UsageError("there is no Stripe key", hint=_KEY_HINT)
    mode = next((mode for prefix, mode in _KEY_MODES.items() if key.startswith(prefix)), None)
    if mode is None or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            "the key is no secret or restricted Stripe key (sk_test_…, sk_live_…, rk_test_…, rk_live_…)",
            hint=_KEY_HINT,
        )
    access = StripeAccess(
        key=key,
        mode=mode,
        base=base_address(environment),
        stripe_account=stripe_account,
        stream_base=_address(environment, "STRIPE_METER_EVENTS_BASE") or "",
    )
    for base, variable in (
        (access.base, "STRIPE_API_BASE"),
        (access.meter_events_base, "STRIPE_METER_EVENTS_BASE"),
    ):
        if mode == "live" and not _may_see_a_live_key(base):
            raise UsageError(
                f"a live key goes to https://*.stripe.com or to this machine only, not to {base}",
                hint=f"unset {variable}, or use a test key",
            )
    if _is_stripes(access.meter_events_base) is not access.is_stripe:
        raise UsageError(
            f"{access.base} and {access.meter_events_base} are not of one Stripe",
            hint="set STRIPE_API_BASE and STRIPE_METER_EVENTS_BASE to the same simulator, or neither",
        )
    return access


def base_address(environment: Mapping[str, str]) -> str:
    """Return the API's base address, in one spelling; raises UsageError if it is none."""
    return _address(environment, "STRIPE_API_BASE") or STRIPE_BASE


def _address(environment: Mapping[str, str], variable: str) -> str | None:
    """Return the base address that a variable names, in one spelling; None if it is not set."""
    text = environment.get(variable, "").strip()
    if not text:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = parts.path in ("", "/") and not (parts.query or parts.fragment or "@" in parts.netloc)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not _is_host(host) or not plain or port == 0:
        raise UsageError(
            f"{variable} is no base address", hint="write it like http://127.0.0.1:12111, without a path"
        )
    host = f"[{host}]" if ":" in host else host
    default_port = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != default_port else "")


def _is_stripes(base: str) -> bool:
    host = urlsplit(base).hostname or ""
    return host == "stripe.com" or host.endswith(".stripe.com")


def _may_see_a_live_key(base: str) -> bool:
    by_tls = _is_stripes(base) and base.startswith("https:")
    return by_tls or is_loopback(urlsplit(base).hostname or "")


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is the machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    """Tell whether it is a name of the DNS in ASCII, or an address: what every resolver and library takes."""
    if ":" not in host:
        return len(host) <= _MAX_HOST_CHARS and _HOST_NAME.fullmatch(host) is not None
    try:
        return "%" not in host and ipaddress.ip_address(host).version == 6  # noqa: PLR2004 # IPv6
    except ValueError:
        return False


def _key_from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_KEY_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"the key file {os.fspath(path)} cannot be read: {error.strerror}", hint=_KEY_HINT
        ) from error
    if len(content) > _MAX_KEY_BYTES:
        raise UsageError(f"the key file {os.fspath(path)} holds more than a key")
    return content.decode(errors="replace").strip()
