"""`POST /v1/billing/meter_events`."""

from meterledger.simulator.metering.acceptance import MAX_IDENTIFIER, Submission, Way, scope_of
from meterledger.simulator.metering.meters import MAX_EVENT_NAME
from meterledger.simulator.metering.reception import receive
from meterledger.simulator.metering.refusals import EventRefusedError, Reason
from meterledger.simulator.metering.usage import CountedEvent
from meterledger.simulator.protocol.api_errors import ApiError, missing_parameter
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.arrival import Arrival
from meterledger.simulator.state.account import Account

_NAMES = frozenset({"event_name", "identifier", "timestamp", "payload"})
_FAMILIES = ("payload[", "expand[")


def arrival(request: ApiRequest) -> Arrival:
    """Tell what a meter-event call is about, well-formed or not."""
    fields = request.parameters.fields
    event_name = fields.get("event_name", "")
    meter = request.account.meters.active(event_name)
    customer = "" if meter is None else fields.get(f"payload[{meter.spec.customer_key}]", "")
    return Arrival(event_name, customer, fields.get("identifier", ""))


def create_meter_event(request: ApiRequest) -> dict[str, object]:
    """
    Check one event, count it and return it as the API shows it.

    Raises:
        ApiError: The event is refused; nothing was counted.
    """
    account = request.account
    submission = _read(request)
    try:
        receive(request, submission)
    except EventRefusedError as refusal:
        raise _refused(account, refusal) from None
    return _body(account, submission, request.now)


def event_body(account: Account, event: CountedEvent) -> dict[str, object]:
    """Return a counted event as the API shows it, with the payload that is known of it."""
    return _body(account, known_of(account, event, Way.V1), event.received_at)


def known_of(account: Account, event: CountedEvent, way: Way) -> Submission:
    """Return a counted event as it was sent, as far as it is kept."""
    spec = account.meters.get(event.meter).spec
    payload = {spec.customer_key: event.customer, spec.value_key: str(event.value)}
    return Submission(spec.event_name, payload, event.identifier, event.timestamp, way)


def _body(account: Account, submission: Submission, received_at: float) -> dict[str, object]:
    return {
        "object": "billing.meter_event",
        "created": int(received_at),
        "event_name": submission.event_name,
        "identifier": submission.identifier,
        "livemode": account.livemode,
        "payload": submission.payload,
        "timestamp": submission.timestamp,
    }


def _read(request: ApiRequest) -> Submission:
    parameters = request.parameters
    parameters.allow(_NAMES, _FAMILIES)
    event_name = parameters.text("event_name", max_length=MAX_EVENT_NAME)
    payload = parameters.family("payload")
    if not payload:
        raise missing_parameter("payload")
    timestamp = parameters.optional_integer("timestamp")
    identifier = parameters.optional_text("identifier", max_length=MAX_IDENTIFIER)
    if identifier is None:
        identifier = own_identifier(request.account, event_name, Way.V1)
    return Submission(
        event_name, payload, identifier, int(request.now) if timestamp is None else timestamp, Way.V1
    )


def own_identifier(account: Account, event_name: str, way: Way) -> str:
    """Give an identifier to an event that came without one."""
    identifier = account.ids.next("simulator_event_", livemode=account.livemode)
    account.identifiers.arrive(identifier, scope_of(account, event_name, way))
    return identifier


def _refused(account: Account, refusal: EventRefusedError) -> ApiError:
    readings = account.rules.readings
    code, status = None, 400
    match refusal.reason:
        case Reason.UNKNOWN_CUSTOMER:
            code, status = "resource_missing", int(readings.unknown_customer)
        case Reason.DUPLICATE if readings.duplicate_code == "code":
            code = "duplicate_meter_event"
    executed = refusal.reason.needs_looking_up
    return ApiError(refusal.message, status=status, code=code, param=refusal.param, executed=executed)
