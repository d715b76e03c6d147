"""`/v1/billing/alerts`."""

from collections.abc import Callable

from meterledger.simulator.billing.alerts import MAX_TITLE, Alert, AlertStatus, alert_body
from meterledger.simulator.billing.customers import MAX_CUSTOMER_FIELD
from meterledger.simulator.protocol.api_errors import ApiError, missing_parameter
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.paging import MAX_ID_LENGTH, PAGE_NAMES, list_page, read_page
from meterledger.simulator.protocol.parameters import Parameters

_FILTER = "usage_threshold[filters][0]"
_NAMES = frozenset(
    {
        "alert_type",
        "title",
        "usage_threshold[gte]",
        "usage_threshold[meter]",
        "usage_threshold[recurrence]",
        f"{_FILTER}[type]",
        f"{_FILTER}[customer]",
    }
)


def create_alert(request: ApiRequest) -> dict[str, object]:
    """Make an alert; it watches from now on, and counts what was used before."""
    parameters, account = request.parameters, request.account
    parameters.allow(_NAMES)
    parameters.choice("alert_type", ("usage_threshold",))
    parameters.choice("usage_threshold[recurrence]", ("one_time",))
    alert = Alert(
        id=account.ids.next("alrt_", livemode=account.livemode),
        title=parameters.text("title", max_length=MAX_TITLE),
        meter=_meter(request),
        gte=_threshold(parameters),
        customer=_customer(request),
        status=AlertStatus.ACTIVE,
        livemode=account.livemode,
    )
    return alert_body(account.alerts.add(alert))


def get_alert(request: ApiRequest) -> dict[str, object]:
    """Show one alert."""
    request.parameters.allow(())
    return alert_body(request.account.alerts.get(request.object_id))


def list_alerts(request: ApiRequest) -> dict[str, object]:
    """List the alerts, the newest first, all or those of one meter."""
    parameters = request.parameters
    parameters.allow(PAGE_NAMES | {"alert_type", "meter"})
    parameters.optional_choice("alert_type", ("usage_threshold",))
    meter = parameters.optional_text("meter", max_length=MAX_ID_LENGTH)
    chosen = [alert for alert in request.account.alerts.newest_first() if meter in (None, alert.meter)]
    page = read_page(parameters)
    return list_page(chosen, alert_body, page, url="/v1/billing/alerts", kind="billing alert")


def turn_alert(status: AlertStatus) -> Callable[[ApiRequest], dict[str, object]]:
    """Return the endpoint that gives an alert this status."""

    def turn(request: ApiRequest) -> dict[str, object]:
        request.parameters.allow(())
        return alert_body(request.account.alerts.turn(request.object_id, status))

    return turn


def _meter(request: ApiRequest) -> str:
    meter_id = request.parameters.text("usage_threshold[meter]", max_length=MAX_ID_LENGTH)
    if request.account.meters.find(meter_id) is None:
        raise ApiError(
            f"No such billing meter: '{meter_id}'", code="resource_missing", param="usage_threshold[meter]"
        )
    return meter_id


def _threshold(parameters: Parameters) -> int:
    threshold = parameters.integer("usage_threshold[gte]")
    if threshold <= 0:
        raise ApiError("Invalid usage_threshold[gte]: must be greater than 0", param="usage_threshold[gte]")
    return threshold


def _customer(request: ApiRequest) -> str | None:
    parameters = request.parameters
    customer = parameters.optional_text(f"{_FILTER}[customer]", max_length=MAX_CUSTOMER_FIELD)
    if parameters.optional_choice(f"{_FILTER}[type]", ("customer",)) is None:
        if customer is not None:
            raise missing_parameter(f"{_FILTER}[type]")
        return None
    if customer is None:
        raise missing_parameter(f"{_FILTER}[customer]")
    refusal = request.account.customers.refusal(customer, param=f"{_FILTER}[customer]")
    if refusal is not None:
        raise refusal
    return customer
