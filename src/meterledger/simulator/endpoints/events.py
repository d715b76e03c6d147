"""`/v1/events`: what happened, with the object as it was then."""

from fnmatch import fnmatchcase
from functools import partial

from meterledger.simulator.protocol.api_errors import ApiError
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.instant_range import range_names, read_range
from meterledger.simulator.protocol.paging import PAGE_NAMES, list_page, read_page
from meterledger.simulator.protocol.parameters import Parameters
from meterledger.simulator.protocol.wire import DEFAULT_STRIPE_VERSION
from meterledger.simulator.state.account import Account
from meterledger.simulator.state.event_log import Event

MAX_TYPES = 20
MAX_TYPE = 100  # characters


def list_events(request: ApiRequest) -> dict[str, object]:
    """List the events of the last 30 days, the newest first; `type` may end in `*`."""
    parameters, account = request.parameters, request.account
    parameters.allow(PAGE_NAMES | range_names("created") | {"type"}, ("types[", "expand["))
    types = _types(parameters)
    created = read_range(parameters, "created")
    chosen = [
        event
        for event in account.events.newest_first(request.now)
        if created.holds(event.created) and _is_of(event, types)
    ]
    body = partial(_body, account)
    return list_page(chosen, body, read_page(parameters), url="/v1/events", kind="event")


def get_event(request: ApiRequest) -> dict[str, object]:
    """Show one event."""
    request.parameters.allow(())
    return _body(request.account, request.account.events.get(request.object_id))


def _types(parameters: Parameters) -> list[str]:
    one = parameters.optional_text("type", max_length=MAX_TYPE)
    several = parameters.items("types", max_items=MAX_TYPES, max_length=MAX_TYPE)
    if one is not None and several:
        raise ApiError("You may send type or types, not both.", param="types")
    return several if one is None else [one]


def _is_of(event: Event, types: list[str]) -> bool:
    # Only the star is a wildcard with Stripe; fnmatch knows brackets and question marks too.
    plain = (pattern.replace("[", "[[]").replace("?", "[?]") for pattern in types)
    return not types or any(fnmatchcase(event.type, pattern) for pattern in plain)


def _body(account: Account, event: Event) -> dict[str, object]:
    return {
        "id": event.id,
        "object": "event",
        "api_version": DEFAULT_STRIPE_VERSION,
        "created": event.created,
        "data": {"object": event.document},
        "livemode": account.livemode,
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "type": event.type,
    }
