"""`/v1/billing/meters`."""

from meterledger.simulator.metering.error_reports import related_meter
from meterledger.simulator.metering.meters import (
    DEFAULT_CUSTOMER_KEY,
    DEFAULT_VALUE_KEY,
    MAX_DISPLAY_NAME,
    MAX_EVENT_NAME,
    MAX_PAYLOAD_KEY,
    Formula,
    Meter,
    MeterSpec,
    Window,
    meter_body,
)
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.paging import PAGE_NAMES, list_page, read_page
from meterledger.simulator.protocol.parameters import Parameters

_METER_NAMES = frozenset(
    {
        "display_name",
        "event_name",
        "event_time_window",
        "default_aggregation[formula]",
        "customer_mapping[type]",
        "customer_mapping[event_payload_key]",
        "value_settings[event_payload_key]",
    }
)


def create_meter(request: ApiRequest) -> dict[str, object]:
    """Make a meter."""
    request.parameters.allow(_METER_NAMES)
    made = request.account.add_meter(_read_spec(request.parameters), request.now)
    return _changed(request, "created", None, made)


def get_meter(request: ApiRequest) -> dict[str, object]:
    """Show one meter."""
    request.parameters.allow(())
    return meter_body(request.account.meters.get(request.object_id))


def update_meter(request: ApiRequest) -> dict[str, object]:
    """Give a meter another display name, the only thing about it that can change."""
    request.parameters.allow(("display_name",))
    display_name = request.parameters.optional_text("display_name", max_length=MAX_DISPLAY_NAME)
    meters = request.account.meters
    before = meters.get(request.object_id)
    return _changed(
        request, "updated", before, meters.rename(request.object_id, display_name, int(request.now))
    )


def deactivate_meter(request: ApiRequest) -> dict[str, object]:
    """Stop a meter taking events."""
    request.parameters.allow(())
    meters = request.account.meters
    before = meters.get(request.object_id)
    return _changed(request, "deactivated", before, meters.deactivate(request.object_id, int(request.now)))


def reactivate_meter(request: ApiRequest) -> dict[str, object]:
    """Let a meter take events again."""
    request.parameters.allow(())
    meters = request.account.meters
    before = meters.get(request.object_id)
    return _changed(request, "reactivated", before, meters.reactivate(request.object_id, int(request.now)))


def list_meters(request: ApiRequest) -> dict[str, object]:
    """List the meters, the newest first, all or those of one status."""
    parameters = request.parameters
    parameters.allow(PAGE_NAMES | {"status"})
    status = parameters.optional_choice("status", ("active", "inactive"))
    chosen = [
        meter
        for meter in request.account.meters.newest_first()
        if status is None or meter.active == (status == "active")
    ]
    return list_page(
        chosen, meter_body, read_page(parameters), url="/v1/billing/meters", kind="billing meter"
    )


def _changed(request: ApiRequest, what: str, before: Meter | None, after: Meter) -> dict[str, object]:
    """Show a meter that a call may have changed, and let `/v2/core/events` tell of it if it did."""
    if after is not before:
        related = related_meter(after.id)
        request.account.core_events.record(f"v1.billing.meter.{what}", related, None, request.now)
    return meter_body(after)


def _read_spec(parameters: Parameters) -> MeterSpec:
    display_name = parameters.text("display_name", max_length=MAX_DISPLAY_NAME)
    event_name = parameters.text("event_name", max_length=MAX_EVENT_NAME)
    formula = parameters.choice("default_aggregation[formula]", tuple(Formula))
    window = parameters.optional_choice("event_time_window", tuple(Window))
    if any(name.startswith("customer_mapping[") for name in parameters.fields):
        parameters.choice("customer_mapping[type]", ("by_id",))
        customer_key = parameters.text("customer_mapping[event_payload_key]", max_length=MAX_PAYLOAD_KEY)
    else:
        customer_key = DEFAULT_CUSTOMER_KEY
    value_key = parameters.optional_text("value_settings[event_payload_key]", max_length=MAX_PAYLOAD_KEY)
    return MeterSpec(
        display_name=display_name,
        event_name=event_name,
        formula=Formula(formula),
        event_time_window=None if window is None else Window(window),
        customer_key=customer_key,
        value_key=value_key or DEFAULT_VALUE_KEY,
    )
