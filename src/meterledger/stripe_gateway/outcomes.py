"""
From what came back, or did not, to an outcome: accepted, rejected, not sent, or unknown.

Anything unforeseen is Unknown: never success, and never proof. Sources: the facts about Stripe's
errors in docs/delivery.md.
"""

from collections.abc import Mapping
from typing import Any

import aiohttp
import stripe

from meterledger.domain.delivery import Outcome, Result
from meterledger.domain.instant import SECOND, Instant

_DUPLICATE_CODE = "duplicate_meter_event"
_DUPLICATE_TEXT = "event already exists with identifier"
_MAX_MESSAGE_CHARS = 1000
_NOT_SENT_STATUSES = frozenset({401, 403, 409, 429})
_STOPS_RUN_STATUSES = frozenset({401, 403})
_REFUSED_STATUSES = frozenset({400, 404})


def outcome_of_answer(answer: object, body: Mapping[str, Any], at: Instant, *, livemode: bool) -> Outcome:
    """Judge a 200: only the very meter event, in the key's mode, is an acceptance."""
    answer = answer if isinstance(answer, Mapping) else {}
    created = answer.get("created")
    is_ours = (
        answer.get("object") == "billing.meter_event"
        and answer.get("identifier") == body["identifier"]
        and answer.get("event_name") == body["event_name"]
        and answer.get("livemode") is livemode
    )
    if not is_ours or not isinstance(created, int):
        return Outcome(
            result=Result.UNKNOWN,
            at=at,
            answered=True,
            http_status=200,
            message="the answer 200 does not hold this meter event: that was no Stripe, or another mode",
            stops_run=True,
        )
    return Outcome(result=Result.ACCEPTED, at=at, answered=True, http_status=200, created=created * SECOND)


def outcome_of_error(error: Exception, identifier: str, at: Instant) -> Outcome:
    """Judge anything but a 200."""
    if isinstance(error, stripe.APIConnectionError):
        return _without_answer(error, at)
    if not isinstance(error, stripe.StripeError) or error.http_status is None:
        return Outcome(
            result=Result.UNKNOWN, at=at, message=_cut(f"{type(error).__name__}: {error}"), stops_run=True
        )
    envelope = _envelope(error)
    code, kind, message = (_text(envelope.get(key)) for key in ("code", "type", "message"))
    status = error.http_status
    headers = {str(name).lower(): str(value) for name, value in (error.headers or {}).items()}
    return Outcome(
        result=_result(status, code, kind, message or "", identifier, is_stripes=bool(envelope)),
        at=at,
        answered=True,
        http_status=status,
        code=code or kind,
        message=_cut(message or str(error)),
        stripe_request_id=headers.get("request-id"),
        retry_after_seconds=_seconds(headers.get("retry-after")),
        should_retry={"true": True, "false": False}.get(headers.get("stripe-should-retry", "")),
        stops_run=status in _STOPS_RUN_STATUSES or status in range(200, 300),
    )


def _without_answer(error: stripe.APIConnectionError, at: Instant) -> Outcome:
    cause = error.__cause__
    # Only a connection that was never made proves that not a byte left.
    refused = isinstance(cause, aiohttp.ClientConnectorDNSError) or (
        isinstance(cause, aiohttp.ClientConnectorError) and isinstance(cause.os_error, ConnectionRefusedError)
    )
    return Outcome(
        result=Result.NOT_SENT if refused else Result.UNKNOWN,
        at=at,
        code="connection_refused" if refused else "no_answer",
        message=_cut(str(cause) or type(cause).__name__),
    )


def _result(
    status: int, code: str | None, kind: str | None, message: str, identifier: str, *, is_stripes: bool
) -> Result:
    if status in _NOT_SENT_STATUSES or (status in _REFUSED_STATUSES and code == "rate_limit"):
        return Result.NOT_SENT
    if status not in _REFUSED_STATUSES or not is_stripes:
        return Result.UNKNOWN
    if kind == "idempotency_error":
        return Result.TAKEN
    if code == _DUPLICATE_CODE or (_DUPLICATE_TEXT in message.lower() and identifier in message):
        return Result.DUPLICATE
    if kind == "invalid_request_error" or code:
        return Result.REJECTED
    return Result.UNKNOWN


def _envelope(error: stripe.StripeError) -> Mapping[str, Any]:
    body = error.json_body
    found = body.get("error") if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() else None


def _cut(text: str) -> str:
    return text[:_MAX_MESSAGE_CHARS]
