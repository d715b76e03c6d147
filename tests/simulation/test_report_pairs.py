"""Pairs of crash points through sending, error reports, a person's word and retrying, in one life."""

from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from meterledger.usecases.push import PushOptions
from support.crash_points import Crash, CrashPoints
from support.pushing import AFTER_A_CRASH, DAY, HOUR, SECOND, START, Row, World, copy_of
from support.reporting import Reporter
from support.strict_stripe import Arrival, Fault

ROWS = tuple(Row(key=f"r{n}", customer=f"cus_{n % 2}", at=START - HOUR + n * SECOND) for n in range(4))
REFUSED = "cus_1"
RETRY = PushOptions(retry_rejected=True)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make a ledger in which two are rejected by report, one is in doubt, and one was never sent."""
    world = World(tmp_path_factory.mktemp("template"))
    world.import_rows(ROWS)
    world.stripe.fault = lambda arrival: Fault.LOST_REQUEST if arrival.lane[1] == "cus_0" else None
    world.push(PushOptions(limit=3))
    world.time.advance(DAY)
    return world


def begin(template: World, folder: Path) -> World:
    """Return a world in which Stripe has reported what it took of one customer."""
    world = copy_of(template, folder)
    reporter = Reporter(world.time.clock)
    for identifier in world.identifiers("accepted"):
        reporter.report(identifier)
    world.reports = reporter
    world.stripe.fault = rough(len(world.stripe.arrivals))
    return world


def rough(before: int) -> Callable[[Arrival], Fault | None]:
    """Lose the second answer, and answer the third request with a 500 after counting it."""
    faults = {2: Fault.LOST_ANSWER, 3: Fault.COUNTED_500}

    def fault(arrival: Arrival) -> Fault | None:
        return faults.get(arrival.number - before)

    return fault


def life(world: World, points: CrashPoints | None = None) -> None:
    """Send and poll, say of what is in doubt that it was not sent, and retry what was rejected."""
    world.push(points=points)
    with world.ledger(points) as ledger:
        for identifier in world.identifiers("in_doubt"):
            is_there = identifier in world.stripe.counts()
            ledger.outbox.resolve(identifier, sent=is_there, note="seen", now=world.time.clock())
    world.push(RETRY, points=points)


def check(world: World) -> None:
    """Each row is counted once, under one identifier, and nothing is open."""
    for _ in range(3):
        world.time.advance(AFTER_A_CRASH)
        life(world)
    assert set(world.stripe.counts().values()) == {1}
    spots = Counter((arrival.lane, str(arrival.body["timestamp"])) for arrival in world.stripe.counted)
    assert set(spots.values()) == {1}
    assert len(spots) == len(ROWS)
    assert world.states() == {"accepted": len(ROWS), "rejected": 1} or world.states() == {
        "accepted": len(ROWS)
    }
    assert world.unsealed() == 0


def die_in_pairs(template: World, folder: Path, step: int) -> int:
    """Die at every ``step``-th pair of points, and at every first one alone; return how many pairs."""
    clean = begin(template, folder / "clean")
    points = CrashPoints()
    life(clean, points)
    check(clean)
    pairs = 0
    for first in range(1, len(points.passed) + 1):
        for second in count((first * 7) % step, step):
            world = begin(template, folder / f"{first}-{second}")
            with pytest.raises(Crash):
                life(world, CrashPoints(first))
            world.time.advance(AFTER_A_CRASH)
            try:
                if second:
                    life(world, CrashPoints(second))
                died_again = False
            except Crash:
                died_again = True
            check(world)
            pairs += died_again
            if second and not died_again:
                break
    return pairs


def test_two_crashes_between_a_report_and_a_retry(template: World, tmp_path: Path) -> None:
    """Wherever it dies, once or twice, each row is counted once in the end."""
    assert die_in_pairs(template, tmp_path, step=401) > 5


@pytest.mark.slow
def test_every_pair_of_crashes_between_a_report_and_a_retry(template: World, tmp_path: Path) -> None:
    """The same for every pair there is."""
    assert die_in_pairs(template, tmp_path, step=1) > 500
