"""What a request is about, read for the faults that pick their requests by it."""

import msgspec

from meterledger.simulator.faults.fault import Encounter
from meterledger.simulator.metering.meters import DEFAULT_CUSTOMER_KEY
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.arrival import Arrival
from meterledger.simulator.protocol.wire import Call
from meterledger.simulator.state.account import Account

_MAX_SUBJECTS = 100  # as many events as a stream call may carry


def encounter(call: Call, pattern: str, request: ApiRequest, request_id: str) -> Encounter:
    """Return a call to the endpoint of a path's pattern as faults see it."""
    return Encounter(
        request_id=request_id,
        at=request.now,
        method=call.method,
        path=call.path,
        pattern=pattern,
        account=request.account.account_id,
        livemode=request.account.livemode,
        key=call.headers.get("Idempotency-Key", ""),
        subjects=_subjects(request),
    )


def _subjects(request: ApiRequest) -> tuple[Arrival, ...]:
    document = request.document
    if isinstance(document, msgspec.Struct):  # a body that its route has read already
        document = msgspec.to_builtins(document)
    if not isinstance(document, dict):
        return (_in_form(request.account, request.parameters.fields),)
    events = document.get("events")
    if not isinstance(events, list) or not events:
        return (_in_document(request.account, document),)
    return tuple(
        _in_document(request.account, event) if isinstance(event, dict) else Arrival()
        for event in events[:_MAX_SUBJECTS]
    )


def _in_form(account: Account, fields: dict[str, str]) -> Arrival:
    event_name = fields.get("event_name", "")
    customer = fields.get(f"payload[{_customer_key(account, event_name)}]") or fields.get("customer", "")
    identifier = fields.get("identifier") or fields.get("cancel[identifier]", "")
    return Arrival(event_name, customer, identifier)


def _in_document(account: Account, event: dict[str, object]) -> Arrival:
    event_name = _text(event.get("event_name"))
    payload, cancel = event.get("payload"), event.get("cancel")
    customer = payload.get(_customer_key(account, event_name)) if isinstance(payload, dict) else None
    canceled = cancel.get("identifier") if isinstance(cancel, dict) else None
    return Arrival(event_name, _text(customer), _text(event.get("identifier") or canceled))


def _customer_key(account: Account, event_name: str) -> str:
    meter = account.meters.active(event_name)
    return DEFAULT_CUSTOMER_KEY if meter is None else meter.spec.customer_key


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
