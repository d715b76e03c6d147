"""Which function answers which method and path of the API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from meterledger.simulator.billing.alerts import AlertStatus
from meterledger.simulator.endpoints import (
    adjustments,
    alerts,
    core_events,
    customers,
    events,
    invoices,
    meter_event_stream,
    meter_events,
    meters,
    prices,
    products,
    subscription_changes,
    subscriptions,
    v2_meter_events,
)
from meterledger.simulator.endpoints.account import get_account
from meterledger.simulator.endpoints.summaries import list_summaries
from meterledger.simulator.metering.acceptance import Way
from meterledger.simulator.protocol.api_request import Endpoint
from meterledger.simulator.protocol.json_body import parse_json

METER_EVENTS = "/v1/billing/meter_events"
_ALERTS = "/v1/billing/alerts"
V2_METER_EVENTS = "/v2/billing/meter_events"
STREAM = "/v2/billing/meter_event_stream"
_CORE_EVENTS = "/v2/core/events"
_CUSTOMERS = "/v1/customers"
_INVOICES = "/v1/invoices"
_METERS = "/v1/billing/meters"
_PRICES = "/v1/prices"
_PRODUCTS = "/v1/products"
_SUBSCRIPTIONS = "/v1/subscriptions"
_SUBSCRIPTION_ITEMS = "/v1/subscription_items"
_ID = "{id}"
_ID_PLACES = (3, 4)  # which segments of a path may be an id
_METHODS = ("GET", "POST", "DELETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A request's endpoint, the path's pattern and the id in the path (empty where it has none)."""

    endpoint: Endpoint
    pattern: str
    object_id: str

    @property
    def way(self) -> Way | None:
        """The way that meter events take here, where it is one event to a call."""
        return WAYS.get(self.pattern)

    @property
    def version(self) -> str:
        """The API's version: `v1` or `v2`."""
        return self.pattern[1:3]

    @property
    def reader(self) -> Callable[[bytes], object]:
        """What reads the JSON body of a call here."""
        return _READERS.get(self.pattern, parse_json)


WAYS: Mapping[str, Way] = {METER_EVENTS: Way.V1, V2_METER_EVENTS: Way.V2}
"""The endpoints that take one meter event in a call."""

_READERS: Mapping[str, Callable[[bytes], object]] = {STREAM: meter_event_stream.read_batch}

ROUTES: Mapping[tuple[str, str], Endpoint] = {
    ("GET", "/v1/account"): get_account,
    ("POST", METER_EVENTS): meter_events.create_meter_event,
    ("POST", V2_METER_EVENTS): v2_meter_events.create_v2_meter_event,
    ("POST", "/v2/billing/meter_event_session"): meter_event_stream.create_session,
    ("POST", STREAM): meter_event_stream.receive_batch,
    ("POST", "/v1/billing/meter_event_adjustments"): adjustments.create_adjustment,
    ("POST", "/v2/billing/meter_event_adjustments"): adjustments.create_v2_adjustment,
    ("GET", _CORE_EVENTS): core_events.list_core_events,
    ("GET", f"{_CORE_EVENTS}/{_ID}"): core_events.get_core_event,
    ("GET", _METERS): meters.list_meters,
    ("POST", _METERS): meters.create_meter,
    ("GET", f"{_METERS}/{_ID}"): meters.get_meter,
    ("POST", f"{_METERS}/{_ID}"): meters.update_meter,
    ("POST", f"{_METERS}/{_ID}/deactivate"): meters.deactivate_meter,
    ("POST", f"{_METERS}/{_ID}/reactivate"): meters.reactivate_meter,
    ("GET", f"{_METERS}/{_ID}/event_summaries"): list_summaries,
    ("GET", _ALERTS): alerts.list_alerts,
    ("POST", _ALERTS): alerts.create_alert,
    ("GET", f"{_ALERTS}/{_ID}"): alerts.get_alert,
    ("POST", f"{_ALERTS}/{_ID}/activate"): alerts.turn_alert(AlertStatus.ACTIVE),
    ("POST", f"{_ALERTS}/{_ID}/archive"): alerts.turn_alert(AlertStatus.ARCHIVED),
    ("POST", f"{_ALERTS}/{_ID}/deactivate"): alerts.turn_alert(AlertStatus.INACTIVE),
    ("GET", "/v1/events"): events.list_events,
    ("GET", f"/v1/events/{_ID}"): events.get_event,
    ("GET", _CUSTOMERS): customers.list_customers,
    ("POST", _CUSTOMERS): customers.create_customer,
    ("GET", f"{_CUSTOMERS}/{_ID}"): customers.get_customer,
    ("POST", f"{_CUSTOMERS}/{_ID}"): customers.update_customer,
    ("DELETE", f"{_CUSTOMERS}/{_ID}"): customers.delete_customer,
    ("GET", _PRODUCTS): products.list_products,
    ("POST", _PRODUCTS): products.create_product,
    ("GET", f"{_PRODUCTS}/{_ID}"): products.get_product,
    ("GET", _PRICES): prices.list_prices,
    ("POST", _PRICES): prices.create_price,
    ("GET", f"{_PRICES}/{_ID}"): prices.get_price,
    ("GET", _SUBSCRIPTIONS): subscriptions.list_subscriptions,
    ("POST", _SUBSCRIPTIONS): subscriptions.create_subscription,
    ("GET", f"{_SUBSCRIPTIONS}/{_ID}"): subscriptions.get_subscription,
    ("POST", f"{_SUBSCRIPTIONS}/{_ID}"): subscription_changes.update_subscription,
    ("DELETE", f"{_SUBSCRIPTIONS}/{_ID}"): subscription_changes.cancel_subscription,
    ("GET", _SUBSCRIPTION_ITEMS): subscription_changes.list_items,
    ("GET", f"{_SUBSCRIPTION_ITEMS}/{_ID}"): subscription_changes.get_item,
    ("GET", _INVOICES): invoices.list_invoices,
    ("POST", f"{_INVOICES}/create_preview"): invoices.preview_invoice,
    ("GET", f"{_INVOICES}/{_ID}"): invoices.get_invoice,
    ("POST", f"{_INVOICES}/{_ID}"): invoices.update_invoice,
    ("GET", f"{_INVOICES}/{_ID}/lines"): invoices.list_lines,
    ("POST", f"{_INVOICES}/{_ID}/finalize"): invoices.finalize_invoice,
}


PATTERNS = frozenset(pattern for _, pattern in ROUTES)
"""The patterns of all paths."""


def find_route(routes: Mapping[tuple[str, str], Endpoint], method: str, path: str) -> Match | None:
    """Return the endpoint of a method and path, or None where there is none."""
    endpoint = routes.get((method, path))
    if endpoint is not None and "{" not in path:
        return Match(endpoint=endpoint, pattern=path, object_id="")
    segments = path.split("/")
    for place in _ID_PLACES:
        if place < len(segments) and segments[place]:
            pattern = "/".join([*segments[:place], _ID, *segments[place + 1 :]])
            endpoint = routes.get((method, pattern))
            if endpoint is not None:
                return Match(endpoint=endpoint, pattern=pattern, object_id=unquote(segments[place]))
    return None


def has_other_method(routes: Mapping[tuple[str, str], Endpoint], method: str, path: str) -> bool:
    """Tell whether the path exists, but not with this method."""
    return any(find_route(routes, other, path) for other in _METHODS if other != method)
