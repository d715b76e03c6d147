"""What a rehearsal is asked, and what it answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from meterledger.config import Source
from meterledger.errors import MeterledgerError
from meterledger.usecases.audit_answer import Audit
from meterledger.usecases.refused_groups import RefusedGroups


class Arrival(StrEnum):
    """What says when a row arrived."""

    RECEIVED_AT = "received_at"
    MTIME = "mtime"
    """When its file was last changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalOptions:
    """What the user asked for; durations in microseconds, None for what the config or the program has."""

    files: Sequence[str]
    source: Source
    arrival: Arrival = Arrival.RECEIVED_AT
    grace_period: int | None = None
    push_every: int | None = None


@dataclass(slots=True, kw_only=True)
class Rehearsed:
    """The answer, as far as files alone can give it, and what became of their rows."""

    audit: Audit
    arrival: Arrival
    push_every: int
    """In microseconds."""
    files: int = 0
    rows: int = 0
    duplicates: int = 0
    """Rows whose usage key had come before: each counts once, with its first row."""
    without_received_at: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    groups: RefusedGroups = field(default_factory=RefusedGroups)
    hints: list[str] = field(default_factory=list)
    failed: list[MeterledgerError] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """How many rows were refused, for whatever reason."""
        return self.reasons.total()
