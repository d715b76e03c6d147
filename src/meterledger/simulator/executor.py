"""Carries calls out: once for each idempotency key, one at a time for each customer and meter."""

import hashlib
import logging
from collections.abc import Callable, Mapping

import msgspec

from meterledger.simulator.endpoints import meter_event_stream, meter_events, v2_meter_events
from meterledger.simulator.faults.striking import refused_by
from meterledger.simulator.metering.acceptance import MAX_IDENTIFIER, Way, scope_of
from meterledger.simulator.metering.usage import CountedEvent
from meterledger.simulator.protocol.api_errors import (
    BAD_REQUEST,
    CONFLICT,
    SERVER_ERROR,
    TOO_MANY_REQUESTS,
    ApiError,
    InternalError,
    LockedError,
)
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.arrival import Arrival
from meterledger.simulator.protocol.idempotency import NO_ROW, IdempotencyStore, StoredAnswer
from meterledger.simulator.protocol.outcome import OK, Outcome, answered, refused
from meterledger.simulator.protocol.rate_limit import Demand
from meterledger.simulator.protocol.wire import Call, Hold, echo
from meterledger.simulator.routes import Match
from meterledger.simulator.state.account import Account

_FINGERPRINT_BYTES = 8

_ARRIVALS: Mapping[Way, Callable[[ApiRequest], Arrival]] = {
    Way.V1: meter_events.arrival,
    Way.V2: v2_meter_events.arrival,
}
_EVENT_BODIES: Mapping[Way, Callable[[Account, CountedEvent], dict[str, object]]] = {
    Way.V1: meter_events.event_body,
    Way.V2: v2_meter_events.v2_event_body,
}

_LOG = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode


def admit(call: Call, match: Match, request: ApiRequest, now: float) -> None:
    """
    Let a call through the rate limits, at an instant in seconds of a real clock.

    Raises:
        ApiError: 429, a limit is reached.
    """
    request.account.limits.take(
        Demand(
            endpoint=f"{call.method} {match.pattern}",
            is_meter_event=match.way is not None,
            streamed=meter_event_stream.streamed(request),
            connected="Stripe-Account" in call.headers,
        ),
        now,
    )


def carry_out(match: Match, request: ApiRequest) -> Outcome:
    """Carry a call out; a failure of the simulator itself is a 500, and so may be one that was planned."""
    strike = request.strike
    if strike is None or strike.refusal is None:
        return _done(match, request)
    if strike.fault.counted:
        _done(match, request)  # what came of it is not told
    return refused_by(strike, request.dialect)


def carry_out_admitted(
    call: Call, match: Match, request: ApiRequest, stopwatch: Callable[[], float]
) -> Outcome:
    """
    Carry out a call that needs no idempotency key, if the rate limits let it through.

    Raises:
        ApiError: 429, a limit is reached.
    """
    if request.strike is None or not request.strike.is_early:
        admit(call, match, request, stopwatch())
    return carry_out(match, request)


def _done(match: Match, request: ApiRequest) -> Outcome:
    try:
        return answered(match.endpoint(request))
    except ApiError as refusal:
        return refused(refusal, request.dialect)
    except Exception as failure:  # noqa: BLE001 - caught here so that the 500 can be stored, as Stripe's are
        return refused(internal(failure), request.dialect)


def internal(failure: Exception) -> InternalError:
    """Log a bug of the simulator, and return what its client sees of it."""
    _LOG.error("the simulator failed: %r", failure)
    return InternalError("The simulator failed while it answered this request.", status=SERVER_ERROR)


def carry_out_once(call: Call, match: Match, request: ApiRequest, stopwatch: Callable[[], float]) -> Outcome:
    """
    Carry out a call that changes something, unless its idempotency key has been answered before.

    Of meter events there is one call at a time for each customer and meter.

    Args:
        call: The call as it came.
        match: Its endpoint.
        request: The call as the endpoint sees it.
        stopwatch: Seconds of a real clock, for the rate limits.

    Raises:
        ApiError: The key cannot be used.
    """
    account, way, strike = request.account, match.way, request.strike
    store = account.v2_keys if match.version == "v2" else account.v1_keys
    arrival = _noted(request, way)
    if strike is not None and strike.is_early:
        return refused_by(strike, request.dialect)
    if arrival is None:
        admit(call, match, request, stopwatch())
        outcome = _once(call, match, request, store, None)
        if strike is None or not strike.delay_seconds:
            return outcome
        key = call.headers.get("Idempotency-Key")
        return _holding(outcome, Hold(lanes=account.concurrency, lane=None, keys=store, key=key))
    key = None
    try:
        admit(call, match, request, stopwatch())
        outcome = _once(call, match, request, store, arrival)
        key = call.headers.get("Idempotency-Key")
    except ApiError as refusal:
        outcome = refused(refusal, request.dialect)
    return _holding(outcome, Hold(lanes=account.concurrency, lane=arrival.lane, keys=store, key=key))


