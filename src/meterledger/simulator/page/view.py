"""Everything that the page shows, gathered from the simulator's state; no HTML yet."""

import math
from dataclasses import dataclass

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.control.requests import AnsweredRequest, RequestLog
from meterledger.simulator.faults.book import ArmedFault, FaultBook
from meterledger.simulator.instants import format_instant
from meterledger.simulator.page.activity import Activity
from meterledger.simulator.page.billing_view import BillingView, view_billing
from meterledger.simulator.page.coming import Coming, next_coming
from meterledger.simulator.page.meters_view import MeterView, view_meters
from meterledger.simulator.page.times import instant_text, next_month, span_text
from meterledger.simulator.state.account import Account

MOST_METERS = 20  # of an account
MOST_ROWS = 50  # of each table of an account
MOST_REQUESTS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class InstantView:
    """An instant for people and for machines, in UTC."""

    text: str
    iso: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComingView:
    """What happens next by itself, when, and how long that is from now."""

    at: InstantView
    wait: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockView:
    """The clock, and where its buttons lead; coming is None where nothing will happen by itself."""

    now: InstantView
    frozen: bool
    month_end: InstantView
    coming: ComingView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """An account in one mode, with the first of its meters and the number of the others, and its billing."""

    name: str
    livemode: bool
    meters: list[MeterView]
    more_meters: int
    billing: BillingView


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultView:
    """A fault of the plan."""

    kind: str
    where: str
    struck: int
    left: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """A request with its answer."""

    at: str
    id: str
    method: str
    path: str
    status: str
    failed: bool
    error: str
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageView:
    """The whole page; refusal is why a button did nothing, where one did."""

    clock: ClockView
    accounts: list[AccountView]
    faults: list[FaultView]
    requests: list[RequestView]
    refusal: str | None


def view_clock(clock: SimulatedClock, accounts: list[Account]) -> ClockView:
    """Gather the clock."""
    now = clock.now()
    coming = next_coming(accounts)
    return ClockView(
        now=_instant(now),
        frozen=clock.frozen,
        month_end=_instant(next_month(now)),
        coming=None if coming is None else _coming(coming, now),
    )


def view_account(account: Account, activity: Activity, now: float) -> AccountView:
    """Gather an account; now is in epoch seconds."""
    meters = account.meters.newest_first()
    return AccountView(
        name=account.account_id,
        livemode=account.livemode,
        meters=view_meters(account, meters[:MOST_METERS], activity, now),
        more_meters=len(meters[MOST_METERS:]),
        billing=view_billing(account, now, MOST_ROWS),
    )


def _coming(coming: Coming, now: float) -> ComingView:
    due = math.ceil(coming.due)
    return ComingView(at=_instant(due), wait=span_text(math.ceil(due - now)), text=coming.text)


def view_faults(book: FaultBook) -> list[FaultView]:
    """Gather the faults of the plan, and those drawn by chance as one."""
    faults = [_fault(armed) for armed in book.armed]
    settings = book.random.settings
    if settings.rate:
        kinds = f"by chance, {settings.rate:.1%} of requests"
        struck = book.random.struck
        faults.append(FaultView(kind=kinds, where=settings.on, struck=struck, left="for ever"))
    return faults


def view_requests(log: RequestLog) -> list[RequestView]:
    """Gather the latest requests."""
    return [_request(request) for request in log.newest_first(MOST_REQUESTS)]


def _fault(armed: ArmedFault) -> FaultView:
    fault = armed.fault
    selectors = (fault.place, fault.method, fault.path, fault.event_name, fault.customer, fault.identifier)
    if fault.kind.is_standing:
        left = "as long as planned"
    else:
        left = "for ever" if not fault.most else str(fault.most - armed.struck)
    return FaultView(
        kind=fault.kind,
        where=", ".join(selector for selector in selectors if selector),
        struck=armed.struck,
        left=left,
    )


def _request(request: AnsweredRequest) -> RequestView:
    path = f"{request.path}?{request.query}" if request.query else request.path
    return RequestView(
        at=instant_text(request.at),
        id=request.asker.request_id,
        method=request.method,
        path=path,
        status="no answer" if request.status is None else str(request.status),
        failed=request.status is None or request.status >= 400,  # noqa: PLR2004 - HTTP's own number
        error=request.message or "",
        fault=request.asker.fault or "",
    )


def _instant(seconds: float) -> InstantView:
    return InstantView(text=instant_text(seconds), iso=format_instant(seconds))
