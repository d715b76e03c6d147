"""
From what came back, or did not, to an outcome: accepted, rejected, not sent, or unknown.

Judged by the answer as it came over the wire, not by how the SDK reads it. Anything unforeseen is
Unknown: never success, and never proof. docs/delivery.md holds the same rules as a table.
"""

import re
from collections.abc import Mapping
from typing import Any

import aiohttp
import stripe

from meterledger.domain.delivery import Outcome, Result
from meterledger.domain.instant import SECOND, Instant
from meterledger.stripe_gateway.wire import WireAnswer

DUPLICATE_CODE = "duplicate_meter_event"
_DUPLICATE_TEXT = "event already exists with identifier"
_NO_METER_TEXT = "no active meter found"
_MAX_MESSAGE_CHARS = 1000
_MAX_CREATED = 10**11
_OK = 200
_ODD_STATUSES = range(200, 400)
_TOO_MANY_REQUESTS = 429
NOT_SENT_STATUSES = frozenset({401, 403, 409, 429})
_STOPS_RUN_STATUSES = frozenset({401, 403})
REFUSED_STATUSES = frozenset({400, 404})


def outcome_of_answer(answer: WireAnswer, body: Mapping[str, Any], at: Instant, *, livemode: bool) -> Outcome:
    """Judge a complete answer to the request for one meter event."""
    if answer.status == _OK:
        return _of_success(answer, body, at, livemode=livemode)
    code, kind, message = error_texts(answer)
    result = _result(answer, code, kind, message or "", str(body["identifier"]))
    # A meter that is gone since this run looked is not gone for ever: the next run blocks its usage.
    no_meter = result is Result.NOT_SENT and _NO_METER_TEXT in (message or "").lower()
    return outcome_of_refusal(answer, result, at, stops_run=no_meter)


def outcome_of_refusal(
    answer: WireAnswer, result: Result, at: Instant, *, stops_run: bool = False
) -> Outcome:
    """Tell a result together with what the answer says besides, and whether going on would be wrong."""
    code, kind, message = error_texts(answer)
    # Any other 2xx than a 200 with the event, a 3xx, and a host without this path are no Stripe that we know.
    is_odd = answer.status in _ODD_STATUSES or (
        result is Result.UNKNOWN and answer.status in REFUSED_STATUSES and answer.knows_no_such_path
    )
    message = message or f"HTTP {answer.status}: {answer.body[:200].decode(errors='replace')}"
    return Outcome(
        result=result if answer.error or answer.status in NOT_SENT_STATUSES else Result.UNKNOWN,
        at=at,
        answered=True,
        http_status=answer.status,
        code=code or kind,
        message=_cut(odd_text("no answer to what was sent") if is_odd else message),
        stripe_request_id=answer.headers.get("request-id"),
        retry_after_seconds=_seconds(answer.headers.get("retry-after")),
        should_retry={"true": True, "false": False}.get(answer.headers.get("stripe-should-retry", "")),
        # A lock comes with the same status; only a limiter names itself.
        rate_limited=code == "rate_limit"
        or (answer.status == _TOO_MANY_REQUESTS and "stripe-rate-limited-reason" in answer.headers),
        stops_run=stops_run or is_odd or answer.status in _STOPS_RUN_STATUSES,
    )


def outcome_without_answer(error: Exception, at: Instant) -> Outcome:
    """Judge a request to which no complete answer came."""
    cause = error.__cause__ if isinstance(error, stripe.APIConnectionError) else error
    # Only a connection that was never made proves that not a byte left.
    refused = isinstance(cause, aiohttp.ClientConnectorDNSError) or (
        isinstance(cause, aiohttp.ClientConnectorError) and isinstance(cause.os_error, ConnectionRefusedError)
    )
    return Outcome(
        result=Result.NOT_SENT if refused else Result.UNKNOWN,
        at=at,
        code="connection_refused" if refused else "no_answer",
        message=_cut(str(cause) or type(cause).__name__),
        # What is no failure of the network is no failure that a retry mends.
        stops_run=not isinstance(error, stripe.APIConnectionError),
    )


def _of_success(answer: WireAnswer, body: Mapping[str, Any], at: Instant, *, livemode: bool) -> Outcome:
    """Only the very meter event, in the key's mode, is an acceptance."""
    found = answer.json()
    found = found if isinstance(found, dict) else {}
    created = found.get("created")
    is_ours = (
        found.get("object") == "billing.meter_event"
        and found.get("identifier") == body["identifier"]
        and found.get("event_name") == body["event_name"]
        and found.get("livemode") is livemode
    )
    if not is_ours or type(created) is not int or not 0 <= created < _MAX_CREATED:
        return outcome_of_odd_success(answer, at)
    return outcome_of_acceptance(answer, at, created * SECOND)


def outcome_of_acceptance(answer: WireAnswer, at: Instant, created: Instant | None) -> Outcome:
    """Tell that Stripe took it, and when, where the answer says so."""
    return Outcome(
        result=Result.ACCEPTED,
        at=at,
        answered=True,
        http_status=answer.status,
        stripe_request_id=answer.headers.get("request-id"),
        created=created,
    )


def outcome_of_odd_success(
    answer: WireAnswer, at: Instant, lacks: str = "not the meter event that was sent"
) -> Outcome:
    """Judge a 200 that is not the answer which was asked for: nobody knows who took what."""
    return Outcome(
        result=Result.UNKNOWN,
        at=at,
        answered=True,
        http_status=answer.status,
        message=odd_text(lacks),
        stops_run=True,
    )


def odd_text(lacks: str) -> str:
    """Say that something else than Stripe answered, and where to look."""
    return (
        f"{lacks}: what answered is no Stripe, or in another mode; check STRIPE_API_BASE and what stands "
        "between here and Stripe"
    )


def _result(answer: WireAnswer, code: str | None, kind: str | None, message: str, identifier: str) -> Result:
    status = answer.status
    not_now = code == "rate_limit" or _NO_METER_TEXT in message.lower()
    if status in NOT_SENT_STATUSES or (status in REFUSED_STATUSES and not_now):
        return Result.NOT_SENT
    if status not in REFUSED_STATUSES:
        return Result.UNKNOWN
    if kind == "idempotency_error":
        return Result.TAKEN
    if code == DUPLICATE_CODE or says_duplicate(message, identifier):
        return Result.DUPLICATE
    if _DUPLICATE_TEXT in message.lower() or answer.knows_no_such_path:
        # About another identifier, or about the path: it says nothing about this event.
        return Result.UNKNOWN
    return Result.REJECTED if kind == "invalid_request_error" and message else Result.UNKNOWN


def says_duplicate(message: str, identifier: str) -> bool:
    """Tell whether the message names this very identifier: v1 gives no code for it."""
    whole = rf"(?<![\w-]){re.escape(identifier)}(?![\w-])"
    return _DUPLICATE_TEXT in message.lower() and re.search(whole, message) is not None


def error_texts(answer: WireAnswer) -> tuple[str | None, str | None, str | None]:
    """Return code, type and message of an error, as far as they are there and are text."""
    envelope = answer.error
    return _text(envelope.get("code")), _text(envelope.get("type")), _text(envelope.get("message"))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() else None


def _cut(text: str) -> str:
    return text[:_MAX_MESSAGE_CHARS]
