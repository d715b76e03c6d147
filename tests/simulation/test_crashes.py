"""Every crash point: die there, run again, and compare with a model that knows nothing of ledgers."""

from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest

from support.crash_points import Crash, CrashPoints
from support.pushing import AFTER_A_CRASH, DAY, HOUR, SECOND, START, Row, World, copy_of
from support.strict_stripe import Arrival, Fault

ROWS = (
    Row(key="r1", customer="cus_a", quantity="1.25", at=START - 6 * HOUR),
    Row(key="r2", customer="cus_a", quantity="7", at=START - 5 * HOUR),
    Row(key="r3", customer="cus_b", quantity="0.5", at=START - 4 * HOUR),
    Row(key="r4", customer="cus_a", feature="seats", quantity="4", at=START - 3 * HOUR),
    Row(key="r5", customer="cus_a", feature="seats", quantity="3", at=START - 2 * HOUR),
    Row(key="r6", customer="cus_b", feature="seats", quantity="9", at=START - HOUR),
)
SPREAD = 0.03
"""Seconds a request takes each way: outcomes then come in over several commits."""

Faults = Callable[[Arrival], Fault | None]


def no_faults(_arrival: Arrival) -> Fault | None:
    """Let everything through."""
    return None


def rough(arrival: Arrival) -> Fault | None:
    """Lose two answers, answer one 500 after counting and one without, and limit one request."""
    return {
        1: Fault.LOST_ANSWER,
        2: Fault.COUNTED_500,
        3: Fault.STORED_500,
        4: Fault.LIMITED,
        6: Fault.LOST_REQUEST,
    }.get(arrival.number)


