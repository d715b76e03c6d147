"""
Error reports: what Stripe says later of meter events that it had taken, and what follows from it.

A report counts errors in a window and names some of them only. That it names a meter event is knowledge: that
one was not counted. It says nothing about an attempt that began after its window.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from meterledger.domain.delivery import Attempt, InDoubtReason, Result, State, Verdict
from meterledger.domain.instant import HOUR, Instant

REPORT_TYPES = ("v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found")

KNOWN_REPORT_CODES = frozenset(
    {
        "archived_meter",
        "meter_event_customer_not_found",
        "meter_event_dimension_count_too_high",
        "meter_event_invalid_value",
        "meter_event_no_customer_defined",
        "meter_event_value_not_found",
        "meter_event_value_too_many_digits",
        "missing_dimension_payload_keys",
        "no_meter",
        "timestamp_in_future",
        "timestamp_too_far_in_past",
    }
)
"""Codes that say for certain that a meter event is not counted; Stripe may add others at any time."""

READ_AGAIN = HOUR
"""Lists are eventually consistent: what was created so long before the last event seen is read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSample:
    """One meter event that failed; ``name`` is its identifier, or the idempotency key of its request."""

    name: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedErrors:
    """One code in one report: how often, and the meter events that are named."""

    code: str
    error_count: int
    samples: tuple[ErrorSample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReport:
    """One report of errors; times by Stripe's clock, the window None where it could not be read."""

    event_id: str
    type: str
    created: Instant
    meter_id: str | None = None
    validation_start: Instant | None = None
    validation_end: Instant | None = None
    errors: tuple[ReportedErrors, ...] = ()


def report_verdict(
    state: State, attempts: Sequence[Attempt], code: str, message: str, validation_end: Instant | None
) -> Verdict | None:
    """
    Return what it means for a meter event that a report names it; None if nothing changes.

    Args:
        state: The meter event's.
        attempts: All of them, none in flight.
        code: What the report says of it.
        message: The same in Stripe's words.
        validation_end: The end of the report's window.
    """
    if state not in (State.SENDING, State.ACCEPTED, State.CONFIRMED, State.IN_DOUBT):
        # Rejected already, or taken back; what is pending was never taken, or a person said so.
        return None
    doubtful = Verdict(state=State.IN_DOUBT, in_doubt_reason=InDoubtReason.UNKNOWN_REPORT)
    taken = [one for one in attempts if one.result in (None, Result.UNKNOWN, Result.ACCEPTED)]
    if not taken or _is_about_an_earlier_one(taken, validation_end) or code not in KNOWN_REPORT_CODES:
        return None if state is State.IN_DOUBT else doubtful
    return Verdict(state=State.REJECTED, rejection_code=code, rejection_message=message)


def _is_about_an_earlier_one(taken: Sequence[Attempt], validation_end: Instant | None) -> bool:
    """
    Tell whether Stripe may have taken a further attempt after what the report is about.

    Nobody documents whether an identifier that failed is free again: a later attempt may count. A single
    attempt is what the report is about, whatever the clocks say.
    """
    if len(taken) == 1:
        return False
    return validation_end is None or any(one.started_at >= validation_end for one in taken)
