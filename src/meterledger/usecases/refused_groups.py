"""Refused rows in groups: those that were refused alike are told once, with their number and first places."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from meterledger.domain.usage import Reason

PLACES_KEPT = 4
"""Places that a group names; all refused rows are in the ledger with theirs."""
_MAX_GROUPS = 1_000
"""Further rows are grouped by their reason alone: a message that is never the same twice fills no memory."""
_VALUE = re.compile(r"'[^']*'|[0-9]+")


@dataclass(slots=True, kw_only=True)
class RefusedGroup:
    """Rows refused for one reason, with messages that differ in values alone."""

    reason: str
    message: str
    """That of the first row."""
    count: int = 0
    places: list[tuple[str, int]] = field(default_factory=list)
    """File and line of the first rows; several rows may stand on one line."""
    has_more_places: bool = False


class RefusedGroups:
    """Groups that fill up while rows are refused, in the order of their first rows."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], RefusedGroup] = {}

    def __iter__(self) -> Iterator[RefusedGroup]:
        return iter(self._groups.values())

    def __len__(self) -> int:
        return len(self._groups)

    def add_rejection(self, file: str, line: int, reason: str, message: str, feature: str | None) -> None:
        """Take a rejection into its group: each unknown feature has its own, since each is to be mended."""
        self.add(file, line, reason, message, shape=feature if reason == Reason.UNKNOWN_FEATURE else None)

    def add(self, file: str, line: int, reason: str, message: str, *, shape: str | None = None) -> None:
        """Take a row into its group; its shape is its message without the values, unless given."""
        if shape is None:
            shape = _VALUE.sub("", message)
        if len(self._groups) >= _MAX_GROUPS and (reason, shape) not in self._groups:
            shape = ""
        group = self._groups.setdefault((reason, shape), RefusedGroup(reason=reason, message=message))
        group.count += 1
        if (file, line) in group.places:
            return
        if len(group.places) < PLACES_KEPT:
            group.places.append((file, line))
        else:
            group.has_more_places = True
