"""`POST /v1/billing/meter_events`: the checks Stripe makes before it answers, and the counting."""

import re
from decimal import Decimal

from meterledger.simulator.accounts import Account
from meterledger.simulator.api_errors import ApiError, missing_parameter
from meterledger.simulator.concurrency import Lane
from meterledger.simulator.instants import DAY_SECONDS, MINUTE_SECONDS
from meterledger.simulator.meters import MAX_EVENT_NAME, Formula, Meter
from meterledger.simulator.parameters import Parameters
from meterledger.simulator.usage import MAX_VALUE_TEXT

MAX_IDENTIFIER = 100  # characters
MAX_VALUE_DIGITS = 15  # digits, zeros in front not counted
PAST_DAYS = 35
PAST_SECONDS = PAST_DAYS * DAY_SECONDS
FUTURE_MINUTES = 5
FUTURE_SECONDS = FUTURE_MINUTES * MINUTE_SECONDS

_NAMES = frozenset({"event_name", "identifier", "timestamp", "payload"})
_FAMILIES = ("payload[", "expand[")
_VALUE = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_ZERO = Decimal(0)


def note_arrival(account: Account, parameters: Parameters) -> Lane | None:
    """
    Note what a meter-event call is about before anything can refuse it.

    Returns:
        The lane the call runs in, or None where its meter or its customer cannot be told.
    """
    fields = parameters.fields
    identifier = fields.get("identifier")
    if identifier and len(identifier) <= MAX_IDENTIFIER:
        account.identifiers.arrive(identifier)
    meter = account.meters.active(fields.get("event_name", ""))
    if meter is None:
        return None
    customer = fields.get(f"payload[{meter.spec.customer_key}]")
    return Lane(meter.spec.event_name, customer) if customer else None


def create_meter_event(
    account: Account, parameters: Parameters, now: float, _object_id: str
) -> dict[str, object]:
    """
    Check one event, count it and return it as the API shows it; now is in epoch seconds.

    Raises:
        ApiError: The event is refused; nothing was counted.
    """
    parameters.allow(_NAMES, _FAMILIES)
    event_name = parameters.text("event_name", max_length=MAX_EVENT_NAME)
    payload = parameters.family("payload")
    if not payload:
        raise missing_parameter("payload")
    meter = account.meters.active(event_name)
    if meter is None:
        raise ApiError(f'No active meter found for event name "{event_name}".')
    customer = _customer(account, meter, payload)
    value = _value(meter, payload)
    timestamp = _timestamp(parameters, int(now))
    identifier = _reserved_identifier(account, parameters, now)
    account.usage.record(meter, customer, timestamp, value)
    return {
        "object": "billing.meter_event",
        "created": int(now),
        "event_name": event_name,
        "identifier": identifier,
        "livemode": account.livemode,
        "payload": payload,
        "timestamp": timestamp,
    }


def _customer(account: Account, meter: Meter, payload: dict[str, str]) -> str:
    key = meter.spec.customer_key
    customer = payload.get(key)
    if not customer:
        raise ApiError(f"Customer mapping key {key} not found in payload.", param="payload")
    refusal = account.customers.refusal(customer, param=f"payload[{key}]")
    if refusal is not None:
        raise refusal
    return customer


def _value(meter: Meter, payload: dict[str, str]) -> Decimal:
    if meter.spec.formula is Formula.COUNT:
        return _ZERO  # a count ignores the value, whatever it is
    key = meter.spec.value_key
    text = payload.get(key)
    if not text:
        raise ApiError(f"Value key {key} not found in payload.", param="payload")
    param = f"payload[{key}]"
    if len(text) > MAX_VALUE_TEXT or _VALUE.fullmatch(text) is None:
        raise ApiError(f"Invalid value in the event payload: {text[:40]}. Send a plain decimal.", param=param)
    if len(text.lstrip("-0.").replace(".", "")) > MAX_VALUE_DIGITS:
        raise ApiError(
            f"The value in the event payload can have at most {MAX_VALUE_DIGITS} digits. Received {text}.",
            param=param,
        )
    return Decimal(text)


def _timestamp(parameters: Parameters, now: int) -> int:
    timestamp = parameters.optional_integer("timestamp")
    if timestamp is None:
        return now
    if timestamp < now - PAST_SECONDS:
        raise ApiError(
            f"The event timestamp cannot be more than {PAST_DAYS} days in past. "
            f"Expected a timestamp greater than or equal to {now - PAST_SECONDS}.",
            param="timestamp",
        )
    if timestamp > now + FUTURE_SECONDS:
        raise ApiError(
            f"The event timestamp cannot be more than {FUTURE_MINUTES} minutes in the future. "
            f"Expected a timestamp less than or equal to {now + FUTURE_SECONDS}.",
            param="timestamp",
        )
    return timestamp


def _reserved_identifier(account: Account, parameters: Parameters, now: float) -> str:
    identifier = parameters.optional_text("identifier", max_length=MAX_IDENTIFIER)
    if identifier is None:
        identifier = account.ids.next("simulator_event_", livemode=account.livemode)
        account.identifiers.arrive(identifier)
    if not account.identifiers.reserve(identifier, now):
        raise ApiError(f"An event already exists with identifier {identifier}.")
    return identifier
