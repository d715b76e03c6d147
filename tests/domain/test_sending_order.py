"""The order of sending: what runs out of time soonest first, customers in turn, a line by event_time."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.billing_period import CALENDAR_MONTHS, BillingCycle
from meterledger.domain.instant import DAY, HOUR, Instant
from meterledger.domain.sending_order import Lane, SendingOrder, period_end_of, runs_out_at
from support.properties import steady

NOW = 1_793_491_200_000_000 + 12 * HOUR  # 2026-11-01T12:00:00Z
MIDNIGHT = NOW - 12 * HOUR
MID_MONTH = BillingCycle(MIDNIGHT + 14 * DAY + HOUR, "month", 1)
YEARS = BillingCycle(MIDNIGHT - 100 * DAY, "year", 1)
CYCLES = {"cus_a": (CALENDAR_MONTHS,), "cus_b": (MID_MONTH,), "cus_c": (MID_MONTH, YEARS), "cus_d": (YEARS,)}

LANES = st.tuples(st.sampled_from(["calls", "seats", "bytes"]), st.sampled_from(sorted(CYCLES)))
TIMES = st.integers(-70, 2).map(lambda half_days: NOW + half_days * DAY // 2)
BACKLOGS = st.lists(st.tuples(LANES, TIMES), max_size=60)
Event = tuple[Lane, Instant, int]


def runs_out(
    cycles: tuple[BillingCycle, ...], event_time: Instant, now: Instant = NOW
) -> tuple[Instant, Instant]:
    """Return when usage runs out of time, and until which event_time that is the answer."""
    return runs_out_at(period_end_of(cycles, event_time), HOUR, event_time, now)


def open_but(closed: set[Lane]) -> Callable[[Lane], bool]:
    """Return what says whether a lane may have more."""
    return lambda lane: lane not in closed


def order_of(backlog: Iterable[tuple[Lane, Instant]]) -> tuple[SendingOrder, list[Event]]:
    """Return what waits, with numbers in the order given."""
    order = SendingOrder(NOW, HOUR)
    lines = {}
    events = []
    for number, (lane, event_time) in enumerate(backlog):
        if lane not in lines:
            lines[lane] = order.line(lane, CYCLES[lane[1]])
        lines[lane].add(event_time, number)
        events.append((lane, event_time, number))
    return order, events


def drawn(backlog: list[tuple[Lane, Instant]]) -> list[Event]:
    """Return events in the order of sending."""
    order, events = order_of(backlog)
    return [events[one[1]] for one in order.draw() if one is not None]


def urgencies(events: list[Event]) -> list[Instant]:
    """Return when each runs out of time, or the most urgent that comes after it in its line does."""
    own = [runs_out(CYCLES[lane[1]], event_time)[0] for lane, event_time, _ in events]
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
    calendar = (CALENDAR_MONTHS,)
    assert runs_out(calendar, NOW) == (month_end + HOUR, month_end)
    # October's deadline is over, a draft of it may be open.
    assert runs_out(calendar, MIDNIGHT - 1) == (MIDNIGHT + 3 * DAY, MIDNIGHT)
    later = NOW + 3 * DAY
    assert runs_out(calendar, MIDNIGHT - 1, later) == (MIDNIGHT + 34 * DAY, MIDNIGHT)
    # The end of a year is far, the 35 days are not.
    assert runs_out((YEARS,), NOW - DAY) == (MIDNIGHT + 34 * DAY, MIDNIGHT)
    # Of several cycles the first to end.
    first = (MIDNIGHT + 14 * DAY + HOUR) + HOUR
    assert runs_out(CYCLES["cus_c"], NOW)[0] == first


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
        for customer in CYCLES:
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
    backlog = [(("calls", "cus_b"), NOW + n) for n in range(3)] + [
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
