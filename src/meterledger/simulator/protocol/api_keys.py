"""Who is calling: API keys by Bearer or Basic, whether they are live, and what they may do."""

import base64
import binascii
import re
from dataclasses import dataclass

from meterledger.simulator.protocol.api_errors import FORBIDDEN, UNAUTHORIZED, ApiError, sound

LIVE_PREFIXES = ("sk_live_", "rk_live_")
KEY_PREFIXES = ("sk_test_", "rk_test_", *LIVE_PREFIXES)

_RESTRICTED_PREFIX = "rk_"
_PUBLISHABLE_PREFIX = "pk_"
_SHOWN_TAIL = 4  # characters of a refused key that its refusal repeats
_SHOWN_HEAD = len("sk_test_")
_KEY_PREFIX = re.compile(r"[a-z]{2}_(?:test|live)_")
_KEY_IN_TEXT = re.compile(r"([srp]k_(?:test|live)_|tok_sess_)[^\s&\"'/?]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The holder of an accepted key: in which mode, and whether the key is a restricted one."""

    livemode: bool
    restricted: bool


def is_key(text: str) -> bool:
    """Tell whether the text has the form of a secret or restricted Stripe key."""
    return text.startswith(KEY_PREFIXES) and len(text) > _SHOWN_HEAD


def authenticate(authorization: str | None, only_key: str | None) -> Caller:
    """
    Accept or refuse a caller.

    Args:
        authorization: The Authorization header as sent.
        only_key: The one key to accept; any well-formed one when None.

    Raises:
        ApiError: 401, without a key or with one that is not accepted.
    """
    key = sent_key(authorization)
    if key.startswith(_PUBLISHABLE_PREFIX):
        raise ApiError(
            "A publishable API key cannot make this call. Use a secret key.",
            status=UNAUTHORIZED,
            code="secret_key_required",
        )
    if not is_key(key) or only_key not in (None, key):
        raise invalid_key(key)
    return Caller(livemode=key.startswith(LIVE_PREFIXES), restricted=key.startswith(_RESTRICTED_PREFIX))


def check_v2_caller(caller: Caller, *, test_keys: bool) -> None:
    """
    Refuse a caller whose kind of key v2 does not take.

    Args:
        caller: Who calls.
        test_keys: Whether test keys are taken.

    Raises:
        ApiError: 403, the key is restricted, or a test key where they are not taken.
    """
    if caller.restricted:
        raise ApiError("A restricted API key cannot call API v2. Use a secret key.", status=FORBIDDEN)
    if not (caller.livemode or test_keys):
        raise ApiError("API v2 does not take keys of test mode. Use a sandbox.", status=FORBIDDEN)


def sent_key(authorization: str | None) -> str:
    """
    Return the key or token in an Authorization header.

    Raises:
        ApiError: 401, there is none.
    """
    key = _key_in(authorization or "")
    if not key:
        raise ApiError(
            "You did not provide an API key. Send it in the Authorization header, as Bearer or Basic.",
            status=UNAUTHORIZED,
        )
    return key


def invalid_key(key: str) -> ApiError:
    """Return the refusal of a key that is not accepted."""
    return ApiError(f"Invalid API Key provided: {redact(key)}", status=UNAUTHORIZED)


def redact(key: str) -> str:
    """Hide a key but for its prefix and its end, as Stripe does; a short one is hidden whole."""
    if len(key) < _SHOWN_HEAD + 2 * _SHOWN_TAIL:
        return "*" * len(key)
    prefix = _KEY_PREFIX.match(key)  # other text at the front may be part of the secret
    head = prefix[0] if prefix else ""
    return f"{head}{'*' * (len(key) - len(head) - _SHOWN_TAIL)}{key[-_SHOWN_TAIL:]}"


def fit_for_logs(text: str) -> str:
    """Return a text without bytes that are none, and without what looks like a key or a session's token."""
    shown = sound(text)
    return _KEY_IN_TEXT.sub(r"\1***", shown) if "_" in shown else shown


def _key_in(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip()
        case "basic":
            return _basic_user(rest.strip())
        case _:
            return ""


def _basic_user(encoded: str) -> str:
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(":")[0]
