"""A source: where usage comes from, and what its fields mean there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from dateutil import tz


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where usage comes from, and how its fields are named there."""

    name: str
    time_zone: str | None = None
    key: tuple[str, ...] = ("request_id",)
    columns: Mapping[str, str] = field(default_factory=dict)
    """Canonical field -> its name in the source."""

    @property
    def zone(self) -> tzinfo | None:
        """The time zone of times without an offset, if the source names one."""
        return tz.gettz(self.time_zone) if self.time_zone else None

    def as_mapping(self) -> dict[str, Any]:
        """Return how its fields are read, as JSON shows it."""
        return {"time_zone": self.time_zone, "key": list(self.key), "columns": dict(self.columns)}
