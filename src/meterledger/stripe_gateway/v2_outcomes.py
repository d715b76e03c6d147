"""
From an answer of v2 or the stream to an outcome.

v2 names what is wrong by a code; a ``type`` may be missing. docs/delivery.md holds the same rules as a
table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from meterledger.domain.delivery import Outcome, Result
from meterledger.domain.error_report import KNOWN_REPORT_CODES
from meterledger.domain.instant import Instant, TimeError, parse_instant
from meterledger.stripe_gateway.outcomes import (
    DUPLICATE_CODE,
    NOT_SENT_STATUSES,
    REFUSED_STATUSES,
    error_texts,
    outcome_of_acceptance,
    outcome_of_odd_success,
    outcome_of_refusal,
    says_duplicate,
)
from meterledger.stripe_gateway.wire import WireAnswer

_OK = 200
_SESSION_EXPIRED = frozenset({"temporary_session_expired", "billing_meter_event_session_expired"})
_SESSION_STATUSES = frozenset({400, 401})
_NO_METER_CODES = frozenset({"no_meter", "archived_meter"})
_NEVER_CODES = frozenset(
    {
        "payload_invalid_value",
        "payload_no_customer_defined",
        "payload_no_value_defined",
        "resource_missing",
        # Stripe names these in its error reports; which of them v2 uses is not told.
        *(KNOWN_REPORT_CODES - {"archived_meter", "no_meter"}),
    }
)
"""Codes that say that this event can never be taken."""
_FORM_CODES = frozenset({"parameter_invalid", "parameter_missing", "parameter_unknown"})


def outcome_of_v2_answer(
    answer: WireAnswer, body: Mapping[str, Any], at: Instant, *, livemode: bool
) -> Outcome:
    """Judge a complete answer to the request for one meter event by v2."""
    if answer.status == _OK:
        created = _created(answer, body, livemode=livemode)
        return (
            outcome_of_odd_success(answer, at)
            if created is None
            else outcome_of_acceptance(answer, at, created)
        )
    result, no_meter = _result(answer, str(body["identifier"]))
    return outcome_of_refusal(answer, result, at, stops_run=no_meter)


def outcome_of_batch(answer: WireAnswer, events: Sequence[Mapping[str, Any]], at: Instant) -> Outcome:
    """
    Judge a complete answer to a batch of the stream: it holds for each of its events.

    ``rejected`` says that the batch was refused for its form, whichever of its events that is about.
    """
    if answer.status == _OK:
        found = answer.json()
        is_empty = isinstance(found, dict) and not found
        return (
            outcome_of_acceptance(answer, at, None)
            if is_empty
            else outcome_of_odd_success(answer, at, "no answer to a batch")
        )
    if is_session_expired(answer):
        # Its 401 is not about the key, and its Stripe-Should-Retry not about another session.
        refused = outcome_of_refusal(answer, Result.NOT_SENT, at)
        return replace(refused, stops_run=False, should_retry=None)
    alone = str(events[0]["identifier"]) if len(events) == 1 else None
    result, no_meter = _result(answer, alone)
    return outcome_of_refusal(answer, result, at, stops_run=no_meter)


def is_session_expired(answer: WireAnswer) -> bool:
    """Tell whether it is the session's end: documented as 401, tested as 400 by one of Stripe's clients."""
    code, kind, _ = error_texts(answer)
    return answer.status in _SESSION_STATUSES and not _SESSION_EXPIRED.isdisjoint({code, kind})


def _created(answer: WireAnswer, body: Mapping[str, Any], *, livemode: bool) -> Instant | None:
    """Return when Stripe took the very meter event in the key's mode; None if the answer is no such thing."""
    found = answer.json()
    found = found if isinstance(found, dict) else {}
    is_ours = (
        found.get("object") == "v2.billing.meter_event"
        and found.get("identifier") == body["identifier"]
        and found.get("event_name") == body["event_name"]
        and found.get("livemode") is livemode
    )
    return instant_of(found.get("created")) if is_ours else None


def instant_of(value: object) -> Instant | None:
    """Read one of v2's instants; None if it is none."""
    # Digits alone would be read as epoch seconds, which v2 does not write.
    if not isinstance(value, str) or value.isdigit():
        return None
    try:
        return parse_instant(value)
    except TimeError:
        return None


def _result(answer: WireAnswer, identifier: str | None) -> tuple[Result, bool]:
    """Return the result of a refusal, and whether a meter is gone; ``identifier`` of an event sent alone."""
    code, kind, message = error_texts(answer)
    is_refused = answer.status in REFUSED_STATUSES
    if answer.status in NOT_SENT_STATUSES or (is_refused and "rate_limit" in (code, kind)):
        return Result.NOT_SENT, False
    if not is_refused or answer.knows_no_such_path:
        return Result.UNKNOWN, False
    if code in _NO_METER_CODES:
        return Result.NOT_SENT, True
    if "idempotency_error" in (code, kind):
        return Result.TAKEN, False
    return _about_the_event(code, kind, message, identifier), False


def _about_the_event(
    code: str | None, kind: str | None, message: str | None, identifier: str | None
) -> Result:
    says_so = identifier is not None and says_duplicate(message or "", identifier)
    if code == DUPLICATE_CODE or says_so:
        # Of a batch nobody can tell whose identifier exists.
        return Result.UNKNOWN if identifier is None else Result.DUPLICATE
    is_known = code in _NEVER_CODES or code in _FORM_CODES
    return Result.REJECTED if is_known or (kind == "invalid_request_error" and message) else Result.UNKNOWN
