"""A source: where usage comes from, and what its fields mean there."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import tzinfo
from typing import Any

from dateutil import tz

from meterledger.domain.meter import Catalogue
from meterledger.domain.preset import Preset
from meterledger.domain.scaling import Scaling
from meterledger.domain.time_format import DEFAULT_TIME_FORMAT, TimeParser, time_parser
from meterledger.domain.usage import CANONICAL_FIELDS

DEFAULT_KEY = ("request_id",)
MAX_SOURCE_NAME_CHARS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where usage comes from, and how its rows are read."""

    name: str
    preset: Preset | None = None
    time_zone: str | None = None
    time_format: str = DEFAULT_TIME_FORMAT
    delimiter: str | None = None
    """The character between the fields of a CSV file; None where the reader finds it."""
    key: tuple[str, ...] = DEFAULT_KEY
    columns: Mapping[str, str] = field(default_factory=dict)
    """Canonical field or dimension -> its name in the source."""
    keeps_identifier: bool = False
    """Its rows bring identifiers, which Stripe may have seen: they are kept verbatim, and sealed with."""
    constants: Mapping[str, str] = field(default_factory=dict)
    """Field or dimension -> what every row has."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Field or dimension -> what a row has that has none."""
    quantities: Mapping[str, str] = field(default_factory=dict)
    """Feature -> the column of its quantity: each row is a usage row for each of them."""
    scale: Mapping[str, Scaling] = field(default_factory=dict)
    """Feature -> what its quantities are multiplied by."""
    dimensions: tuple[str, ...] = ()
    """Dimensions that are kept whatever the meter names."""

    @property
    def zone(self) -> tzinfo | None:
        """The time zone of times without an offset, if the source names one."""
        return tz.gettz(self.time_zone) if self.time_zone else None

    @property
    def parse_time(self) -> TimeParser:
        """What reads the times of the source."""
        return time_parser(self.time_format, self.zone)

    @property
    def usage_key(self) -> tuple[str, ...]:
        """What makes the usage key; the rows that one wide row becomes differ by their feature."""
        return (*self.key, "feature") if self.quantities and "feature" not in self.key else self.key

    @property
    def has_meter_events(self) -> bool:
        """Tell whether its rows are Stripe's own, with a payload."""
        return self.preset is not None and self.preset.is_stripes

    @property
    def columns_taken(self) -> frozenset[str]:
        """The fields whose own name is a column that is mapped to another field, and so not read for them."""
        mapped = {column for field, column in self.columns.items() if field in CANONICAL_FIELDS}
        return frozenset(field for field in CANONICAL_FIELDS if field in mapped and field not in self.columns)

    def dimension_names(self, catalogue: Catalogue) -> tuple[str, ...]:
        """Every dimension that the source or a meter names, sorted: the fields behind the canonical ones."""
        return tuple(sorted({*catalogue.dimension_names, *self.dimensions}))

    def as_mapping(self) -> dict[str, Any]:
        """Return all that decides how rows are read and is not the default, as JSON would hold it."""
        found: dict[str, Any] = {"name": self.name}
        for one in fields(self)[1:]:
            value = getattr(self, one.name)
            if value and value != one.default:
                found[one.name] = _as_json(value)
        return found


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: inner.as_mapping() if isinstance(inner, Scaling) else inner for name, inner in value.items()
        }
    if isinstance(value, bool):
        return value
    return list(value) if isinstance(value, tuple) else str(value)


def source_of_preset(preset: Preset, name: str) -> Source:
    """Return the source that a preset alone makes."""
    rules = preset.rules
    return Source(
        name=name,
        preset=preset,
        columns=rules.columns,
        time_format=rules.time_format or DEFAULT_TIME_FORMAT,
        keeps_identifier=preset.is_stripes,
    )


def refuse_source_name(name: str) -> None:
    """Raise ValueError if a name is none that a source can have."""
    if not 1 <= len(name) <= MAX_SOURCE_NAME_CHARS:
        raise ValueError(f"the name of a source has 1 to {MAX_SOURCE_NAME_CHARS} characters")
    if not name.isprintable() or name != name.strip():
        raise ValueError("the name of a source has no control characters, and no blanks at its ends")
