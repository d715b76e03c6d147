"""The tables of meterledger.toml as written: their keys, the types of their values, their defaults."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

ShortName = Annotated[str, Meta(min_length=1, max_length=100)]
FieldText = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^\S(.*\S)?$")]


class LedgerTable(Struct, frozen=True, kw_only=True):
    """``[ledger]``."""

    path: Annotated[str, Meta(min_length=1)] = "meterledger.db"


class SourceTable(Struct, frozen=True, kw_only=True):
    """``[sources.NAME]``; its scale is read apart."""

    preset: Literal["cloudevents", "lago", "stripe-bulk", "stripe-meter-events"] | None = None
    time_zone: str | None = None
    time_format: ShortName = "rfc3339"
    delimiter: str | None = None
    key: tuple[Literal["request_id", "customer_id", "subscription_id", "feature"], ...] = ("request_id",)
    dimensions: list[ShortName] = []
    columns: dict[str, ShortName] = {}
    constants: dict[str, FieldText | int] = {}
    defaults: dict[str, FieldText | int] = {}
    quantities: dict[str, ShortName] = {}
    scale: dict[str, dict[str, object]] = {}


class ScaleTable(Struct, frozen=True, kw_only=True):
    """``scale`` of ``[sources.NAME]``, for one feature."""

    multiply_by: int | str | None = None
    divide_by: int | str | None = None
    round: Literal["up", "down", "half_even"] | None = None


class MeterTable(Struct, frozen=True, kw_only=True):
    """``[meters.EVENT_NAME]``."""

    features: Annotated[list[ShortName], Meta(min_length=1)]
    aggregation: Literal["sum", "count", "last"] = "sum"
    event_time_window: Literal["none", "hour", "day"] = "none"
    decimal_places: Annotated[int, Meta(ge=0, le=12)] = 0
    customer_key: ShortName = "stripe_customer_id"
    value_key: ShortName = "value"
    dimensions: list[ShortName] = []
    rollup: Literal["none", "hour", "day"] = "none"
    settle: str = "2h"


class StripeTable(Struct, frozen=True, kw_only=True):
    """``[stripe]``."""

    api: Literal["v1", "v2", "stream"] = "v1"
    account: str = ""


class GraceTable(Struct, frozen=True, kw_only=True):
    """``[[invoicing.grace]]``."""

    grace_period: str
    meters: list[ShortName] = []
    customers: list[FieldText] = []


class InvoicingTable(Struct, frozen=True, kw_only=True):
    """``[invoicing]``."""

    grace_period: str | None = None
    billing_period: Literal["month"] = "month"
    anchors: Literal["assumed", "calendar"] = "assumed"
    safety_margin: str = "5m"
    retry_time: str = "15m"
    grace: list[dict[str, object]] = []


class PlanTable(Struct, frozen=True, kw_only=True):
    """``[plans.NAME]``; its features are read apart."""

    features: dict[str, dict[str, object]] = {}


class PlanFeatureTable(Struct, frozen=True, kw_only=True):
    """``[plans.NAME.features.FEATURE]``."""

    included: int | str | None = None
    soft_warning: str | None = None
    hard_warning: str | None = None