WEATHERS: dict[str, Faults] = {"fair": no_faults, "rough": rough}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make an empty ledger to copy: making one takes longer than a run."""
    return World(tmp_path_factory.mktemp("template"))


def live(world: World, points: CrashPoints) -> None:
    """Import and push, as one life of the program."""
    world.import_rows(ROWS, points)
    world.push(points=points)


def begin(template: World, folder: Path, faults: Faults) -> World:
    """Return a world at its beginning."""
    world = copy_of(template, folder)
    world.stripe.latency = SPREAD
    world.stripe.fault = faults
    return world


def die(world: World, at: int) -> bool:
    """Live until a crash point, and tell whether the life got there."""
    try:
        live(world, CrashPoints(at))
    except Crash:
        return True
    return False


def expected_totals() -> dict[tuple[str, str], Decimal]:
    """Return what Stripe has to have, from the rows alone."""
    totals: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in ROWS:
        totals[row.feature, row.customer] += Decimal(row.quantity)
    return dict(totals)


def check_all_counted_once(world: World) -> None:
    """Compare Stripe, the ledger and the rows: each unit counted once, nothing open, `last` in its order."""
    assert Counter(world.stripe.counts().values()) == {1: len(ROWS)}
    assert world.stripe.totals() == expected_totals()
    assert world.states() == {"accepted": len(ROWS)}
    assert world.unsealed() == 0
    assert sorted(world.identifiers("accepted")) == sorted(world.stripe.counts())
    assert {lane: Decimal(text) for lane, text in world.accepted_totals().items()} == expected_totals()
    seats = [arrival for arrival in world.stripe.counted if arrival.lane == ("seats", "cus_a")]
    assert [arrival.value for arrival in seats] == [4, 3]
    assert set(world.stripe.highest.values()) == {1}
    assert world.select("SELECT COUNT(*) FROM delivery_attempts WHERE outcome IS NULL") == [(0,)]


def finish(world: World) -> None:
    """Import again, as whoever was interrupted would, and push until nothing is left to do."""
    world.time.advance(AFTER_A_CRASH)
    world.import_rows(ROWS)
    for _ in range(3):
        if world.push().pending == 0:
            return
        world.time.advance(AFTER_A_CRASH)


def points_of(template: World, folder: Path, faults: Faults) -> int:
    """Count the points of a life without a crash."""
    world = begin(template, folder, faults)
    points = CrashPoints()
    live(world, points)
    assert points.passed.count("before a request") >= len(ROWS)
    assert points.passed.count("before a commit") == points.passed.count("after a commit") > 10
    return len(points.passed)


@pytest.mark.parametrize("weather", WEATHERS)
def test_a_crash_at_any_point_changes_nothing_in_the_end(
    template: World, tmp_path: Path, weather: str
) -> None:
    """Wherever a run dies, the next ones end as if it had not: each unit is counted once."""
    faults = WEATHERS[weather]
    points = points_of(template, tmp_path / "clean", faults)
    for at in range(1, points + 1):
        world = begin(template, tmp_path / f"{at}", faults)
        assert die(world, at)
        finish(world)
        check_all_counted_once(world)


def crash_at_pairs(template: World, folder: Path, faults: Faults, step: int) -> int:
    """Die at every `step`-th pair of points, the second counted in the second life; return how many."""
    points = points_of(template, folder / "clean", faults)
    pairs = 0
    for first in range(1, points + 1):
        for second in count(1 + (first * 7) % step, step):
            world = begin(template, folder / f"{first}-{second}", faults)
            assert die(world, first)
            world.time.advance(AFTER_A_CRASH)
            died_again = die(world, second)
            finish(world)
            check_all_counted_once(world)
            pairs += died_again
            if not died_again:
                break
    return pairs


def test_two_crashes_change_nothing_either(template: World, tmp_path: Path) -> None:
    """A second crash while the first is being mended still leads to the same end."""
    assert crash_at_pairs(template, tmp_path, rough, step=97) > 12


@pytest.mark.slow
@pytest.mark.parametrize("weather", WEATHERS)
def test_every_pair_of_crashes_changes_nothing(template: World, tmp_path: Path, weather: str) -> None:
    """The same for every pair of points there is."""
    assert crash_at_pairs(template, tmp_path, WEATHERS[weather], step=1) > 1000


OUTAGES = {"1h": (HOUR, 3), "23h": (23 * HOUR, 3), "25h": (25 * HOUR, 1), "36d": (36 * DAY, 3)}
"""How long, and at every how many-th point."""


def check_nothing_twice(world: World) -> None:
    """Compare what the ledger claims with what Stripe counted, where not everything can be known."""
    counts = world.stripe.counts()
    assert max(counts.values(), default=1) == 1
    accepted = set(world.identifiers("accepted"))
    assert accepted <= counts.keys()
    # What Stripe has and the ledger does not know of is in doubt: it must never be sent again.
    assert counts.keys() - accepted <= set(world.identifiers("in_doubt"))
    assert world.states().keys() <= {"accepted", "in_doubt"}
    carried = sum(world.states().values())
    assert carried + world.unsealed() == len(ROWS)


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_after_a_crash_never_counts_twice(template: World, tmp_path: Path, outage: str) -> None:
    """However long the next run takes to come, what nobody can know is in doubt, and nothing counts twice."""
    length, step = OUTAGES[outage]
    doubtful = 0
    for at in range(1, points_of(template, tmp_path / "clean", no_faults) + 1, step):
        world = begin(template, tmp_path / f"{at}", no_faults)
        assert die(world, at)
        world.time.advance(length)
        world.import_rows(ROWS)
        report = world.push()
        check_nothing_twice(world)
        doubtful += report.in_doubt
        if outage == "1h":
            check_all_counted_once(world)
        if outage == "36d":
            assert sum(report.blocked.values()) == world.unsealed()
            continue
        world.resolve_by_truth()
        assert world.push().pending == 0
        check_all_counted_once(world)
    assert (doubtful > 0) == (outage != "1h")


def test_a_crash_may_not_make_an_attempt_look_younger(template: World, tmp_path: Path) -> None:
    """Crash after crash, the 23 hours are counted from the first attempt that may have arrived."""
    world = begin(template, tmp_path / "w", lambda _arrival: Fault.LOST_ANSWER)
    world.import_rows([ROWS[0]])
    for _ in range(5):
        points = CrashPoints(1000)
        world.push(points=points)
        before_an_answer = points.passed.index("before an answer") + 1
        world.time.advance(5 * HOUR)
        with pytest.raises(Crash):
            world.push(points=CrashPoints(before_an_answer))
        world.time.advance(30 * SECOND)
        world.time.advance(AFTER_A_CRASH)
    assert world.push().in_doubt == 1
    assert world.stripe.counts().total() == 1
