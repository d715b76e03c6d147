"""Which function answers which method and path of the API."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from meterledger.simulator.endpoints import customers, meter_events, meters
from meterledger.simulator.endpoints.account import get_account
from meterledger.simulator.endpoints.summaries import list_summaries
from meterledger.simulator.metering.acceptance import Way
from meterledger.simulator.protocol.api_request import Endpoint

METER_EVENTS = "/v1/billing/meter_events"
_CUSTOMERS = "/v1/customers"
_METERS = "/v1/billing/meters"
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


WAYS: Mapping[str, Way] = {METER_EVENTS: Way.V1}
"""The endpoints that take one meter event in a call."""

ROUTES: Mapping[tuple[str, str], Endpoint] = {
    ("GET", "/v1/account"): get_account,
    ("POST", METER_EVENTS): meter_events.create_meter_event,
    ("GET", _METERS): meters.list_meters,
    ("POST", _METERS): meters.create_meter,
    ("GET", f"{_METERS}/{_ID}"): meters.get_meter,
    ("POST", f"{_METERS}/{_ID}"): meters.update_meter,
    ("POST", f"{_METERS}/{_ID}/deactivate"): meters.deactivate_meter,
    ("POST", f"{_METERS}/{_ID}/reactivate"): meters.reactivate_meter,
    ("GET", f"{_METERS}/{_ID}/event_summaries"): list_summaries,
    ("GET", _CUSTOMERS): customers.list_customers,
    ("POST", _CUSTOMERS): customers.create_customer,
    ("GET", f"{_CUSTOMERS}/{_ID}"): customers.get_customer,
    ("POST", f"{_CUSTOMERS}/{_ID}"): customers.update_customer,
    ("DELETE", f"{_CUSTOMERS}/{_ID}"): customers.delete_customer,
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