def _noted(request: ApiRequest, way: Way | None) -> Arrival | None:
    """Note the meter events that came, whatever becomes of them, and return the one that came alone."""
    if way is None:
        for streamed in meter_event_stream.arrivals(request):
            _note_arrival(request.account, streamed, Way.STREAM)
        return None
    arrival = _ARRIVALS[way](request)
    _note_arrival(request.account, arrival, way)
    return arrival


def _holding(outcome: Outcome, hold: Hold) -> Outcome:
    hold.take()
    return Outcome(status=outcome.status, body=outcome.body, headers=outcome.headers, hold=hold)


def _note_arrival(account: Account, arrival: Arrival, way: Way) -> None:
    if 0 < len(arrival.identifier) <= MAX_IDENTIFIER:
        account.identifiers.arrive(arrival.identifier, scope_of(account, arrival.event_name, way))


def _once(
    call: Call, match: Match, request: ApiRequest, store: IdempotencyStore, arrival: Arrival | None
) -> Outcome:
    key = call.headers.get("Idempotency-Key")
    if not key:
        _check_lane(request.account, match.way, arrival)
        return carry_out(match, request)
    fingerprint = _fingerprint(call, request)
    stored = store.recall(key, fingerprint, request.now)
    echoed = {"Idempotency-Key": echo(key) or ""}
    if stored is not None:
        return _replayed(request.account, match.way, stored, echoed)
    _check_lane(request.account, match.way, arrival)
    outcome = carry_out(match, request)
    if _is_kept(request, match.version, outcome):
        store.keep(key, _stored(request, match.way, fingerprint, outcome))
    return Outcome(status=outcome.status, body=outcome.body, headers={**outcome.headers, **echoed})


def _check_lane(account: Account, way: Way | None, arrival: Arrival | None) -> None:
    """Refuse a call whose customer and meter are busy with another."""
    if way is None or arrival is None or account.rules.readings.concurrent_calls == "taken":
        return
    if arrival.lane is None or not account.concurrency.is_open(arrival.lane):
        return
    message = "Cannot create multiple usage events for the same customer, meter concurrently."
    if way is Way.V2:
        raise LockedError(message, status=CONFLICT, code="too_many_concurrent_requests")
    status = int(account.rules.readings.lock_status)
    raise LockedError(message, status=status, code="lock_timeout" if status == TOO_MANY_REQUESTS else None)


def _is_kept(request: ApiRequest, version: str, outcome: Outcome) -> bool:
    """Tell whether an answer is stored under its idempotency key."""
    if version == "v2":
        return outcome.status == OK  # a v2 call that failed is carried out again
    if request.strike is not None and request.strike.refusal is not None:
        return request.strike.fault.is_stored
    if BAD_REQUEST <= outcome.status < SERVER_ERROR:
        return outcome.executed and request.account.rules.readings.stored_refusals == "executed"
    return True


def _stored(request: ApiRequest, way: Way | None, fingerprint: int, outcome: Outcome) -> StoredAnswer:
    body: bytes | None = outcome.body
    row = NO_ROW
    latest = len(request.account.usage) - 1
    if way is not None and outcome.status == OK and latest >= 0:
        row = latest
        if _event_body(request.account, way, row) == body:
            body = None  # it can be written again from the event
    return StoredAnswer(
        fingerprint=fingerprint, status=outcome.status, body=body, stored_at=request.now, row=row
    )


def _event_body(account: Account, way: Way, row: int) -> bytes:
    return _encode(_EVENT_BODIES[way](account, account.usage.event(row)))


def _replayed(account: Account, way: Way | None, stored: StoredAnswer, echoed: dict[str, str]) -> Outcome:
    body = stored.body
    if body is None:
        if way is None:
            raise RuntimeError("an answer that is no meter event's was not kept")
        body = _event_body(account, way, stored.row)
    headers = {**echoed, "Idempotent-Replayed": "true"}
    if stored.status != OK:
        headers["Stripe-Should-Retry"] = "true" if stored.status >= SERVER_ERROR else "false"
    return Outcome(status=stored.status, body=body, headers=headers)


def _fingerprint(call: Call, request: ApiRequest) -> int:
    """Return what stands for a call's path and parameters, whatever order they came in."""
    named = repr((call.path, sorted(request.parameters.fields.items()))).encode(errors="surrogatepass")
    if request.document is not None:
        try:
            named += _encode_sorted(request.document)
        except RecursionError:
            raise ApiError("The request's body is nested too deeply.") from None
    digest = hashlib.blake2b(named, digest_size=_FINGERPRINT_BYTES).digest()
    return int.from_bytes(digest, signed=True)
