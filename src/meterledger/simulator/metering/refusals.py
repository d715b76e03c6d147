"""Why a meter event is refused, whatever way it came; each way has words of its own for it."""

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """What is wrong with a meter event."""

    NO_METER = "no_meter"
    ARCHIVED_METER = "archived_meter"
    NO_CUSTOMER = "no_customer"
    UNKNOWN_CUSTOMER = "unknown_customer"
    NO_VALUE = "no_value"
    INVALID_VALUE = "invalid_value"
    TOO_MANY_DIGITS = "too_many_digits"
    TOO_OLD = "too_old"
    IN_FUTURE = "in_future"
    DUPLICATE = "duplicate"

    @property
    def always_at_once(self) -> bool:
        """Whether v1 and v2 find it before they answer, even where other checks come later."""
        return self in (Reason.DUPLICATE, Reason.TOO_MANY_DIGITS)

    @property
    def needs_looking_up(self) -> bool:
        """Whether it is found only by looking at what is there, not from the parameters alone."""
        return self in (Reason.NO_METER, Reason.ARCHIVED_METER, Reason.UNKNOWN_CUSTOMER, Reason.DUPLICATE)

    @property
    def report_code(self) -> str:
        """The code of it in an asynchronous error report."""
        return _REPORT_CODES[self]


_REPORT_CODES = {
    Reason.NO_METER: "no_meter",
    Reason.ARCHIVED_METER: "archived_meter",
    Reason.NO_CUSTOMER: "meter_event_no_customer_defined",
    Reason.UNKNOWN_CUSTOMER: "meter_event_customer_not_found",
    Reason.NO_VALUE: "meter_event_value_not_found",
    Reason.INVALID_VALUE: "meter_event_invalid_value",
    Reason.TOO_MANY_DIGITS: "meter_event_value_too_many_digits",
    Reason.TOO_OLD: "timestamp_too_far_in_past",
    Reason.IN_FUTURE: "timestamp_in_future",
}


class EventRefusedError(Exception):
    """
    A meter event that is not counted.

    Args:
        reason: What is wrong.
        message: The same for a person.
        param: Which part of the event: `payload`, `payload[KEY]`, `timestamp` or None.
    """

    def __init__(self, reason: Reason, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.param = param

    @classmethod
    def duplicate(cls, identifier: str) -> Self:
        """Return the refusal of an identifier that another event holds."""
        return cls(Reason.DUPLICATE, f"An event already exists with identifier {identifier}.")
