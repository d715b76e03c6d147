"""Error reports from the answers of ``GET /v2/core/events``: whatever their form, nothing here trips."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meterledger.domain.error_report import REPORT_TYPES, ErrorReport, ErrorSample, ReportedErrors
from meterledger.domain.instant import Instant, TimeError, parse_instant, to_text
from meterledger.errors import KeyRefusedError, StripeError
from meterledger.stripe_gateway.wire import WireAnswer

EVENTS = "/v2/core/events"
_OK = 200
_CLIENT_ERROR = 400
_UNAUTHORIZED = 401
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_MAX_NAME_CHARS = 255
_MAX_CODE_CHARS = 100
_MAX_MESSAGE_CHARS = 1000
_MAX_COUNT = 1_000_000_000
"""A window of ten seconds holds a few million at most."""
_NO_CODE = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableReport:
    """An event of a form that nobody here knows, as far as it says which it is, and of when."""

    event_id: str
    created: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPage:
    """One page of events: reports, what could not be read, and where the next page is."""

    reports: tuple[ErrorReport, ...]
    unreadable: tuple[UnreadableReport, ...] = ()
    next_page: str | None = None


def list_parameters(since: Instant | None, before: Instant | None) -> dict[str, Any]:
    """Return the filter of a list; its page size is Stripe's own: how large it may be is not documented."""
    created = {"gte": since, "lte": before}
    bounds = {key: to_text(value) for key, value in created.items() if value is not None}
    return {"types": list(REPORT_TYPES)} | ({"created": bounds} if bounds else {})


def page_of_answer(answer: WireAnswer, base: str) -> ReportPage | str:
    """
    Return a page, or a word on why there is none: the read was refused, or it is no list of events.

    Raises:
        StripeError: The key is refused, or Stripe cannot tell for now.
    """
    if answer.status == _UNAUTHORIZED:
        raise KeyRefusedError(f"{base} refused the key (401)", hint="check STRIPE_API_KEY")
    if answer.status == _TOO_MANY_REQUESTS or answer.status >= _SERVER_ERROR:
        raise StripeError(
            f"{base} cannot tell the error reports for now ({answer.status})", hint="try again later"
        )
    if answer.status >= _CLIENT_ERROR:
        return f"error reports could not be read ({answer.status})"
    found = answer.json() if answer.status == _OK else None
    data = found.get("data") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(data, list):
        return f"error reports could not be read: {answer.status} without a list of events"
    # A server that takes no filter may list other events too.
    read = [_report(event) for event in data if _table(event).get("type", "") in ("", *REPORT_TYPES)]
    following = found.get("next_page_url")
    return ReportPage(
        reports=tuple(report for report in read if isinstance(report, ErrorReport)),
        unreadable=tuple(report for report in read if isinstance(report, UnreadableReport)),
        # Nothing but this list is followed: the key goes with the request.
        next_page=following
        if isinstance(following, str) and following.startswith(f"{EVENTS}?") and following.isprintable()
        else None,
    )


def _report(event: object) -> ErrorReport | UnreadableReport:
    """Return an event as a report; unreadable if it does not say which event it is, of when, and why."""
    told = _table(event)
    event_id, created = _text(told.get("id"), _MAX_NAME_CHARS), _instant(told.get("created"))
    data, related = _table(told.get("data")), _table(told.get("related_object"))
    reason = _table(data.get("reason"))
    if not event_id or created is None or told.get("type") not in REPORT_TYPES or not reason:
        return UnreadableReport(event_id=event_id, created=created)
    start, end = _instant(data.get("validation_start")), _instant(data.get("validation_end"))
    is_window = start is not None and end is not None and start <= end
    return ErrorReport(
        event_id=event_id,
        type=str(told["type"]),
        created=created,
        meter_id=_text(related.get("id"), _MAX_NAME_CHARS) or None,
        validation_start=start if is_window else None,
        validation_end=end if is_window else None,
        errors=_errors(reason),
    )


def _errors(reason: Mapping[str, Any]) -> tuple[ReportedErrors, ...]:
    """Return the codes with their counts; what the codes leave out of the report's count has none."""
    found: dict[str, ReportedErrors] = {}
    listed = reason.get("error_types")
    for one in listed if isinstance(listed, list) else ():
        errors = _table(one)
        code = _text(errors.get("code"), _MAX_CODE_CHARS) or _NO_CODE
        samples = _samples(errors.get("sample_errors"))
        before = found.get(code, ReportedErrors(code=code, error_count=0))
        found[code] = ReportedErrors(
            code=code,
            error_count=before.error_count + max(_count(errors.get("error_count")), len(samples)),
            samples=before.samples + samples,
        )
    missing = _count(reason.get("error_count")) - sum(errors.error_count for errors in found.values())
    if missing > 0:
        before = found.get(_NO_CODE, ReportedErrors(code=_NO_CODE, error_count=0))
        found[_NO_CODE] = ReportedErrors(
            code=_NO_CODE, error_count=before.error_count + missing, samples=before.samples
        )
    return tuple(found.values())


def _samples(listed: object) -> tuple[ErrorSample, ...]:
    samples = []
    for one in listed if isinstance(listed, list) else ():
        sample = _table(one)
        request = _table(sample.get("request"))
        # Older forms name the idempotency key, beside an empty id.
        names = (_text(request.get(key), _MAX_NAME_CHARS) for key in ("identifier", "idempotency_key", "id"))
        name = next(filter(None, names), "")
        if name:
            message = _text(sample.get("error_message"), None)[:_MAX_MESSAGE_CHARS]
            samples.append(ErrorSample(name=name, message=message))
    return tuple(samples)


def _table(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _text(found: object, longest: int | None) -> str:
    """Return a text that can be stored; empty if it is none, or is too long to be what it should be."""
    if not isinstance(found, str) or (longest is not None and len(found) > longest):
        return ""
    return found.encode(errors="replace").decode()


def _count(found: object) -> int:
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < _MAX_COUNT else 0


def _instant(found: object) -> Instant | None:
    try:
        return parse_instant(found) if isinstance(found, str) else None
    except TimeError:
        return None
