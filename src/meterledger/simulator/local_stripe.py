"""The simulated Stripe as one object: a call goes in, an answer comes out, no IO in between."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.control.clock import CLOCK_PATH, clock_page, turn_clock
from meterledger.simulator.control.faults import FAULTS_PATH, faults_page, use_faults
from meterledger.simulator.control.ledger import LEDGER_PATH, ledger_page
from meterledger.simulator.control.requests import (
    REQUESTS_PATH,
    Asker,
    RequestCounts,
    RequestLog,
    requests_page,
)
from meterledger.simulator.control.reset import RESET_PATH, turn_for_reset
from meterledger.simulator.executor import carry_out_admitted, carry_out_once, internal
from meterledger.simulator.faults.book import FaultBook
from meterledger.simulator.faults.encounter import encounter
from meterledger.simulator.faults.plan import NO_FAULTS, FaultPlan
from meterledger.simulator.faults.striking import carry_out_struck
from meterledger.simulator.happenings import catch_up
from meterledger.simulator.metering.error_reports import ReportTerms
from meterledger.simulator.page.people import PAGE_PATH, PeoplesPage
from meterledger.simulator.protocol.api_errors import (
    BAD_REQUEST,
    UNAUTHORIZED,
    ApiError,
    Dialect,
    SessionExpiredError,
    unrecognized_url,
    wrong_method,
)
from meterledger.simulator.protocol.api_keys import authenticate, check_v2_caller, invalid_key, sent_key
from meterledger.simulator.protocol.api_request import ApiRequest, Endpoint
from meterledger.simulator.protocol.origin import check_origin
from meterledger.simulator.protocol.outcome import Outcome, answered, refused
from meterledger.simulator.protocol.parameters import Parameters, parse_form
from meterledger.simulator.protocol.versions import check_version
from meterledger.simulator.protocol.wire import NOT_ANSWERED, Answer, Call, Delivery, HeaderWriter
from meterledger.simulator.routes import PATTERNS, ROUTES, STREAM, Match, find_route, has_other_method
from meterledger.simulator.rules import Rules
from meterledger.simulator.state.account import Account
from meterledger.simulator.state.account_book import AccountBook
from meterledger.simulator.state.keeping import SIMULATOR, Memory, State

CONTROL = "/_simulator/"  # the simulator's own pages: faults never hit them, nor do they fill the log
NO_ROUTE = "(unknown)"  # the pattern under which calls to unknown paths are counted

Page = Callable[[Call], dict[str, object]]
"""Answers a call to one of the simulator's own pages with a JSON document."""


