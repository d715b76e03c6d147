"""The simulated Stripe as one object: a call goes in, an answer comes out, no IO in between."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from meterledger.simulator.accounts import Account, AccountBook, Rules
from meterledger.simulator.api_errors import (
    CONTENT_TOO_LARGE,
    SERVER_ERROR,
    TOO_MANY_REQUESTS,
    ApiError,
    InternalError,
    RateLimitedError,
    unrecognized_url,
)
from meterledger.simulator.api_keys import authenticate
from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.control import (
    CLOCK_PATH,
    LEDGER_PATHS,
    RequestCounts,
    clock_page,
    ledger_page,
    turn_clock,
)
from meterledger.simulator.idempotency import StoredAnswer
from meterledger.simulator.meter_events import note_arrival
from meterledger.simulator.parameters import Parameters, parse_form
from meterledger.simulator.routes import METER_EVENTS, ROUTES, Endpoint, Match, find_route
from meterledger.simulator.wire import Answer, Call, HeaderWriter, Hold, echo

OK = 200
NO_ROUTE = "(unknown)"  # the pattern under which calls to unknown paths are counted

_LOG = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    status: int
    body: bytes
    headers: Mapping[str, str]
    hold: Hold | None = None


class LocalStripe:
    """
    Everything behind the simulator's port.

    Args:
        clock: The time that every rule follows.
        rules: What the simulator was told to be like.
        stopwatch: Seconds of a real clock that never goes back, for limits on real traffic.
        routes: The API's endpoints.
    """

    def __init__(
        self,
        clock: SimulatedClock,
        rules: Rules,
        stopwatch: Callable[[], float],
        routes: Mapping[tuple[str, str], Endpoint] = ROUTES,
    ) -> None:
        self.clock = clock
        self.accounts = AccountBook(rules, stopwatch)
        self.counts = RequestCounts()
        self._rules = rules
        self._stopwatch = stopwatch
        self._routes = routes
        self._headers = HeaderWriter()

    def answer(self, call: Call) -> Answer:
        """
        Answer one call. Nothing is raised: a failure of the simulator itself is a 500.

        The answer of a meter-event call carries a hold that has been taken; whoever sends the answer
        releases it.
        """
        match = find_route(self._routes, call.method, call.path)
        pattern = NO_ROUTE if match is None else match.pattern
        try:
            if match is not None:
                outcome = self._api(call, match)
            else:
                pattern, outcome = self._control(call)
        except ApiError as refusal:
            outcome = _refused(refusal)
        except Exception as failure:  # noqa: BLE001 - a bug here must look to the client like one at Stripe
            outcome = _refused(_internal(failure))
        return self._written(call, pattern, outcome)

    def refuse_size(self, call: Call) -> Answer:
        """Answer a call whose body was too large to be read."""
        refusal = ApiError("The request's body is too large.", status=CONTENT_TOO_LARGE)
        return self._written(call, NO_ROUTE, _refused(refusal))

    def _written(self, call: Call, pattern: str, outcome: _Outcome) -> Answer:
        self.counts.count(call.method, pattern, outcome.status)
        headers = self._headers.write(call, self.clock.now())
        headers.update(outcome.headers)
        return Answer(status=outcome.status, body=outcome.body, headers=headers, hold=outcome.hold)

    def _control(self, call: Call) -> tuple[str, _Outcome]:
        match (call.method, call.path):
            case ("GET", path) if path in LEDGER_PATHS:
                page = ledger_page(self.clock, self.accounts.all(), self.counts, call.query)
            case ("GET", path) if path == CLOCK_PATH:
                page = clock_page(self.clock)
            case ("POST", path) if path == CLOCK_PATH:
                page = turn_clock(self.clock, call.body)
            case _:
                raise unrecognized_url(call.method, call.path)
        return call.path, _Outcome(status=OK, body=_encode(page), headers={})

    def _api(self, call: Call, match: Match) -> _Outcome:
        now = self.clock.now()
        caller = authenticate(call.headers.get("Authorization"), self._rules.only_key)
        account = self.accounts.open(call.headers.get("Stripe-Account"), livemode=caller.livemode, now=now)
        parameters = Parameters(parse_form(call.query) + parse_form(call.body))
        if match.pattern == METER_EVENTS:
            return self._meter_event(call, match, account, parameters, now)
        if call.method == "POST":
            return _idempotent(call, match, account, parameters, now)
        return _carry_out(account, match, parameters, now)

    def _meter_event(
        self, call: Call, match: Match, account: Account, parameters: Parameters, now: float
    ) -> _Outcome:
        lane = note_arrival(account, parameters)
        key: str | None = None
        try:
            if account.limiter is not None and not account.limiter.take(self._stopwatch()):
                raise RateLimitedError("Too many meter events.", status=TOO_MANY_REQUESTS, code="rate_limit")
            outcome = _idempotent(call, match, account, parameters, now)
            key = call.headers.get("Idempotency-Key")
        except ApiError as refusal:
            outcome = _refused(refusal)
        hold = Hold(account=account, lane=lane, idempotency_key=key)
        hold.take()
        return _Outcome(status=outcome.status, body=outcome.body, headers=outcome.headers, hold=hold)


def _idempotent(call: Call, match: Match, account: Account, parameters: Parameters, now: float) -> _Outcome:
    key = call.headers.get("Idempotency-Key")
    if not key:
        return _carry_out(account, match, parameters, now)
    fingerprint = hash((call.path, tuple(sorted(parameters.fields.items()))))
    stored = account.idempotency.recall(key, fingerprint, now)
    echoed = {"Idempotency-Key": echo(key) or ""}
    if stored is not None:
        headers = {**echoed, "Idempotent-Replayed": "true"}
        if stored.status >= SERVER_ERROR:
            headers["Stripe-Should-Retry"] = "true"
        return _Outcome(status=stored.status, body=stored.body, headers=headers)
    outcome = _carry_out(account, match, parameters, now)
    answer = StoredAnswer(fingerprint=fingerprint, status=outcome.status, body=outcome.body, stored_at=now)
    account.idempotency.keep(key, answer)
    return _Outcome(status=outcome.status, body=outcome.body, headers={**outcome.headers, **echoed})


def _carry_out(account: Account, match: Match, parameters: Parameters, now: float) -> _Outcome:
    try:
        document = match.endpoint(account, parameters, now, match.object_id)
    except ApiError as refusal:
        return _refused(refusal)
    except Exception as failure:  # noqa: BLE001 - as in LocalStripe.answer; caught here so that the 500 is stored
        return _refused(_internal(failure))
    return _Outcome(status=OK, body=_encode(document), headers={})


def _refused(refusal: ApiError) -> _Outcome:
    headers = {"Stripe-Should-Retry": "true" if refusal.should_retry else "false", **refusal.extra_headers}
    return _Outcome(status=refusal.status, body=_encode(refusal.body()), headers=headers)


def _internal(failure: Exception) -> InternalError:
    _LOG.error("the simulator failed: %r", failure)
    return InternalError("The simulator failed while it answered this request.", status=SERVER_ERROR)
