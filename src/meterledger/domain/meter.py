"""Meters and the catalogue: which feature is counted by which meter, and how."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from meterledger.domain.instant import DAY, HOUR

DEFAULT_SETTLE = 2 * HOUR
MAX_SETTLE = 7 * DAY
"""Rolled-up usage has to reach Stripe well within the 35 days that it takes."""


class Aggregation(StrEnum):
    """How Stripe aggregates the values of a meter."""

    SUM = "sum"
    COUNT = "count"
    LAST = "last"


class EventTimeWindow(StrEnum):
    """On a pre-aggregated meter only the event received last in each UTC window counts."""

    NONE = "none"
    HOUR = "hour"
    DAY = "day"


class Rollup(StrEnum):
    """How much usage one meter event carries: one usage event, or a UTC hour or day of them."""

    NONE = "none"
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> int:
        """The length of its windows in microseconds; 0 without roll-up."""
        return _WINDOW_LENGTHS[self]


_WINDOW_LENGTHS = {Rollup.NONE: 0, Rollup.HOUR: HOUR, Rollup.DAY: DAY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """One meter as the config declares it; ``event_name`` is Stripe's name for it."""

    event_name: str
    features: tuple[str, ...]
    aggregation: Aggregation = Aggregation.SUM
    event_time_window: EventTimeWindow = EventTimeWindow.NONE
    decimal_places: int = 0
    customer_key: str = "stripe_customer_id"
    value_key: str = "value"
    dimensions: tuple[str, ...] = ()
    rollup: Rollup = Rollup.NONE
    settle: int = DEFAULT_SETTLE
    """How long after its end a roll-up window still waits for late usage, in microseconds."""

    @property
    def is_ordered(self) -> bool:
        """Tell whether a later event replaces an earlier one, so that they go strictly by event_time."""
        return self.aggregation is Aggregation.LAST or self.event_time_window is not EventTimeWindow.NONE


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every meter, and every feature that a meter or a plan names."""

    meters: tuple[Meter, ...]
    plan_features: frozenset[str] = frozenset()
    _by_feature: Mapping[str, Meter] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_feature = {feature: meter for meter in self.meters for feature in meter.features}
        object.__setattr__(self, "_by_feature", by_feature)

    def meter_of(self, feature: str) -> Meter | None:
        """Return the meter that counts a feature, if there is one."""
        return self._by_feature.get(feature)

    def knows(self, feature: str) -> bool:
        """Tell whether a meter or a plan names the feature."""
        return feature in self._by_feature or feature in self.plan_features

    @property
    def features(self) -> list[str]:
        """Every known feature, sorted."""
        return sorted(set(self._by_feature) | self.plan_features)

    @property
    def ordered(self) -> frozenset[str]:
        """The meters whose events go strictly by event_time."""
        return frozenset(meter.event_name for meter in self.meters if meter.is_ordered)

    @property
    def dimension_names(self) -> tuple[str, ...]:
        """Every dimension that some meter names, sorted: the extra fields a reader has to bring."""
        return tuple(sorted({name for meter in self.meters for name in meter.dimensions}))


def features_claimed_twice(meters: Iterable[Meter]) -> list[tuple[str, str, str]]:
    """Return (feature, first meter, second meter) for each feature that two meters count."""
    seen: dict[str, str] = {}
    claimed = []
    for meter in meters:
        for feature in meter.features:
            if feature in seen:
                claimed.append((feature, seen[feature], meter.event_name))
            seen.setdefault(feature, meter.event_name)
    return claimed
