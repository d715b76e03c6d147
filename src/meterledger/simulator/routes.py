"""Which function answers which method and path of the API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from meterledger.simulator import catalogue
from meterledger.simulator.accounts import Account
from meterledger.simulator.meter_events import create_meter_event
from meterledger.simulator.parameters import Parameters
from meterledger.simulator.summaries import list_summaries

Endpoint = Callable[[Account, Parameters, float, str], dict[str, object]]

METER_EVENTS = "/v1/billing/meter_events"
_METERS = "/v1/billing/meters"
_ID = "{id}"
_ID_PLACES = {4: 3, 5: 4, 6: 4}  # number of the path's segments -> where an id may stand


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A request's endpoint, the path's pattern and the id in the path (empty where it has none)."""

    endpoint: Endpoint
    pattern: str
    object_id: str


ROUTES: Mapping[tuple[str, str], Endpoint] = {
    ("GET", "/v1/account"): catalogue.get_account,
    ("POST", METER_EVENTS): create_meter_event,
    ("GET", _METERS): catalogue.list_meters,
    ("POST", _METERS): catalogue.create_meter,
    ("GET", f"{_METERS}/{_ID}"): catalogue.get_meter,
    ("POST", f"{_METERS}/{_ID}"): catalogue.update_meter,
    ("POST", f"{_METERS}/{_ID}/deactivate"): catalogue.deactivate_meter,
    ("POST", f"{_METERS}/{_ID}/reactivate"): catalogue.reactivate_meter,
    ("GET", f"{_METERS}/{_ID}/event_summaries"): list_summaries,
    ("GET", "/v1/customers"): catalogue.list_customers,
    ("POST", "/v1/customers"): catalogue.create_customer,
    ("GET", f"/v1/customers/{_ID}"): catalogue.get_customer,
}


def find_route(routes: Mapping[tuple[str, str], Endpoint], method: str, path: str) -> Match | None:
    """Return the endpoint of a method and path, or None where there is none."""
    endpoint = routes.get((method, path))
    if endpoint is not None and "{" not in path:
        return Match(endpoint=endpoint, pattern=path, object_id="")
    segments = path.split("/")
    place = _ID_PLACES.get(len(segments))
    if place is None or not segments[place]:
        return None
    pattern = "/".join([*segments[:place], _ID, *segments[place + 1 :]])
    endpoint = routes.get((method, pattern))
    if endpoint is None:
        return None
    return Match(endpoint=endpoint, pattern=pattern, object_id=unquote(segments[place]))