class LocalStripe:
    """
    Everything behind the simulator's port.

    Args:
        clock: The time that every rule follows.
        rules: What the simulator was told to be like.
        stopwatch: Seconds of a real clock that never goes back, for limits on real traffic.
        routes: The API's endpoints.
        plan: The faults to start with.
        state: Where the state is kept; what it has kept is there again.

    Raises:
        StateFileError: The state cannot be read.
    """

    def __init__(
        self,
        clock: SimulatedClock,
        rules: Rules,
        stopwatch: Callable[[], float],
        routes: Mapping[tuple[str, str], Endpoint] = ROUTES,
        *,
        plan: FaultPlan = NO_FAULTS,
        state: State | None = None,
    ) -> None:
        self.clock = clock
        self._state = state or Memory()
        self._journal = self._state.journal_for(SIMULATOR)
        self.counts = RequestCounts(self._journal)
        self.accounts = AccountBook(rules, self._state)
        self.requests = RequestLog()
        self.faults = FaultBook(plan)
        self._rules = rules
        self._stopwatch = stopwatch
        self._routes = routes
        self._headers = HeaderWriter()
        self._page = PeoplesPage(clock, self._current_accounts)
        self._pages: Mapping[tuple[str, str], Page] = {
            ("GET", LEDGER_PATH): self._ledger,
            ("GET", CLOCK_PATH): lambda _: clock_page(self.clock),
            ("POST", CLOCK_PATH): self._turn_clock,
            ("GET", REQUESTS_PATH): lambda call: requests_page(self.requests, call.query),
            ("GET", FAULTS_PATH): lambda call: faults_page(self.faults, call.query),
            ("POST", FAULTS_PATH): lambda call: use_faults(self.faults, call, PATTERNS),
            ("DELETE", FAULTS_PATH): self._end_faults,
            ("POST", RESET_PATH): self._reset,
        }
        self._state.restore(SIMULATOR, {clock.KIND: clock, self.counts.KIND: self.counts})
        self.accounts.restore(clock.now())
        self._requests = self.counts.total
        self._commit()

    def answer(self, call: Call) -> Answer:
        """
        Answer one call. Nothing is raised: a failure of the simulator itself is a 500.

        The answer of a meter-event call carries a hold that has been taken; whoever sends the answer
        releases it.
        """
        asker = self._asker()
        match = find_route(self._routes, call.method, call.path)
        pattern = NO_ROUTE if match is None else match.pattern
        try:
            check_origin(call.headers, on_loopback=self._rules.on_loopback)
            if match is not None:
                outcome = self._api(call, match, asker)
            else:
                pattern, outcome = self._control(call)
        except ApiError as refusal:
            outcome = refused(refusal, self._dialect(call.path))
        except Exception as failure:  # noqa: BLE001 - a bug here must look to the client like one at Stripe
            outcome = refused(internal(failure), self._dialect(call.path))
        return self._written(call, asker, pattern, outcome)

    def refuse_unread(self, call: Call, refusal: ApiError) -> Answer:
        """Answer a call whose body could not be read."""
        return self._written(call, self._asker(), NO_ROUTE, refused(refusal, self._dialect(call.path)))

    def catch_up(self) -> None:
        """Let everything happen, in every account, that has fallen due by now."""
        now = self.clock.now()
        for account in self.accounts.all():
            self._catch_up(account, now)

    def _catch_up(self, account: Account, now: float) -> None:
        account.usage.lag_seconds = self._rules.lag_seconds + self.faults.summary_lag()
        account.error_reports.terms = self._report_terms
        catch_up(account, now)

    def _report_terms(self, _: int) -> ReportTerms:
        return ReportTerms(self.faults.report_delay(), self.faults.report_samples())

    def reset(self) -> None:
        """Forget everything but what the simulator was started with; the clock goes on as it does."""
        self.accounts.forget()
        self._state.forget()
        self.faults.reset()
        self.counts = RequestCounts(self._journal)
        self.requests = RequestLog()
        self._requests = 0

    def _asker(self) -> Asker:
        self._requests += 1
        return Asker(request_id=f"req_{self._requests}")

    def _written(self, call: Call, asker: Asker, pattern: str, outcome: Outcome) -> Answer:
        now = self.clock.now()
        is_lost = outcome.delivery is Delivery.DROPPED
        self.counts.count(call.method, pattern, NOT_ANSWERED if is_lost else outcome.status)
        try:
            self._commit()
        except Exception as failure:  # noqa: BLE001 - what is not kept may not be promised, whatever the cause
            failed = refused(internal(failure), self._dialect(call.path))
            outcome = replace(outcome, status=failed.status, body=failed.body, headers=failed.headers)
        headers = self._headers.write(call, asker.request_id, now)
        headers.update(outcome.headers)
        answer = Answer(
            status=outcome.status,
            body=outcome.body,
            headers=headers,
            hold=outcome.hold,
            delivery=outcome.delivery,
            delay_seconds=outcome.delay_seconds,
        )
        if not call.path.startswith(CONTROL) and call.path != PAGE_PATH:
            self.requests.note(call, answer, asker, now)
        return answer

    def _commit(self) -> None:
        self._journal.put(self.clock.KIND, self.clock.KIND, self.clock.state())
        self._state.commit()

    def _control(self, call: Call) -> tuple[str, Outcome]:
        method, path = call.method, call.path
        if path == PAGE_PATH:
            return path, self._answer_people(call)
        page = self._pages.get((method, path))
        if page is not None:
            return path, answered(page(call))
        if has_other_method(self._routes, method, path) or any(path == own for _, own in self._pages):
            raise wrong_method(method, path)
        raise unrecognized_url(method, path)

    def _answer_people(self, call: Call) -> Outcome:
        match call.method:
            case "GET" | "HEAD":
                return self._page.draw(self.faults, self.requests)
            case "POST":
                return self._page.press(call.body, self.faults, self.requests)
            case method:
                raise wrong_method(method, PAGE_PATH)

    def _current_accounts(self) -> list[Account]:
        self.catch_up()
        return self.accounts.all()

    def _ledger(self, call: Call) -> dict[str, object]:
        return ledger_page(self.clock, self._current_accounts(), self.counts, call.query)

    def _turn_clock(self, call: Call) -> dict[str, object]:
        page = turn_clock(self.clock, call.body)
        self.catch_up()
        return page

    def _end_faults(self, _: Call) -> dict[str, object]:
        self.faults.end()
        return faults_page(self.faults)

    def _reset(self, call: Call) -> dict[str, object]:
        page = turn_for_reset(self.clock, call.body)
        self.reset()
        return page

    def _api(self, call: Call, match: Match, asker: Asker) -> Outcome:
        now = self.clock.now()
        account = self._account(call, match, now)
        asker.account, asker.livemode = account.account_id, account.livemode
        self._catch_up(account, now)
        in_json = match.version == "v2" and call.method == "POST"
        request = ApiRequest(
            account=account,
            parameters=Parameters(parse_form(call.query) + ([] if in_json else parse_form(call.body))),
            document=match.reader(call.body) if in_json else None,
            now=now,
            object_id=match.object_id,
            dialect=self._dialect(call.path),
        )
        if call.method == "POST":
            carry = partial(carry_out_once, call, match, stopwatch=self._stopwatch)
        else:
            carry = partial(carry_out_admitted, call, match, stopwatch=self._stopwatch)
        if self.faults.is_idle:
            return carry(request)
        strike = self.faults.strike(encounter(call, match.pattern, request, asker.request_id))
        if strike is None:
            return carry(request)
        asker.fault = strike.fault.kind
        if strike.expires_session:
            account.sessions.expire(sent_key(call.headers.get("Authorization")), now)
            raise self._session_expired()
        return carry_out_struck(strike, request, carry)

    def _account(self, call: Call, match: Match, now: float) -> Account:
        """Return the account that a call is about, once its key or token and its version are found good."""
        authorization, in_v2 = call.headers.get("Authorization"), match.version == "v2"
        version = call.headers.get("Stripe-Version")
        if match.pattern == STREAM:
            account = self._streaming(sent_key(authorization), now)
            check_version(version, required=True)
            return account
        caller = authenticate(authorization, self._rules.only_key)
        if in_v2:
            check_v2_caller(caller, test_keys=self._rules.readings.v2_test_keys == "taken")
        check_version(version, required=in_v2)
        return self.accounts.open(call.headers.get("Stripe-Account"), livemode=caller.livemode, now=now)

    def _streaming(self, token: str, now: float) -> Account:
        found = self.accounts.with_session(token)
        if found is None:
            raise invalid_key(token)
        account, session = found
        if session.is_expired(now):
            raise self._session_expired()
        return account

    def _session_expired(self) -> ApiError:
        in_401 = self._rules.readings.session_expired == "401"
        return SessionExpiredError(
            "Session token has expired.",
            status=UNAUTHORIZED if in_401 else BAD_REQUEST,
            code="billing_meter_event_session_expired",
        )

    def _dialect(self, path: str) -> Dialect:
        if not path.startswith("/v2/"):
            return Dialect.V1
        return Dialect.V2_TYPED if self._rules.readings.v2_error_type == "present" else Dialect.V2
