"""`POST /v1/billing/meter_event_adjustments`, and the same of v2: canceling an event."""

from typing import Annotated, Literal

import msgspec

from meterledger.simulator.instants import format_milliseconds
from meterledger.simulator.metering.acceptance import MAX_IDENTIFIER
from meterledger.simulator.metering.cancelation import CancelRefusedError, cancel_event
from meterledger.simulator.metering.meters import MAX_EVENT_NAME
from meterledger.simulator.protocol.api_errors import ApiError
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.json_body import read_document

_IDENTIFIER = "cancel[identifier]"
_NAMES = frozenset({"event_name", "type", _IDENTIFIER})
_INVALID = "invalid_cancel_configuration"


class _Cancel(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    identifier: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_IDENTIFIER)]


class _SentAdjustment(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An adjustment as v2 takes it."""

    event_name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_EVENT_NAME)]
    type: Literal["cancel"]
    cancel: _Cancel


def create_adjustment(request: ApiRequest) -> dict[str, object]:
    """
    Cancel an event, and return the adjustment, which has no id.

    Raises:
        ApiError: The event cannot be canceled.
    """
    parameters = request.parameters
    parameters.allow(_NAMES)
    event_name = parameters.text("event_name", max_length=MAX_EVENT_NAME)
    parameters.choice("type", ("cancel",))
    identifier = parameters.text(_IDENTIFIER, max_length=MAX_IDENTIFIER)
    try:
        cancel_event(request.account, event_name, identifier, request.now)
    except CancelRefusedError as refusal:
        raise ApiError(str(refusal), param=_IDENTIFIER, executed=True) from None
    return _body(request, "billing.meter_event_adjustment", event_name, identifier)


def create_v2_adjustment(request: ApiRequest) -> dict[str, object]:
    """
    Cancel an event, and return the adjustment as v2 shows it.

    Raises:
        ApiError: The event cannot be canceled.
    """
    request.parameters.allow((), ())
    sent = read_document(request.document, _SentAdjustment)
    identifier = sent.cancel.identifier
    try:
        cancel_event(request.account, sent.event_name, identifier, request.now)
    except CancelRefusedError as refusal:
        raise ApiError(str(refusal), code=_INVALID, executed=True) from None
    return {
        "id": request.account.ids.next("mtr_event_adj_", livemode=request.account.livemode),
        "created": format_milliseconds(request.now),
        **_body(request, "v2.billing.meter_event_adjustment", sent.event_name, identifier),
    }


def _body(request: ApiRequest, kind: str, event_name: str, identifier: str) -> dict[str, object]:
    return {
        "object": kind,
        "cancel": {"identifier": identifier},
        "event_name": event_name,
        "livemode": request.account.livemode,
        "status": "pending",  # summaries follow; nothing tells of it afterwards
        "type": "cancel",
    }
