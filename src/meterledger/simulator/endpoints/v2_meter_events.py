"""`POST /v2/billing/meter_events`, and the form of one event that the stream shares with it."""

import math
from datetime import datetime
from typing import Annotated, Any

import msgspec

from meterledger.simulator.endpoints.meter_events import known_of, own_identifier
from meterledger.simulator.instants import LATEST_EPOCH_SECONDS, format_milliseconds
from meterledger.simulator.metering.acceptance import MAX_IDENTIFIER, Submission, Way
from meterledger.simulator.metering.meters import MAX_EVENT_NAME
from meterledger.simulator.metering.reception import receive
from meterledger.simulator.metering.refusals import EventRefusedError, Reason
from meterledger.simulator.metering.usage import CountedEvent
from meterledger.simulator.protocol.api_errors import BAD_REQUEST, ApiError
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.arrival import Arrival
from meterledger.simulator.protocol.json_body import read_document
from meterledger.simulator.state.account import Account

_CODES = {
    Reason.NO_METER: "no_meter",
    Reason.ARCHIVED_METER: "archived_meter",
    Reason.NO_CUSTOMER: "payload_no_customer_defined",
    Reason.UNKNOWN_CUSTOMER: "resource_missing",
    Reason.NO_VALUE: "payload_no_value_defined",
    Reason.INVALID_VALUE: "payload_invalid_value",
    Reason.TOO_MANY_DIGITS: "meter_event_value_too_many_digits",
    Reason.TOO_OLD: "timestamp_too_far_in_past",
    Reason.IN_FUTURE: "timestamp_in_future",
    Reason.DUPLICATE: "duplicate_meter_event",
}


class SentEvent(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """One meter event as v2 and the stream take it."""

    event_name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_EVENT_NAME)]
    payload: dict[str, str]
    identifier: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_IDENTIFIER)] | None = None
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None

    def submission(self, account: Account, way: Way, now: float) -> Submission:
        """Return the event with what was left out filled in; now is in epoch seconds."""
        identifier = self.identifier or own_identifier(account, self.event_name, way)
        sent_at = now if self.timestamp is None else self.timestamp.timestamp()
        return Submission(self.event_name, self.payload, identifier, math.floor(sent_at), way)


def arrival(request: ApiRequest) -> Arrival:
    """Tell what a meter-event call is about, well-formed or not."""
    document = request.document if isinstance(request.document, dict) else {}
    payload = document.get("payload")
    event_name = _text(document.get("event_name"))
    meter = request.account.meters.active(event_name)
    customer = ""
    if meter is not None and isinstance(payload, dict):
        customer = _text(payload.get(meter.spec.customer_key))
    return Arrival(event_name, customer, _text(document.get("identifier")))


def create_v2_meter_event(request: ApiRequest) -> dict[str, object]:
    """
    Check one event, count it and return it as v2 shows it.

    Raises:
        ApiError: The event is refused; nothing was counted.
    """
    request.parameters.allow((), ())
    account = request.account
    sent = read_document(request.document, SentEvent)
    submission = sent.submission(account, Way.V2, request.now)
    sent_at = float(submission.timestamp) if sent.timestamp is None else sent.timestamp.timestamp()
    if not 0 <= sent_at <= LATEST_EPOCH_SECONDS:
        raise ApiError("Invalid timestamp: it lies outside the years 1970 to 9999.", code="parameter_invalid")
    try:
        receive(request, submission)
    except EventRefusedError as refusal:
        raise _refused(account, refusal) from None
    return _body(account, submission, sent_at, request.now)


def v2_event_body(account: Account, event: CountedEvent) -> dict[str, object]:
    """Return a counted event as v2 shows it, with the payload that is known of it."""
    return _body(account, known_of(account, event, Way.V2), float(event.timestamp), event.received_at)


def _body(account: Account, submission: Submission, sent_at: float, received_at: float) -> dict[str, object]:
    return {
        "object": "v2.billing.meter_event",
        "created": format_milliseconds(received_at),
        "event_name": submission.event_name,
        "identifier": submission.identifier,
        "livemode": account.livemode,
        "payload": submission.payload,
        "timestamp": format_milliseconds(sent_at),
    }


def _refused(account: Account, refusal: EventRefusedError) -> ApiError:
    status = BAD_REQUEST
    if refusal.reason is Reason.UNKNOWN_CUSTOMER:
        status = int(account.rules.readings.unknown_customer)
    return ApiError(refusal.message, status=status, code=_CODES[refusal.reason], executed=True)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
