"""Push stops in good order: on silence, refusal, interrupt, time and limit."""

import asyncio
from pathlib import Path

import pytest

from meterledger.usecases.push import PushOptions
from meterledger.usecases.sending import Sender, Stop
from support.push_cases import always, many, nothing_in_flight
from support.pushing import DAY, MINUTE, SECOND, START, Row, World
from support.strict_stripe import Fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty ledger and a strict Stripe."""
    return World(tmp_path / "w")


@pytest.mark.parametrize(
    ("fault", "latency"), [(Fault.LOST_REQUEST, 15.0), (Fault.REFUSED_CONNECTION, 0.001)]
)
def test_a_minute_of_silence_ends_the_run(world: World, fault: Fault, latency: float) -> None:
    """Without any answer for 60 s the run stops, soon after, with every claim settled or given back."""
    world.import_rows(many(1, 40))
    world.stripe.fault = always(fault)
    world.stripe.latency = latency
    report = world.push()
    assert report.stop is Stop.UNREACHABLE
    assert 60 < world.time.monotonic() < 95
    assert nothing_in_flight(world)
    assert (report.tally.accepted, report.pending) == (0, 40)
    world.stripe.fault, world.stripe.latency = (lambda _arrival: None), 0.01
    assert world.push().tally.accepted == 40
    assert world.stripe.counts().total() == 40


def test_an_answer_now_and_then_keeps_a_run_alive(world: World) -> None:
    """Silence is measured from the last answer, not from the start."""
    world.import_rows(many(1, 30))
    world.stripe.latency = 2.5
    assert world.push().tally.accepted == 30
    assert world.time.monotonic() > 120


@pytest.mark.parametrize("fault", [Fault.KEY_REFUSED, Fault.NO_STRIPE])
def test_a_refused_key_or_a_stranger_stops_the_run(world: World, fault: Fault) -> None:
    """After a 401, or a 200 that holds no meter event, nothing more is sent; unsent claims go back."""
    world.import_rows(many(3, 20))
    world.stripe.fault = lambda arrival: fault if arrival.number >= 7 else None
    report = world.push(PushOptions(concurrency=2))
    assert report.stop is Stop.REFUSED
    assert len(world.stripe.arrivals) in (7, 8)
    assert nothing_in_flight(world)
    assert report.tally.accepted + report.pending == 60
    assert world.states().get("sending", 0) <= (2 if fault is Fault.NO_STRIPE else 0)
    world.stripe.fault = lambda _arrival: None
    assert world.push().pending == 0
    assert set(world.stripe.counts().values()) == {1}
    assert world.stripe.counts().total() == 60


@pytest.mark.parametrize("at", [0.005, 0.015, 0.3, 0.31, 0.6])
def test_an_interrupt_leaves_everything_settled_or_pending(world: World, at: float) -> None:
    """What is in flight ends, the rest goes back, and the next run finishes the job."""
    world.import_rows(many(4, 30))

    def interrupt(sender: Sender, _work: int) -> None:
        asyncio.get_running_loop().call_later(at, sender.request_stop, Stop.INTERRUPTED)

    report = world.push(PushOptions(concurrency=3), on_start=interrupt)
    assert report.stop is Stop.INTERRUPTED
    assert world.time.monotonic() < at + 0.2
    assert nothing_in_flight(world)
    assert world.states().keys() <= {"accepted", "pending"}
    assert len(world.stripe.counted) == report.tally.accepted < 120
    assert report.tally.accepted + report.pending == 120
    assert world.push().tally.accepted == 120 - report.tally.accepted
    assert set(world.stripe.counts().values()) == {1}


def test_an_interrupt_does_not_wait_for_a_backoff(world: World) -> None:
    """A run that waits to try again stops within a second."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(Fault.LOST_ANSWER)
    world.stripe.retry_after_seconds = 30.0
    world.chance = lambda: 0.999

    def interrupt(sender: Sender, _work: int) -> None:
        asyncio.get_running_loop().call_later(4.0, sender.request_stop, Stop.INTERRUPTED)

    report = world.push(on_start=interrupt)
    assert (report.stop, report.pending) == (Stop.INTERRUPTED, 1)
    assert world.time.monotonic() < 5.0
    assert nothing_in_flight(world)


