"""Push keeps the order of each customer and meter: one call at a time, by event time where it matters."""

from pathlib import Path

import pytest

from meterledger.domain.blocking import BlockReason
from support.push_cases import SEATS, always, many, only_first
from support.pushing import CONFIG, HOUR, MINUTE, SECOND, START, Row, World
from support.strict_stripe import Arrival, Fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty ledger and a strict Stripe."""
    return World(tmp_path / "w")


def test_one_call_at_a_time_for_each_customer_and_meter(world: World) -> None:
    """Many lanes at once, never two calls in one, retries included."""
    world.import_rows([*many(40, 6), *many(20, 4, "seats")])
    seen: set[str] = set()

    def first_time(arrival: Arrival) -> Fault | None:
        is_new = arrival.identifier not in seen
        seen.add(arrival.identifier)
        faults = (None, None, None, Fault.LIMITED, Fault.LOST_ANSWER, None, Fault.LOST_REQUEST)
        return faults[arrival.number % 7] if is_new else None

    world.stripe.fault = first_time
    report = world.push()
    assert report.pending == 0
    assert set(world.stripe.highest.values()) == {1}
    assert len(world.stripe.highest) == 60
    assert 16 <= world.stripe.most_open <= 32
    assert set(world.stripe.counts().values()) == {1}


def test_a_claim_that_waited_too_long_is_not_sent_as_it_is(world: World) -> None:
    """After a machine slept, a claim's time is no longer true: it is claimed anew before it is sent."""
    world.import_rows(many(1, 5))
    jumps = iter([None, 10 * MINUTE, None, 2 * HOUR, None])

    def sleep(_arrival: Arrival) -> Fault | None:
        world.time.advance(next(jumps, None) or 0)
        return None

    world.stripe.fault = sleep
    assert world.push().pending == 0
    sent = world.select(
        "SELECT m.identifier, a.started_at FROM delivery_attempts AS a "
        "JOIN meter_events AS m ON m.id = a.meter_event WHERE a.outcome <> 'not_sent'"
    )
    arrived = {arrival.identifier: arrival.at for arrival in world.stripe.arrivals}
    assert len(sent) == len(arrived) == 5
    for identifier, started_at in sent:
        assert isinstance(started_at, int)
        assert 0 <= arrived[str(identifier)] - started_at <= 5 * MINUTE


def values(world: World) -> list[int]:
    """Return the values in the order in which Stripe counted them."""
    return [int(arrival.value) for arrival in world.stripe.counted]


def test_an_ordered_meter_goes_by_event_time(world: World) -> None:
    """On a `last` meter the order of event_time holds, whatever the order of the file."""
    world.import_rows([SEATS[index] for index in (3, 0, 4, 2, 1)])
    world.push()
    assert values(world) == [1, 2, 3, 4, 5]


def test_a_windowed_meter_is_ordered_too(tmp_path: Path) -> None:
    """On a pre-aggregated meter the event received last counts, so the order is held there as well."""
    config = CONFIG.replace('aggregation = "last"', 'event_time_window = "hour"')
    world = World(tmp_path / "w", config)
    rows = [Row(key=f"w{n}", feature="seats", quantity=str(n), at=START + n * SECOND) for n in range(1, 5)]
    world.import_rows(rows[::-1])
    world.stripe.fault = only_first(Fault.LIMITED)
    world.push()
    assert values(world) == [1, 2, 3, 4]


@pytest.mark.parametrize("fault", [Fault.LOST_REQUEST, Fault.LIMITED, Fault.STORED_500])
def test_a_later_value_waits_for_the_earlier_one(world: World, fault: Fault) -> None:
    """While an earlier value has no final outcome no later one leaves; other meters go on."""
    world.import_rows([*SEATS, Row(key="c")])
    stuck = [True]
    world.stripe.fault = lambda arrival: (
        fault if stuck[0] and arrival.lane[0] == "seats" and arrival.value == 2 else None
    )
    report = world.push()
    assert {arrival.lane[0]: arrival.value for arrival in world.stripe.counted} == {"seats": 1, "calls": 1}
    assert {int(arrival.value) for arrival in world.stripe.arrivals if arrival.lane[0] == "seats"} == {1, 2}
    assert report.pending == 4
    stuck[0] = False
    assert world.push().pending == 0
    assert [arrival.value for arrival in world.stripe.counted if arrival.lane[0] == "seats"] == [
        1,
        2,
        3,
        4,
        5,
    ]


def test_a_later_value_waits_while_an_earlier_one_is_in_doubt(world: World) -> None:
    """In doubt is not final: the lane waits for the person who settles it, then goes on in its order."""
    world.import_rows([*SEATS, Row(key="other", customer="cus_b", feature="seats", quantity="9")])
    world.stripe.fault = lambda arrival: Fault.LOST_ANSWER if arrival.value == 2 else None
    world.push()
    world.time.advance(24 * HOUR)
    world.stripe.fault = lambda _arrival: None
    report = world.push()
    assert (report.in_doubt, report.pending, report.blocked) == (1, 3, {})
    assert sorted(values(world)) == [1, 2, 9]
    assert world.preview()[1].waiting == 3
    world.resolve_by_truth()
    assert world.push().pending == 0
    assert [value for value in values(world) if value != 9] == [1, 2, 3, 4, 5]


def test_a_rejection_is_final_for_the_lane(world: World) -> None:
    """After a rejected value the next one goes: a rejection is knowledge."""
    world.import_rows(SEATS)
    world.stripe.fault = lambda arrival: (
        world.stripe.customers_deleted.clear()
        if arrival.value != 2
        else world.stripe.customers_deleted.add("cus_a")
    )
    assert world.push().tally.rejected == 1
    assert values(world) == [1, 3, 4, 5]


def test_an_older_value_that_comes_late_is_superseded(world: World) -> None:
    """A value older than what Stripe has would replace it, so it is blocked and never sent."""
    world.import_rows([SEATS[2]])
    world.push()
    world.import_rows([SEATS[0], SEATS[4], Row(key="b", customer="cus_b", feature="seats", at=SEATS[0].at)])
    report = world.push()
    assert report.blocked == {BlockReason.SUPERSEDED: 1}
    assert (report.needs_a_person, report.pending) == (True, 0)
    assert values(world) == [3, 5, 1] or values(world) == [3, 1, 5]
    assert world.push().blocked == {BlockReason.SUPERSEDED: 1}


def test_an_older_value_goes_before_one_that_never_left(world: World) -> None:
    """A later value that certainly was not taken gives way to an older one imported since."""
    world.import_rows([SEATS[2]])
    world.stripe.fault = always(Fault.LIMITED)
    world.push()
    world.import_rows([SEATS[0]])
    world.stripe.fault = lambda _arrival: None
    report = world.push()
    assert (values(world), report.blocked) == ([1, 3], {})


def test_an_older_value_goes_before_one_that_a_person_calls_not_sent(world: World) -> None:
    """The same where a person has said that the later value was not sent."""
    world.import_rows([SEATS[2]])
    world.stripe.fault = always(Fault.LOST_REQUEST)
    world.push()
    world.time.advance(24 * HOUR)
    world.push()
    world.resolve_by_truth()
    world.import_rows([SEATS[0]])
    world.stripe.fault = lambda _arrival: None
    report = world.push()
    assert (values(world), report.blocked) == ([1, 3], {})
