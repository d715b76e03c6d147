"""Error reports: read what Stripe says later of what it had taken, and settle the meter events it names."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from meterledger.domain.delivery import State
from meterledger.domain.error_report import READ_AGAIN
from meterledger.domain.instant import DAY, Instant
from meterledger.domain.usage import shown
from meterledger.ledger import Ledger
from meterledger.ledger.error_reports import Reading

if TYPE_CHECKING:
    from meterledger.stripe_gateway.error_reports import ReportPage, UnreadableReport
    from meterledger.stripe_gateway.gateway import Read

MAX_PAGES = 500
"""Pages that one poll reads at most; the next one goes on where it ended."""

LISTED_DAYS = 30
"""How far back Stripe lists events, and reports show them."""

_NAMED = 5
"""Unreadable reports that a warning names."""

_ASKED_SINCE = 29 * DAY
"""An older bound is left out: Stripe lists 30 days anyway."""


class ReportGateway(Protocol):
    """What reads error reports."""

    async def error_reports(
        self, *, since: Instant | None, before: Instant | None, page: str | None
    ) -> "Read":
        """Return a page of them, the newest first, or a warning."""

    async def meter_names(self) -> "Read":
        """Return meter id -> event name, or a warning."""


@dataclass(slots=True, kw_only=True)
class Polled:
    """What one poll brought."""

    settled: Counter[State] = field(default_factory=Counter)
    """Meter events by the state they came into."""
    new_reports: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Poll:
    """One poll while it runs."""

    ledger: Ledger
    gateway: ReportGateway
    token: int
    clock: Callable[[], Instant]
    polled: Polled = field(default_factory=Polled)
    newest: Instant | None = None
    oldest: Instant | None = None
    unreadable: list["UnreadableReport"] = field(default_factory=list)
    unreadable_since: Instant | None = None
    """When the oldest of them was made."""
    meter_names: dict[str, str] | None = None


async def poll_error_reports(
    ledger: Ledger,
    gateway: ReportGateway,
    *,
    token: int,
    clock: Callable[[], Instant],
    is_stopping: Callable[[], bool] = lambda: False,
) -> Polled:
    """
    Read error reports that were not read yet, page by page, and settle what they name.

    Reports are kept with each page. How far the reading came is only noted at its end: a poll that dies in
    between reads again, and what it has seen already is dropped by its id.

    Args:
        ledger: The ledger; nothing of it may be in flight.
        gateway: Reads them.
        token: That of the lease.
        clock: Now.
        is_stopping: Whether to end before the next page.

    Raises:
        StripeError: The key is refused, or Stripe cannot be reached; what was read before is kept.
    """
    poll = _Poll(ledger=ledger, gateway=gateway, token=token, clock=clock)
    reading = ledger.error_reports.reading()
    poll.newest = reading.newest
    since = _since(reading, clock())
    page: str | None = None
    for _ in range(MAX_PAGES):
        if is_stopping():
            break
        read = await gateway.error_reports(since=since, before=reading.resume_before, page=page)
        if read.value is None:
            poll.polled.warnings.append(read.warning)
            break
        await _take_in(poll, read.value)
        page = read.value.next_page
        if page is None:
            _note_complete(poll, reading)
            break
    else:
        poll.polled.warnings.append(
            f"there are more than {MAX_PAGES} pages of error reports; run `meterledger reconcile "
            "--errors-only` again for the rest"
        )
    if page is not None:
        _note_unfinished(poll, reading)
    if poll.unreadable:
        poll.polled.warnings.append(_told_unreadable(poll.unreadable))
    return poll.polled


def _since(reading: Reading, now: Instant) -> Instant | None:
    """Return from when on to read: some time before the last event seen, or all that there is."""
    if reading.read_up_to is None or reading.read_up_to - READ_AGAIN < now - _ASKED_SINCE:
        return None
    return reading.read_up_to - READ_AGAIN


def _told_unreadable(found: "Sequence[UnreadableReport]") -> str:
    named = ", ".join(shown(one.event_id) for one in found[:_NAMED] if one.event_id) or "without an id"
    return (
        f"{len(found)} error reports could not be read, and were left out ({named}): look at them in "
        "Stripe's Dashboard, or try a newer version; they are told again each time"
    )


async def _take_in(poll: _Poll, page: "ReportPage") -> None:
    created = [report.created for report in page.reports]
    poll.newest = max((*created, *([] if poll.newest is None else [poll.newest])), default=None)
    poll.oldest = min((*created, *([] if poll.oldest is None else [poll.oldest])), default=None)
    poll.unreadable += page.unreadable
    poll.unreadable_since = min(
        (one.created for one in poll.unreadable if one.created is not None), default=None
    )
    store = poll.ledger.error_reports
    new = store.unseen(page.reports)
    if poll.meter_names is None and any(report.meter_id for report in new):
        names = await poll.gateway.meter_names()
        poll.meter_names = names.value or {}
    now = poll.clock()
    poll.polled.settled += store.take_in(new, poll.meter_names or {}, poll.token, now)
    poll.polled.new_reports += len(new)


def _note_complete(poll: _Poll, reading: Reading) -> None:
    # An event of a later time than now must not make the next poll begin after what is still to come.
    ends = [end for end in (poll.newest, reading.read_up_to) if end is not None]
    read_up_to = min(max(ends), poll.clock()) if ends else None
    # What could not be read is read and told again each time, as long as Stripe lists it.
    if read_up_to is not None and poll.unreadable_since is not None:
        read_up_to = min(read_up_to, poll.unreadable_since)
    _note(poll, reading, Reading(read_up_to=read_up_to))


def _note_unfinished(poll: _Poll, reading: Reading) -> None:
    """Let the next poll go on below what was read: the list begins with the newest."""
    if poll.oldest is not None:
        _note(poll, reading, replace(reading, resume_before=poll.oldest, newest=poll.newest))


def _note(poll: _Poll, before: Reading, reading: Reading) -> None:
    if reading != before:
        poll.ledger.error_reports.note_reading(reading, poll.token, poll.clock())
