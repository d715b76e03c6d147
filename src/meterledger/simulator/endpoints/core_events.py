"""`GET /v2/core/events` and `GET /v2/core/events/{id}`."""

import base64
import binascii
from typing import Annotated

import msgspec

from meterledger.simulator.instants import format_milliseconds, parse_instant
from meterledger.simulator.protocol.api_errors import ApiError, no_such_object
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.paging import MAX_ID_LENGTH, MAX_LIMIT
from meterledger.simulator.protocol.parameters import Parameters
from meterledger.simulator.state.core_events import CoreEvent

MAX_TYPES = 20  # event types in one list call
DEFAULT_V2_LIMIT = 20  # events per page

_PATH = "/v2/core/events"
_MAX_TYPE = 100  # characters
_MAX_INSTANT = 40  # characters
_MAX_PAGE = 60_000  # characters; a page token holds all filters
_BOUNDS = ("gt", "gte", "lt", "lte")

_encode = msgspec.json.Encoder().encode


class _Filters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which events are asked for; created bounds are in epoch seconds."""

    types: tuple[str, ...] = ()
    object_id: str | None = None
    created: dict[str, float] = msgspec.field(default_factory=dict)
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_V2_LIMIT

    def take(self, event: CoreEvent) -> bool:
        related = event.related_object
        if self.types and event.type not in self.types:
            return False
        if self.object_id is not None and (related is None or related.id != self.object_id):
            return False
        return all(_lies(event.created, bound, instant) for bound, instant in self.created.items())


class _Page(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a page token says: the filters, and the event before or after which the page lies."""

    filters: _Filters
    after: str | None = None
    before: str | None = None


def get_core_event(request: ApiRequest) -> dict[str, object]:
    """
    Show one event of the last 30 days.

    Raises:
        ApiError: 404, there is none with the id.
    """
    request.parameters.allow((), ())
    event = request.account.core_events.find(request.object_id, request.now)
    if event is None:
        raise no_such_object("event", request.object_id, param="id")
    return _body(event, livemode=request.account.livemode)


def list_core_events(request: ApiRequest) -> dict[str, object]:
    """
    List the events of the last 30 days, the newest first.

    Raises:
        ApiError: A filter or the page token is not understood, or the filters changed between pages.
    """
    page = _read(request.parameters)
    kept = request.account.core_events.newest_first(request.now)
    events = [event for event in kept if page.filters.take(event)]
    start, end = _cut(events, page)
    shown = events[start:end]
    after = _Page(filters=page.filters, after=shown[-1].id) if shown and end < len(events) else None
    before = _Page(filters=page.filters, before=shown[0].id) if shown and start > 0 else None
    return {
        "data": [_body(event, livemode=request.account.livemode) for event in shown],
        "next_page_url": _url(after),
        "previous_page_url": _url(before),
    }


def _body(event: CoreEvent, *, livemode: bool) -> dict[str, object]:
    return {
        "id": event.id,
        "object": "v2.core.event",
        "changes": None,
        "context": None,
        "created": format_milliseconds(event.created),
        "data": event.data,
        "livemode": livemode,
        "reason": None,
        "related_object": event.related_object,
        "type": event.type,
    }


def _cut(events: list[CoreEvent], page: _Page) -> tuple[int, int]:
    ids = [event.id for event in events]
    try:
        if page.after is not None:
            start = ids.index(page.after) + 1
            return start, start + page.filters.limit
        if page.before is not None:
            end = ids.index(page.before)
            return max(0, end - page.filters.limit), end
    except ValueError:
        raise _no_page() from None
    return 0, page.filters.limit


def _read(parameters: Parameters) -> _Page:
    filters = _read_filters(parameters)
    token = parameters.optional_text("page", max_length=_MAX_PAGE)
    if token is None:
        return _Page(filters=filters)
    page = _parsed(token)
    if filters not in (_Filters(), page.filters):
        raise ApiError("The filters cannot change between pages.", param="page")
    return page


def _read_filters(parameters: Parameters) -> _Filters:
    sent = parameters.fields
    bounds = {bound: f"created[{bound}]" for bound in _BOUNDS}
    parameters.allow({"limit", "object_id", "page", *bounds.values()}, ("types[",))
    limit = parameters.optional_integer("limit")
    if limit is None:
        limit = DEFAULT_V2_LIMIT
    if not 1 <= limit <= MAX_LIMIT:
        raise ApiError(f"Invalid limit: must be between 1 and {MAX_LIMIT}", param="limit")
    return _Filters(
        types=tuple(parameters.items("types", max_items=MAX_TYPES, max_length=_MAX_TYPE)),
        object_id=parameters.optional_text("object_id", max_length=MAX_ID_LENGTH),
        created={bound: _instant(parameters, name) for bound, name in bounds.items() if name in sent},
        limit=limit,
    )


def _instant(parameters: Parameters, name: str) -> float:
    text = parameters.text(name, max_length=_MAX_INSTANT)
    if "T" in text.upper():
        try:
            return parse_instant(text)
        except ValueError:
            pass
    raise ApiError(f"Invalid {name}: an RFC 3339 timestamp is expected", param=name)


def _lies(created: float, bound: str, instant: float) -> bool:
    match bound:
        case "gt":
            return created > instant
        case "gte":
            return created >= instant
        case "lt":
            return created < instant
        case _:
            return created <= instant


def _url(page: _Page | None) -> str | None:
    if page is None:
        return None
    return f"{_PATH}?page={base64.urlsafe_b64encode(_encode(page)).decode().rstrip('=')}"


def _parsed(token: str) -> _Page:
    try:
        padded = token + "=" * (-len(token) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=_Page)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise _no_page() from None


def _no_page() -> ApiError:
    return ApiError("Invalid page: take it from next_page_url or previous_page_url.", param="page")
