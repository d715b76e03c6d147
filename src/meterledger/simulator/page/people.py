"""The page as the simulator answers it: drawn on GET, its buttons carried out on POST."""

from collections.abc import Callable
from weakref import WeakKeyDictionary

import msgspec

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.control.clock import turn_clock
from meterledger.simulator.control.requests import RequestLog
from meterledger.simulator.faults.book import FaultBook
from meterledger.simulator.page.activity import Activity
from meterledger.simulator.page.view import PageView, view_account, view_clock, view_faults, view_requests
from meterledger.simulator.protocol.api_errors import BAD_REQUEST, ApiError
from meterledger.simulator.protocol.outcome import OK, Outcome
from meterledger.simulator.protocol.parameters import Parameters, parse_form
from meterledger.simulator.state.account import Account

PAGE_PATH = "/"
SEE_OTHER = 303


class PeoplesPage:
    """
    The page at `/`.

    Args:
        clock: The simulator's clock.
        accounts: Returns every account, once everything that is due has happened.
    """

    def __init__(self, clock: SimulatedClock, accounts: Callable[[], list[Account]]) -> None:
        self._clock = clock
        self._accounts = accounts
        self._activities: WeakKeyDictionary[Account, Activity] = WeakKeyDictionary()

    def draw(self, faults: FaultBook, requests: RequestLog, refusal: str | None = None) -> Outcome:
        """Return the page; refusal says why the last button did nothing."""
        # The templates' library is loaded for whoever looks; clients of the API never do.
        from meterledger.simulator.page.render import HEADERS, render_page  # noqa: PLC0415

        accounts = self._accounts()
        now = self._clock.now()
        view = PageView(
            clock=view_clock(self._clock, accounts),
            accounts=[view_account(account, self._activity(account), now) for account in accounts],
            faults=view_faults(faults),
            requests=view_requests(requests),
            refusal=refusal,
        )
        return Outcome(status=BAD_REQUEST if refusal else OK, body=render_page(view), headers=HEADERS)

    def press(self, body: bytes, faults: FaultBook, requests: RequestLog) -> Outcome:
        """Turn the clock as the form of a button says, and lead back to the page."""
        try:
            parameters = Parameters(parse_form(body))
            parameters.allow(("now", "advance", "mode"), ())
            turn_clock(self._clock, msgspec.json.encode(parameters.fields))
        except ApiError as failure:
            return self.draw(faults, requests, failure.message)
        return Outcome(status=SEE_OTHER, body=b"", headers={"Location": PAGE_PATH})

    def _activity(self, account: Account) -> Activity:
        activity = self._activities.get(account)
        if activity is None:
            activity = self._activities[account] = Activity(account.meters, account.usage)
        return activity
