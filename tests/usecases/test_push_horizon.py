"""Push and unknown outcomes: sent again within 23 hours of the first attempt, never after."""

from pathlib import Path

import pytest

from meterledger.usecases.push import PushOptions
from support.push_cases import always, only_first
from support.pushing import HOUR, MINUTE, START, Row, World
from support.strict_stripe import Arrival, Fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty ledger and a strict Stripe."""
    return World(tmp_path / "w")


@pytest.mark.parametrize("fault", [Fault.LOST_REQUEST, Fault.LOST_ANSWER])
def test_an_unknown_outcome_is_sent_again_within_23_hours(world: World, fault: Fault) -> None:
    """Just before 23 h after the first attempt the identifier goes out again, and settles."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(fault)
    report = world.push()
    [(first,)] = world.select("SELECT MIN(started_at) FROM delivery_attempts")
    assert (report.pending, report.in_doubt, world.states()) == (1, 0, {"sending": 1})
    world.stripe.fault = lambda _arrival: None
    assert isinstance(first, int)
    world.time.advance(first + 23 * HOUR - 1 - world.time.clock())
    assert world.push().tally.accepted == 1
    assert world.stripe.counts().total() == 1


@pytest.mark.parametrize("fault", [Fault.LOST_REQUEST, Fault.LOST_ANSWER])
def test_an_unknown_outcome_of_23_hours_is_in_doubt(world: World, fault: Fault) -> None:
    """From 23 h on the identifier is never sent again: only a person, a report or reconciliation helps."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(fault)
    world.push()
    [(first,)] = world.select("SELECT MIN(started_at) FROM delivery_attempts")
    world.stripe.fault = lambda _arrival: None
    assert isinstance(first, int)
    world.time.advance(first + 23 * HOUR - world.time.clock())
    sent = len(world.stripe.arrivals)
    report = world.push()
    assert (report.in_doubt, report.pending, report.needs_a_person) == (1, 0, True)
    assert world.select("SELECT state, in_doubt_reason FROM meter_events") == [
        ("in_doubt", "outcome_unknown")
    ]
    world.time.advance(3 * HOUR)
    world.push()
    assert len(world.stripe.arrivals) == sent


def test_the_first_attempt_counts_for_the_23_hours(world: World) -> None:
    """Later attempts, whatever they came to, do not make the first one younger."""
    world.import_rows([Row(key="a")])
    for fault in (Fault.LOST_ANSWER, Fault.LOST_REQUEST, Fault.LIMITED, Fault.REFUSED_CONNECTION):
        world.stripe.fault = always(fault)
        world.push()
        world.time.advance(7 * HOUR)
    sent = len(world.stripe.arrivals)
    world.stripe.fault = lambda _arrival: None
    assert world.push().in_doubt == 1
    assert len(world.stripe.arrivals) == sent
    assert world.stripe.counts().total() == 1


def test_the_23_hours_are_watched_while_a_run_waits(world: World) -> None:
    """A claim that reaches the 23 h on its way, behind a machine that slept, is not sent."""
    world.import_rows([Row(key="a"), Row(key="b", at=START)])
    world.stripe.fault = always(Fault.LOST_ANSWER)
    world.push()
    [(first,)] = world.select("SELECT MIN(started_at) FROM delivery_attempts")
    assert isinstance(first, int)

    def sleep_over_the_line(arrival: Arrival) -> Fault | None:
        if arrival.at < first + 23 * HOUR:
            world.time.advance(4 * MINUTE)
        return None

    world.stripe.fault = sleep_over_the_line
    world.time.advance(first + 23 * HOUR - 2 * MINUTE - world.time.clock())
    sent = len(world.stripe.arrivals)
    world.push(PushOptions(concurrency=1))
    assert len(world.stripe.arrivals) == sent + 1
    assert world.push().in_doubt == 1
    assert world.stripe.counts().total() == 2


def test_a_refusal_proves_nothing_about_an_earlier_attempt(world: World) -> None:
    """Meter gone after a lost answer: not rejected, still unknown, and in doubt after 23 h."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = only_first(Fault.LOST_REQUEST)
    world.stripe.customers_deleted = {"cus_a"}
    report = world.push()
    assert (report.tally.rejected, report.pending) == (0, 1)
    assert world.states() == {"sending": 1}
    world.time.advance(24 * HOUR)
    assert world.push().in_doubt == 1
