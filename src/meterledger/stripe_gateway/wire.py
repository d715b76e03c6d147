"""One HTTP answer as it came over the wire: what an outcome is judged by."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus

import msgspec

_UNKNOWN_URL_TEXT = "unrecognized request url"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireAnswer:
    """A complete answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded body; None if it is no JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None

    @property
    def error(self) -> Mapping[str, Any]:
        """The error in Stripe's envelope; empty if there is none."""
        body = self.json()
        found = body.get("error") if isinstance(body, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def knows_no_such_path(self) -> bool:
        """Whether it says, in Stripe's words, that there is nothing at this path."""
        return _UNKNOWN_URL_TEXT in str(self.error.get("message")).lower()


def form_of(body: Mapping[str, Any]) -> bytes:
    """Return a flat body, with flat objects in it, in the form that v1 takes: ``payload[value]=1``."""
    pairs = []
    for name, value in body.items():
        if isinstance(value, Mapping):
            pairs += [f"{name}[{_quoted_name(key)}]={quote_plus(str(one))}" for key, one in value.items()]
        else:
            pairs.append(f"{name}={quote_plus(str(value))}")
    return "&".join(pairs).encode()


@lru_cache(maxsize=256)
def _quoted_name(name: str) -> str:
    """A meter's payload has the same few names in each of its events."""
    return quote_plus(name)


PREPARED_BODY: ContextVar[bytes | None] = ContextVar("PREPARED_BODY", default=None)
"""The body of the request that this task makes, where it is encoded already: the SDK is slow at that."""

LAST_ANSWER: ContextVar["list[WireAnswer] | None"] = ContextVar("LAST_ANSWER", default=None)
"""Where the transport leaves the answer to the request that this task makes, if the task wants it."""
