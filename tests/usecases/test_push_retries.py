"""Push tries again: how often, after which wait and under which Idempotency-Key."""

from itertools import pairwise
from pathlib import Path

import pytest

from meterledger.domain.delivery import MAX_ATTEMPTS_PER_RUN
from support.push_cases import always, attempts, only_first
from support.pushing import CONFIG, SECOND, Row, World
from support.rolling_up import rewrite
from support.strict_stripe import Fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty ledger and a strict Stripe."""
    return World(tmp_path / "w")


def test_an_event_is_tried_five_times_in_a_run(world: World) -> None:
    """After five attempts the run leaves it to the next one, under the same identifier."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(Fault.LIMITED)
    report = world.push()
    assert len(world.stripe.arrivals) == MAX_ATTEMPTS_PER_RUN == 5
    assert (report.pending, report.tally.exhausted, world.states()) == (1, 1, {"pending": 1})
    world.stripe.fault = lambda _arrival: None
    assert world.push().tally.accepted == 1
    assert len({arrival.text for arrival in world.stripe.arrivals}) == 1


@pytest.mark.parametrize("fault", [Fault.STORED_500, Fault.LIMITED])
def test_the_key_changes_after_two_complete_answers(world: World, fault: Fault) -> None:
    """Stripe may replay a stored answer under a key, so the third attempt takes another; all are kept."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(fault)
    world.push()
    identifier = world.stripe.arrivals[0].identifier
    keys = [identifier, identifier, f"{identifier}:2", f"{identifier}:2", f"{identifier}:3"]
    assert [arrival.idempotency_key for arrival in world.stripe.arrivals] == keys
    assert [key for _, key, _ in attempts(world)] == keys
    world.stripe.fault = lambda _arrival: None
    assert world.push().tally.accepted == 1


def test_the_keys_go_on_where_what_was_dissolved_ended(world: World) -> None:
    """On a `last` meter a claim is taken back and sealed anew in each push: no answered key begins again."""
    world.import_rows([Row(key="a", feature="seats")])
    world.stripe.fault = always(Fault.LIMITED)
    for _ in range(2):
        world.push()
    identifier = world.stripe.arrivals[0].identifier
    numbers = ["", "", ":2", ":2", ":3", ":3", ":4", ":4", ":5", ":5"]
    assert [one.idempotency_key for one in world.stripe.arrivals] == [identifier + one for one in numbers]
    assert world.select("SELECT COUNT(*) FROM meter_events") == [(2,)]
    world.stripe.fault = lambda _arrival: None
    assert world.push().tally.accepted == 1


def test_another_body_takes_another_key(world: World) -> None:
    """Stripe refuses a key that comes again with another request, and what was answered once may be kept."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(Fault.LIMITED)
    world.push()
    identifier = world.stripe.arrivals[0].identifier
    rewrite(world, CONFIG.replace('features = ["calls"]', 'features = ["calls"]\nvalue_key = "calls"'))
    world.stripe.fault = lambda _arrival: None
    world.push()
    assert world.stripe.arrivals[-1].identifier == identifier
    assert world.stripe.arrivals[-1].idempotency_key == f"{identifier}:4"


def test_the_key_stays_while_no_answer_comes(world: World) -> None:
    """Without an answer nothing is stored under the key, and it guards best if it stays."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = lambda arrival: (Fault.LOST_REQUEST, Fault.REFUSED_CONNECTION)[arrival.number % 2]
    world.push()
    world.push()
    assert len(world.stripe.arrivals) == 10
    assert {arrival.idempotency_key for arrival in world.stripe.arrivals} == {
        world.stripe.arrivals[0].identifier
    }


@pytest.mark.parametrize(("chance", "waits"), [(0.0, [0.5] * 4), (1 - 1e-9, [1, 2, 4, 8])])
def test_waits_are_jittered_and_grow(world: World, chance: float, waits: list[float]) -> None:
    """Between attempts lie 0.5 s at least and twice as much each time at most."""
    world.chance = lambda: chance
    world.stripe.latency = 0.0
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(Fault.LIMITED)
    world.push()
    at = [arrival.at for arrival in world.stripe.arrivals]
    assert [(b - a) / SECOND for a, b in pairwise(at)] == pytest.approx(waits, abs=0.01)


def test_retry_after_is_heeded(world: World) -> None:
    """Stripe's own word on when to come back makes a wait longer."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = only_first(Fault.LIMITED)
    world.stripe.retry_after_seconds = 20.0
    world.push()
    first, second = (arrival.at for arrival in world.stripe.arrivals)
    assert 20 * SECOND <= second - first <= 31 * SECOND


@pytest.mark.parametrize("fault", [Fault.STORED_500, Fault.COUNTED_500])
def test_should_retry_false_is_heeded(world: World, fault: Fault) -> None:
    """Where Stripe says that trying again is no use, the run leaves it at that."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(fault)
    world.stripe.should_retry = False
    report = world.push()
    assert len(world.stripe.arrivals) == 1
    assert (report.pending, world.states()) == (1, {"sending": 1})
