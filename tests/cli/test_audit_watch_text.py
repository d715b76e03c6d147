"""A look of `audit --watch` as people read it, where many deadlines are ahead."""

from meterledger.cli.audit_watch import look_text
from meterledger.domain.billing_period import BillingPeriod
from meterledger.domain.dues import DeadlineSource
from meterledger.domain.instant import DAY, HOUR, MINUTE, parse_instant
from meterledger.domain.rhythm import Outlook, SourceState
from meterledger.usecases.countdown import DeadlineAhead, Look, Waiting

NOW = parse_instant("2026-11-22T12:00:00Z")


def source(state: SourceState) -> Outlook:
    """Return a source that has brought nothing for half a day."""
    return Outlook(
        state=state,
        last_delivery=NOW - 12 * HOUR,
        reached=NOW - 13 * HOUR,
        interval=DAY,
        has_passed=False,
        complete_by=NOW - MINUTE,
        days=9,
    )


def ahead(number: int, **waiting: int) -> DeadlineAhead:
    """Return the deadline of one customer, so many hours away, with one late source and one on time."""
    end = NOW + number * HOUR
    return DeadlineAhead(
        deadline=end + HOUR,
        period=BillingPeriod(end - 30 * DAY, end),
        deadline_source=DeadlineSource.CONFIGURED,
        customers=1,
        waiting={what: waiting.get(what.value, 0) for what in Waiting},
        sources={"batch": source(SourceState.LATE), "gateway": source(SourceState.COMPLETE)},
    )


def test_many_deadlines_are_counted_above_and_a_late_source_is_said_once() -> None:
    """The first line has their number, for a terminal cuts the last lines off."""
    look = Look(
        as_of=NOW,
        deadlines=[ahead(1), ahead(2, unsent=3, in_doubt=1)],
        more_deadlines=4998,
        after_deadline=0,
    )

    assert look_text(look).plain.splitlines() == [
        "2026-11-22 12:00 UTC, the next 2 of 5,000 deadlines",
        "2026-10-23T13:00:00Z to 2026-11-22T13:00:00Z, deadline 2026-11-22T14:00:00Z (configured)",
        "  2h left, 1 customer, nothing waits",
        "  source batch: up to 11-21 23:00, came 11-22 00:00, late, due 11-22 11:59",
        "  source gateway: up to 11-21 23:00, came 11-22 00:00, complete",
        "2026-10-23T14:00:00Z to 2026-11-22T14:00:00Z, deadline 2026-11-22T15:00:00Z (configured)",
        "  3h left, 1 customer",
        "  unsent 3",
        "  in doubt 1",
    ]
