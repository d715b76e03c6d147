"""Presets: how the rows of well-known programs are read, without a mapping of one's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Preset(StrEnum):
    """The formats that need no mapping."""

    CLOUDEVENTS = "cloudevents"
    LAGO = "lago"
    STRIPE_BULK = "stripe-bulk"
    STRIPE_METER_EVENTS = "stripe-meter-events"

    @property
    def is_stripes(self) -> bool:
        """Tell whether its rows are meter events already, each with an identifier that Stripe may know."""
        return self in (Preset.STRIPE_BULK, Preset.STRIPE_METER_EVENTS)

    @property
    def rules(self) -> "PresetRules":
        """What the preset says about its rows."""
        return _RULES[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetRules:
    """What a preset says about its rows; a source with the preset may say otherwise."""

    columns: Mapping[str, str]
    time_format: str | None = None
    """None where times are written in the default format."""
    key_columns: tuple[str, ...] = ()
    """Columns that are joined to the request_id, for ids that are unique with them only."""
    instead: Mapping[str, str] = field(default_factory=dict)
    """Field -> the column that is read where the field's own is empty."""
    dimensions_inside: str = ""
    """The path below which dimensions stand."""
    counts_one: bool = False
    """Whether a row of a ``count`` meter without a quantity counts as one."""


PAYLOAD_NAMES = ("payload_*", "payload.*")
"""Where Stripe's rows have their payload: in columns of this prefix, or as an object."""

_STRIPE = PresetRules(
    columns={"request_id": "identifier", "feature": "event_name", "event_time": "timestamp"},
    time_format="epoch_seconds_or_iso8601",
)
_RULES = {
    Preset.CLOUDEVENTS: PresetRules(
        columns={
            "request_id": "id",
            "customer_id": "subject",
            "feature": "type",
            "quantity": "data.value",
            "event_time": "time",
        },
        key_columns=("source",),
        dimensions_inside="data.",
        counts_one=True,
    ),
    Preset.LAGO: PresetRules(
        columns={
            "request_id": "transaction_id",
            "customer_id": "external_customer_id",
            "subscription_id": "external_subscription_id",
            "feature": "code",
            "quantity": "properties.value",
            "event_time": "timestamp",
        },
        time_format="epoch_seconds_or_iso8601",
        instead={"customer_id": "external_subscription_id"},
        dimensions_inside="properties.",
        counts_one=True,
    ),
    Preset.STRIPE_BULK: _STRIPE,
    Preset.STRIPE_METER_EVENTS: _STRIPE,
}