def test_a_run_ends_in_its_time(world: World) -> None:
    """--max-duration ends the run in good order."""
    world.import_rows(many(1, 500))
    report = world.push(PushOptions(max_duration=3 * SECOND))
    assert report.stop is Stop.MAX_DURATION
    assert 2.9 < world.time.monotonic() < 3.2
    assert 100 < report.tally.accepted < 200
    assert report.tally.accepted + report.pending == 500
    assert nothing_in_flight(world)
    assert world.push().pending == 0
    assert set(world.stripe.counts().values()) == {1}


def test_a_limit_is_kept(world: World) -> None:
    """--limit bounds what one run takes on; the runs together send everything once."""
    world.import_rows(many(2, 5))
    taken = []
    for _ in range(4):
        report = world.push(PushOptions(limit=3))
        taken.append((report.tally.accepted, report.pending))
    assert taken == [(3, 7), (3, 4), (3, 1), (1, 0)]
    assert set(world.stripe.counts().values()) == {1}


def test_the_nearest_deadline_goes_first(world: World) -> None:
    """The oldest usage is in the invoice that closes first, so a limited run takes it first."""
    world.import_rows(
        [
            Row(key="new", at=START),
            Row(key="old", customer="cus_b", at=START - 20 * DAY),
            Row(key="mid", customer="cus_c", at=START - 2 * DAY),
        ]
    )
    for _ in range(3):
        world.push(PushOptions(limit=1))
    assert [arrival.lane[1] for arrival in world.stripe.arrivals] == ["cus_b", "cus_c", "cus_a"]


def test_sealing_is_at_most_one_chunk_ahead(world: World) -> None:
    """A run that stops early has claimed one chunk more than it sent, not the whole ledger."""
    world.import_rows(many(2, 900))
    world.stripe.fault = always(Fault.KEY_REFUSED)
    report = world.push()
    assert report.tally.sealed <= 500
    assert world.unsealed() >= 1300
    assert report.pending == 1800


def held_back(count: int) -> list[Row]:
    """Return usage that is too old, and one usage event behind all of it that may go."""
    blocked = [Row(key=f"b{number}", at=START - 40 * DAY + number) for number in range(count)]
    return [*blocked, Row(key="z", at=START - MINUTE)]


def test_what_is_held_back_is_looked_at_with_breaks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is blocked, what stands behind it is sent, and nothing of it is skipped."""
    monkeypatch.setattr("meterledger.usecases.draining.LOOKED_AT_ONCE", 4)
    world.import_rows(held_back(40))
    report = world.push()
    assert (report.tally.accepted, sum(report.blocked.values()), report.pending) == (1, 40, 0)


def test_an_interrupt_ends_the_look_at_what_is_held_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that finds nothing to send for long hears Ctrl-C, and keeps its lease meanwhile."""
    monkeypatch.setattr("meterledger.usecases.draining.LOOKED_AT_ONCE", 4)
    world.import_rows(held_back(40))
    expiries: list[object] = []

    def start(sender: Sender, _work: int) -> None:
        def look(turns: int) -> None:
            world.time.advance(MINUTE)
            expiries.append(world.select("SELECT expires_at - ? FROM lease", world.time.clock()))
            if turns == 0:
                sender.request_stop(Stop.INTERRUPTED)
            else:
                asyncio.get_running_loop().call_soon(look, turns - 1)

        asyncio.get_running_loop().call_soon(look, 5)

    report = world.push(on_start=start)
    assert (report.stop, report.tally.accepted) == (Stop.INTERRUPTED, 0)
    assert expiries[1:] == [[(MINUTE,)]] * 5


def test_the_look_at_what_is_held_back_ends_in_its_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--max-duration holds where nothing is sent, too."""
    monkeypatch.setattr("meterledger.usecases.draining.LOOKED_AT_ONCE", 4)
    world.import_rows(held_back(40))

    def pass_time(_sender: Sender, _work: int) -> None:
        world.time.seconds += 10

    report = world.push(PushOptions(max_duration=5 * SECOND), on_start=pass_time)
    assert (report.stop, report.tally.accepted) == (Stop.MAX_DURATION, 0)
