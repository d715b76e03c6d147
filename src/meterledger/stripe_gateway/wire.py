"""One HTTP answer as it came over the wire: what an outcome is judged by."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import msgspec


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


LAST_ANSWER: ContextVar["list[WireAnswer] | None"] = ContextVar("LAST_ANSWER", default=None)
"""Where the transport leaves the answer to the request that this task makes, if the task wants it."""
