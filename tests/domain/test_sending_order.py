"""The order of sending: what runs out of time soonest first, customers in turn, a line by event_time."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.billing_period import BillingCycle, BillingPeriod
from meterledger.domain.dues import NEVER, BilledItem, Dues, KnownInvoice
from meterledger.domain.grace import Grace
from meterledger.domain.instant import DAY, HOUR, Instant
from meterledger.domain.sending_order import DueAt, Lane, SendingOrder, Strand, runs_out_at
from support.properties import steady

NOW = 1_793_491_200_000_000 + 12 * HOUR  # 2026-11-01T12:00:00Z
MIDNIGHT = NOW - 12 * HOUR
OCTOBER = BillingPeriod(MIDNIGHT - 31 * DAY, MIDNIGHT)
MID_MONTH = BillingCycle(MIDNIGHT + 14 * DAY + HOUR, "month", 1)
YEARS = BillingCycle(MIDNIGHT - 100 * DAY, "year", 1)
MONTHS = BillingCycle(MIDNIGHT, "month", 1)


def billed(cycle: BillingCycle, *invoices: KnownInvoice, of: str = "sub_1") -> BilledItem:
    """Return a subscription item with what is known of its invoices."""
    return BilledItem(of, cycle, cycle.period_at(NOW), MIDNIGHT - 300 * DAY, invoices=invoices)


def october(deadline: Instant, *, is_final: bool = False) -> KnownInvoice:
    """Return the invoice of October."""
    return KnownInvoice(OCTOBER, deadline, is_final)


ITEMS = {
    "cus_a": [],
    "cus_b": [billed(MID_MONTH)],
    "cus_c": [billed(MID_MONTH), billed(YEARS, of="sub_2")],
    "cus_d": [billed(YEARS)],
    "cus_soon": [billed(MONTHS, october(NOW + HOUR // 6))],
    "cus_moved": [billed(MONTHS, october(NOW + 5 * DAY))],
}
METERS = ["bytes", "calls", "seats"]
DUES = Dues(
    Grace(default=HOUR),
    items={(customer, meter): items for customer, items in ITEMS.items() for meter in METERS},
)

LANES = st.tuples(st.sampled_from(METERS), st.sampled_from(sorted(ITEMS)))
TIMES = st.integers(-70, 2).map(lambda half_days: NOW + half_days * DAY // 2)
BACKLOGS = st.lists(st.tuples(LANES, TIMES), max_size=60)
Event = tuple[Lane, Instant, int]


def due_at(lane: Lane, subscription_id: str | None = None) -> DueAt:
    """Return what answers when usage of a lane is due."""
    return lambda event_time: DUES.at(lane[1], subscription_id, lane[0], event_time)


def runs_out(
    customer: str, event_time: Instant, now: Instant = NOW, subscription_id: str | None = None
) -> tuple[Instant, Instant]:
    """Return when usage runs out of time, and until which event_time that is the answer."""
    return runs_out_at(due_at(("calls", customer), subscription_id)(event_time), event_time, now)


def open_but(closed: set[Lane]) -> Callable[[Lane], bool]:
    """Return what says whether a lane may have more."""
    return lambda lane: lane not in closed


def subscription_of(number: int) -> str | None:
    """Return which subscription usage names, if any: every third its own."""
    return (None, "sub_1", "sub_2")[number % 3]


def order_of(backlog: Iterable[tuple[Lane, Instant]]) -> tuple[SendingOrder, list[Event]]:
    """Return what waits, with numbers in the order given: every fourth is sealed, the others are usage."""
    order = SendingOrder(NOW)
    lines = {lane: order.line(lane) for lane in dict.fromkeys(lane for lane, _ in backlog)}
    strands: dict[tuple[Lane, str | None], Strand] = {}
    events = []
    for number, (lane, event_time) in enumerate(backlog):
        named = subscription_of(number)
        if number % 4 == 0:
            judged = event_time, number, runs_out_at(due_at(lane, named)(event_time), event_time, NOW)[0]
            lines[lane].judged.append(judged)
        else:
            if (lane, named) not in strands:
                strands[lane, named] = lines[lane].strand(due_at(lane, named))
            strands[lane, named].add(event_time, number)
        events.append((lane, event_time, number))
    return order, events


def drawn(backlog: list[tuple[Lane, Instant]]) -> list[Event]:
    """Return events in the order of sending."""
    order, events = order_of(backlog)
    return [events[one[1]] for one in order.draw() if one is not None]


def urgencies(events: list[Event]) -> list[Instant]:
    """Return when each runs out of time, or the most urgent that comes after it in its line does."""
    own = [
        runs_out(lane[1], event_time, subscription_id=subscription_of(number))[0]
        for lane, event_time, number in events
    ]
    return [
        min(
            other
            for other, later in zip(own, events, strict=True)
            if one[0] == later[0] and one[1:] <= later[1:]
        )
        for one in events
    ]


def test_the_next_clock_that_is_ahead_counts() -> None:
    """The deadline; then the longest grace period; then 35 days, by the day."""
    month_end = MIDNIGHT + 30 * DAY
    assert runs_out("cus_a", NOW) == (month_end + HOUR, month_end)
    # October's deadline is over, a draft of it may be open.
    assert runs_out("cus_a", MIDNIGHT - 1) == (MIDNIGHT + 3 * DAY, MIDNIGHT)
    later = NOW + 3 * DAY
    assert runs_out("cus_a", MIDNIGHT - 1, later) == (MIDNIGHT + 34 * DAY, MIDNIGHT)
    # The end of a year is far, the 35 days are not.
    assert runs_out("cus_d", NOW - DAY) == (MIDNIGHT + 34 * DAY, MIDNIGHT)
    # Of several subscriptions the first to end.
    first = MIDNIGHT + 14 * DAY + HOUR
    assert runs_out("cus_c", NOW) == (first + HOUR, first)


def test_a_draft_goes_by_its_own_deadline() -> None:
    """However far it was moved, beyond 72 hours too; what a person holds open has the 35 days alone."""
    assert runs_out("cus_soon", MIDNIGHT - 1) == (NOW + HOUR // 6, MIDNIGHT)
    assert runs_out("cus_moved", MIDNIGHT - 1) == (NOW + 5 * DAY, MIDNIGHT)
    held = Dues(Grace(), items={("cus_x", "calls"): [billed(MONTHS, october(NEVER))]})
    assert runs_out_at(held.at("cus_x", None, "calls", MIDNIGHT - 1), MIDNIGHT - 1, NOW) == (
        MIDNIGHT + 34 * DAY,
        MIDNIGHT,
    )


@pytest.mark.parametrize(("is_final", "expected"), [(False, MIDNIGHT + 3 * DAY), (True, MIDNIGHT + 34 * DAY)])
def test_a_deadline_that_is_over_leaves_what_may_be_open_still(*, is_final: bool, expected: Instant) -> None:
    """A draft that nobody saw final may be open for 72 hours; one that is final is no hurry."""
    invoice = october(NOW - HOUR, is_final=is_final)
    known = Dues(Grace(), items={("cus_x", "calls"): [billed(MONTHS, invoice)]})
    assert runs_out_at(known.at("cus_x", None, "calls", MIDNIGHT - 1), MIDNIGHT - 1, NOW)[0] == expected


def test_a_subscription_whose_deadline_is_over_hides_no_other() -> None:
    """Billed by two, one of them final: it is the deadline of the other that is ahead."""
    items = [
        billed(MONTHS, october(NOW - HOUR, is_final=True)),
        billed(MONTHS, october(NOW + HOUR), of="sub_2"),
    ]
    known = Dues(Grace(), items={("cus_x", "calls"): items})
    stretch = known.at("cus_x", None, "calls", MIDNIGHT - 1)
    assert [one.deadline for one in stretch.dues] == [NOW - HOUR, NOW + HOUR]
    assert runs_out_at(stretch, MIDNIGHT - 1, NOW)[0] == NOW + HOUR
    named = known.at("cus_x", "sub_1", "calls", MIDNIGHT - 1)
    assert runs_out_at(named, MIDNIGHT - 1, NOW)[0] == MIDNIGHT + 34 * DAY


@steady
@given(BACKLOGS)
def test_nobody_waits_behind_a_later_deadline(backlog: list[tuple[Lane, Instant]]) -> None:
    """The deadline that the audit tells: before one that is ahead goes a later one only if it has to."""
    sent = drawn(backlog)
    deadlines = [
        DUES.at(lane[1], subscription_of(number), lane[0], event_time).due.deadline
        for lane, event_time, number in sent
    ]
    found = urgencies(sent)
    for place, ((lane, event_time, number), deadline) in enumerate(zip(sent, deadlines, strict=True)):
        clock, _ = runs_out(lane[1], event_time, subscription_id=subscription_of(number))
        # What has to go is urgent itself, or comes before what is in its line.
        assert clock != deadline or all(one <= deadline for one in found[:place])


@steady
@given(BACKLOGS)
def test_a_line_goes_by_event_time_and_nothing_is_left_out(backlog: list[tuple[Lane, Instant]]) -> None:
    """Each comes once; of one customer and meter by event_time, then by number."""
    sent = drawn(backlog)
    assert sorted(number for _, _, number in sent) == list(range(len(backlog)))
    by_lane = defaultdict(list)
    for lane, *waiting in sent:
        by_lane[lane].append(waiting)
    assert all(line == sorted(line) for line in by_lane.values())


@steady
@given(BACKLOGS)
def test_urgency_never_goes_back(backlog: list[tuple[Lane, Instant]]) -> None:
    """What runs out of time sooner goes first, and takes along what comes before it in its line."""
    found = urgencies(drawn(backlog))
    assert found == sorted(found)


@steady
@given(BACKLOGS)
def test_customers_take_turns(backlog: list[tuple[Lane, Instant]]) -> None:
    """Between two of one customer, equally urgent, comes at most one of any other; so with its meters."""
    sent = drawn(backlog)
    by_urgency = defaultdict(list)
    for event, urgency in zip(sent, urgencies(sent), strict=True):
        by_urgency[urgency].append(event[0])
    for lanes in by_urgency.values():
        assert_turns([customer for _, customer in lanes])
        for customer in ITEMS:
            assert_turns([meter for meter, whose in lanes if whose == customer])


def assert_turns(names: list[str]) -> None:
    """Check that between two of one name is at most one of any other."""
    for name in set(names):
        at = [position for position, other in enumerate(names) if other == name]
        for start, end in pairwise(at):
            assert set(Counter(names[start + 1 : end]).values()) <= {1}


@steady
@given(BACKLOGS, st.lists(st.sets(LANES), max_size=60))
def test_lanes_that_may_have_no_more_keep_nobody_waiting(
    backlog: list[tuple[Lane, Instant]], closed_in_turn: list[set[Lane]]
) -> None:
    """None comes only if all that is left is closed; each line stays in order, and all comes in the end."""
    order, events = order_of(backlog)
    closings = iter(closed_in_turn)
    closed: set[Lane] = set()
    left = Counter(lane for lane, _, _ in events)
    by_lane = defaultdict(list)
    for one in order.draw(open_but(closed)):
        if one is None:
            assert {lane for lane, count in left.items() if count} <= closed
        else:
            lane, *waiting = events[one[1]]
            assert lane not in closed
            by_lane[lane].append(waiting)
            left[lane] -= 1
        closed.clear()
        closed.update(next(closings, set()))
    assert not left.total()
    assert all(line == sorted(line) for line in by_lane.values())


def test_a_lane_that_is_closed_gets_its_turn_before_what_is_less_urgent() -> None:
    """As soon as it may have more, the more urgent line goes on."""
    backlog: list[tuple[Lane, Instant]] = [(("calls", "cus_b"), NOW + n) for n in range(3)] + [
        (("calls", "cus_a"), NOW + n) for n in range(6)
    ]
    order, events = order_of(backlog)
    closed: set[Lane] = set()
    sent = []
    for one in order.draw(open_but(closed)):
        assert one is not None
        sent.append(events[one[1]][0][1][-1])
        closed.clear()
        closed.update({("calls", "cus_b")} if len(sent) in {1, 2} else ())
    assert "".join(sent) == "baabbaaaa"
