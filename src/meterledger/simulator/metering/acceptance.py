"""Whether a meter event counts: the same checks for v1, v2 and the stream."""

from enum import StrEnum
from typing import NamedTuple

from meterledger.simulator.billing.customers import MAX_CUSTOMER_FIELD
from meterledger.simulator.instants import DAY_SECONDS, MINUTE_SECONDS
from meterledger.simulator.metering.meters import Formula, Meter
from meterledger.simulator.metering.refusals import EventRefusedError, Reason
from meterledger.simulator.metering.usage import CountedEvent
from meterledger.simulator.metering.value import (
    MAX_VALUE_DIGITS,
    ZERO_VALUE,
    TooManyDigitsError,
    Value,
    parse_value,
)
from meterledger.simulator.state.account import Account

MAX_IDENTIFIER = 100  # characters
UNIQUE_SECONDS = DAY_SECONDS  # Stripe promises at least this; exactly this is the harshest a client may meet
PAST_DAYS = 35
PAST_SECONDS = PAST_DAYS * DAY_SECONDS
FUTURE_MINUTES = 5
FUTURE_SECONDS = FUTURE_MINUTES * MINUTE_SECONDS

_SHOWN_CHARACTERS = 40  # of a value that is refused


class Way(StrEnum):
    """How a meter event came in."""

    V1 = "v1"
    V2 = "v2"
    STREAM = "stream"


class Submission(NamedTuple):
    """One meter event as it was sent; the timestamp is in epoch seconds, the payload flat."""

    event_name: str
    payload: dict[str, str]
    identifier: str
    timestamp: int
    way: Way


def accept(account: Account, submission: Submission, now: float) -> int:
    """
    Check an event that is received now (epoch seconds), count it, and return its row.

    Raises:
        EventRefusedError: It is refused; nothing was counted.
    """
    event_name, payload, identifier, timestamp, way = submission
    meter = _meter(account, event_name)
    customer = _customer(account, meter, payload)
    value = _value(account, meter, payload, way)
    _check_timestamp(timestamp, int(now))
    scope = scope_of(account, event_name, way)
    if is_reserved(account, identifier, scope, now):
        raise EventRefusedError.duplicate(identifier)
    row = account.usage.count(
        CountedEvent(
            meter=meter.meter_id,
            customer=customer,
            identifier=identifier,
            timestamp=timestamp,
            received_at=now,
            value=value,
        )
    )
    account.identifiers.hold(identifier, row, scope)
    account.alerts.look(meter, customer, now)
    return row


def scope_of(account: Account, event_name: str, way: Way) -> str:
    """Return what an identifier has to be unique in, as a word of its own; empty for the whole account."""
    match account.rules.readings.identifier_scope:
        case "account":
            return ""
        case "event-name":
            return event_name
        case "way":
            return way


def is_reserved(account: Account, identifier: str, scope: str, now: float) -> bool:
    """Tell whether an event of the last 24 hours holds an identifier; now is in epoch seconds."""
    row = account.identifiers.held_by(identifier, scope)
    if row is None or now - account.usage.received_at(row) >= UNIQUE_SECONDS:
        return False
    return account.rules.readings.canceled_identifier == "reserved" or not account.usage.is_canceled(row)


def _meter(account: Account, event_name: str) -> Meter:
    meter = account.meters.active(event_name)
    if meter is not None:
        return meter
    reason = Reason.ARCHIVED_METER if account.meters.is_archived(event_name) else Reason.NO_METER
    raise EventRefusedError(reason, f'No active meter found for event name "{event_name}".')


def _customer(account: Account, meter: Meter, payload: dict[str, str]) -> str:
    key = meter.spec.customer_key
    customer = payload.get(key)
    if not customer:
        raise EventRefusedError(
            Reason.NO_CUSTOMER, f"Customer mapping key {key} not found in payload.", "payload"
        )
    if len(customer) > MAX_CUSTOMER_FIELD or not account.customers.takes_usage(customer):
        message = f"No such customer: '{customer[:MAX_CUSTOMER_FIELD]}'"
        raise EventRefusedError(Reason.UNKNOWN_CUSTOMER, message, f"payload[{key}]")
    return customer


def _value(account: Account, meter: Meter, payload: dict[str, str], way: Way) -> Value:
    key = meter.spec.value_key
    text = payload.get(key)
    if meter.spec.formula is Formula.COUNT:
        return _ignored_value(text)
    if not text:
        raise EventRefusedError(Reason.NO_VALUE, f"Value key {key} not found in payload.", "payload")
    param = f"payload[{key}]"
    try:
        value = parse_value(text)
    except TooManyDigitsError:
        message = (
            f"The value in the event payload can have at most {MAX_VALUE_DIGITS} digits. Received {text}."
        )
        raise EventRefusedError(Reason.TOO_MANY_DIGITS, message, param) from None
    except ValueError:
        message = f"Invalid value in the event payload: {text[:_SHOWN_CHARACTERS]}. Send a plain decimal."
        raise EventRefusedError(Reason.INVALID_VALUE, message, param) from None
    if (
        way is not Way.V1
        and account.rules.readings.v2_values == "integers"
        and not _is_positive_integer(value)
    ):
        message = f"Invalid value in the event payload: {text[:_SHOWN_CHARACTERS]}. Send a positive integer."
        raise EventRefusedError(Reason.INVALID_VALUE, message, param)
    return value


def _ignored_value(text: str | None) -> Value:
    """Keep a count's value where it has one: it changes nothing, and lets the event be shown as it came."""
    try:
        return parse_value(text or "")
    except ValueError:
        return ZERO_VALUE


def _is_positive_integer(value: Value) -> bool:
    return value.places == 0 and value.digits > 0


def _check_timestamp(timestamp: int, now: int) -> None:
    if timestamp < now - PAST_SECONDS:
        message = (
            f"The event timestamp cannot be more than {PAST_DAYS} days in past. "
            f"Expected a timestamp greater than or equal to {now - PAST_SECONDS}."
        )
        raise EventRefusedError(Reason.TOO_OLD, message, "timestamp")
    if timestamp > now + FUTURE_SECONDS:
        message = (
            f"The event timestamp cannot be more than {FUTURE_MINUTES} minutes in the future. "
            f"Expected a timestamp less than or equal to {now + FUTURE_SECONDS}."
        )
        raise EventRefusedError(Reason.IN_FUTURE, message, "timestamp")
