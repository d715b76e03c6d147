"""The simulated Stripe as one object: a call goes in, an answer comes out, no IO in between."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.control.clock import CLOCK_PATH, clock_page, turn_clock
from meterledger.simulator.control.ledger import LEDGER_PATH, ledger_page
from meterledger.simulator.control.requests import RequestCounts
from meterledger.simulator.executor import carry_out, carry_out_once, internal
from meterledger.simulator.happenings import catch_up
from meterledger.simulator.protocol.api_errors import (
    CONTENT_TOO_LARGE,
    ApiError,
    unrecognized_url,
    wrong_method,
)
from meterledger.simulator.protocol.api_keys import authenticate
from meterledger.simulator.protocol.api_request import ApiRequest, Endpoint
from meterledger.simulator.protocol.json_body import parse_json
from meterledger.simulator.protocol.outcome import Outcome, answered, refused
from meterledger.simulator.protocol.parameters import Parameters, parse_form
from meterledger.simulator.protocol.wire import Answer, Call, HeaderWriter
from meterledger.simulator.routes import ROUTES, Match, find_route, has_other_method
from meterledger.simulator.rules import Rules
from meterledger.simulator.state.account_book import AccountBook
from meterledger.simulator.state.keeping import SIMULATOR, Memory, State

NO_ROUTE = "(unknown)"  # the pattern under which calls to unknown paths are counted


class LocalStripe:
    """
    Everything behind the simulator's port.

    Args:
        clock: The time that every rule follows.
        rules: What the simulator was told to be like.
        stopwatch: Seconds of a real clock that never goes back, for limits on real traffic.
        routes: The API's endpoints.
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
        state: State | None = None,
    ) -> None:
        self.clock = clock
        self._state = state or Memory()
        self._journal = self._state.journal_for(SIMULATOR)
        self.counts = RequestCounts(self._journal)
        self.accounts = AccountBook(rules, stopwatch, self._state)
        self._rules = rules
        self._stopwatch = stopwatch
        self._routes = routes
        self._headers = HeaderWriter()
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
        match = find_route(self._routes, call.method, call.path)
        pattern = NO_ROUTE if match is None else match.pattern
        try:
            if match is not None:
                outcome = self._api(call, match)
            else:
                pattern, outcome = self._control(call)
        except ApiError as refusal:
            outcome = refused(refusal)
        except Exception as failure:  # noqa: BLE001 - a bug here must look to the client like one at Stripe
            outcome = refused(internal(failure))
        return self._written(call, pattern, outcome)

    def refuse_size(self, call: Call) -> Answer:
        """Answer a call whose body was too large to be read."""
        refusal = ApiError("The request's body is too large.", status=CONTENT_TOO_LARGE)
        return self._written(call, NO_ROUTE, refused(refusal))

    def catch_up(self) -> None:
        """Let everything happen, in every account, that has fallen due by now."""
        now = self.clock.now()
        for account in self.accounts.all():
            catch_up(account, now)

    def _written(self, call: Call, pattern: str, outcome: Outcome) -> Answer:
        self._requests += 1
        self.counts.count(call.method, pattern, outcome.status)
        try:
            self._commit()
        except Exception as failure:  # noqa: BLE001 - what is not kept may not be promised, whatever the cause
            outcome = replace(refused(internal(failure)), hold=outcome.hold)
        headers = self._headers.write(call, f"req_{self._requests}", self.clock.now())
        headers.update(outcome.headers)
        return Answer(status=outcome.status, body=outcome.body, headers=headers, hold=outcome.hold)

    def _commit(self) -> None:
        self._journal.put(self.clock.KIND, self.clock.KIND, self.clock.state())
        self._state.commit()

    def _control(self, call: Call) -> tuple[str, Outcome]:
        match (call.method, call.path):
            case ("GET", path) if path == LEDGER_PATH:
                self.catch_up()
                page = ledger_page(self.clock, self.accounts.all(), self.counts, call.query)
            case ("GET", path) if path == CLOCK_PATH:
                page = clock_page(self.clock)
            case ("POST", path) if path == CLOCK_PATH:
                page = turn_clock(self.clock, call.body)
                self.catch_up()
            case (method, path) if has_other_method(self._routes, method, path):
                raise wrong_method(method, path)
            case (method, path):
                raise unrecognized_url(method, path)
        return call.path, answered(page)

    def _api(self, call: Call, match: Match) -> Outcome:
        now = self.clock.now()
        caller = authenticate(call.headers.get("Authorization"), self._rules.only_key)
        account = self.accounts.open(call.headers.get("Stripe-Account"), livemode=caller.livemode, now=now)
        catch_up(account, now)
        in_json = match.version == "v2" and call.method == "POST"
        request = ApiRequest(
            account=account,
            parameters=Parameters(parse_form(call.query) + ([] if in_json else parse_form(call.body))),
            document=parse_json(call.body) if in_json else None,
            now=now,
            object_id=match.object_id,
        )
        if call.method == "POST":
            return carry_out_once(call, match, request, self._stopwatch)
        return carry_out(match, request)
