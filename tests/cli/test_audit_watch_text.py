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


def test_many_deadlines_take_a_line_each_but_for_the_next_and_a_late_source_is_said_once() -> None:
    """What is over and how many they are stands above, for a terminal cuts the last lines off; 80 columns."""
    much = dict.fromkeys((what.value for what in Waiting), 3)
    look = Look(
        as_of=NOW,
        deadlines=[ahead(1), ahead(2, unsent=3, in_doubt=1), ahead(3), ahead(4, **much)],
        more_deadlines=4996,
        after_deadline=523,
    )
    shown = look_text(look).plain.splitlines()

    assert shown == [
        "2026-11-22 12:00 UTC, the next 4 of 5,000 deadlines",
        "523 wait though their deadline is over: see `audit`",
        "2026-10-23T13:00:00Z to 2026-11-22T13:00:00Z,",
        "  deadline 2026-11-22T14:00:00Z (configured)",
        "  2h left, 1 customer, nothing waits",
        "  source batch: up to 11-21 23:00, came 11-22 00:00, late, due 11-22 11:59",
        "  source gateway: up to 11-21 23:00, came 11-22 00:00, complete",
        "2026-11-22T15:00:00Z (configured): 3h left, 1 customer, unsent 3, in doubt 1",
        "2026-11-22T16:00:00Z (configured): 4h left, 1 customer, nothing waits",
        "2026-11-22T17:00:00Z (configured): 5h left, 1 customer",
        "  " + ", ".join(f"{what.value.replace('_', ' ')} 3" for what in Waiting),
    ]
    assert all(len(line) <= 80 for line in shown[:-1])


def test_few_deadlines_are_each_shown_in_full() -> None:
    """Where none is left out, each has its period, and what waits of it one below the other."""
    look = Look(
        as_of=NOW, deadlines=[ahead(1), ahead(2, unsent=3, in_doubt=1)], more_deadlines=0, after_deadline=0
    )

    assert look_text(look).plain.splitlines()[6:] == [
        "2026-10-23T14:00:00Z to 2026-11-22T14:00:00Z,",
        "  deadline 2026-11-22T15:00:00Z (configured)",
        "  3h left, 1 customer",
        "  unsent 3",
        "  in doubt 1",
    ]
