"""Every crash point of a push by the stream: die there, run again, and everything is counted once."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from meterledger.domain.way import Way
from support.crash_points import Crash, CrashPoints
from support.pushing import AFTER_A_CRASH, HOUR, SECOND, START, Row, World, copy_of
from support.strict_stripe import Arrival, Fault

ROWS = (
    *(
        Row(key=f"c{n}", customer=f"cus_{n % 3}", quantity=str(n + 1), at=START - 6 * HOUR + n * SECOND)
        for n in range(130)
    ),
    Row(key="s1", feature="seats", quantity="4", at=START - 3 * HOUR),
    Row(key="s2", feature="seats", quantity="3", at=START - 2 * HOUR),
    Row(key="s3", feature="seats", quantity="9", at=START - HOUR),
)

Faults = Callable[[Arrival], Fault | None]


def rough(arrival: Arrival) -> Fault | None:
    """Lose an answer and a request, answer a 500 after counting and one before, and limit one."""
    return {
        1: Fault.LOST_ANSWER,
        2: Fault.COUNTED_500,
        3: Fault.LOST_REQUEST,
        4: Fault.STORED_500,
        5: Fault.LIMITED,
    }.get(arrival.number)


WEATHERS: dict[str, Faults] = {"fair": lambda _arrival: None, "rough": rough}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make a ledger with usage to copy."""
    world = World(tmp_path_factory.mktemp("template"))
    world.import_rows(ROWS)
    return world


def begin(template: World, folder: Path, faults: Faults, way: Way = Way.STREAM) -> World:
    """Return a world at its beginning, whose Stripe knows identifiers by their way alone."""
    world = copy_of(template, folder)
    world.way = way
    world.stripe.scope_by_way = True
    world.stripe.latency = 0.03
    world.stripe.fault = faults
    return world


def points_of(template: World, folder: Path, faults: Faults, way: Way) -> int:
    """Count the points of a push without a crash."""
    world = begin(template, folder, faults, way)
    points = CrashPoints()
    world.push(points=points)
    assert points.passed.count("before a request") >= 3
    return len(points.passed)


def check_all_counted_once(world: World) -> None:
    """Compare Stripe with the rows: each counted once, nothing open, the seats in their order."""
    assert Counter(world.stripe.counts().values()) == {1: len(ROWS)}
    assert sum(world.stripe.totals().values()) == sum(Decimal(row.quantity) for row in ROWS)
    assert world.states() == {"accepted": len(ROWS)}
    seats = [arrival.value for arrival in world.stripe.counted if arrival.lane[0] == "seats"]
    assert seats == [4, 3, 9]
    assert world.select("SELECT COUNT(*) FROM delivery_attempts WHERE outcome IS NULL") == [(0,)]


def push_to_the_end(world: World) -> None:
    """Push until nothing is left to do."""
    for _ in range(3):
        world.time.advance(AFTER_A_CRASH)
        if world.push().pending == 0:
            return


@pytest.mark.parametrize(("weather", "later"), [("rough", Way.STREAM), ("fair", Way.V1)])
def test_a_crash_at_any_point_of_a_streamed_push_changes_nothing_in_the_end(
    template: World, tmp_path: Path, weather: str, later: Way
) -> None:
    """Wherever it dies, and whichever way the next run takes: what may be in goes again as it went."""
    points = points_of(template, tmp_path / "clean", WEATHERS[weather], Way.STREAM)
    for at in range(1, points + 1):
        world = begin(template, tmp_path / f"{at}", WEATHERS[weather])
        with pytest.raises(Crash):
            world.push(points=CrashPoints(at))
        world.way = later
        push_to_the_end(world)
        check_all_counted_once(world)


def test_an_outage_after_a_crash_never_counts_twice(template: World, tmp_path: Path) -> None:
    """After 25 hours what nobody can know is in doubt, and by the truth all is counted once."""
    points = points_of(template, tmp_path / "clean", WEATHERS["fair"], Way.STREAM)
    doubtful = 0
    for at in range(1, points + 1):
        world = begin(template, tmp_path / f"{at}", WEATHERS["fair"])
        with pytest.raises(Crash):
            world.push(points=CrashPoints(at))
        world.time.advance(25 * HOUR)
        world.push()
        assert max(world.stripe.counts().values(), default=1) == 1
        doubtful += world.resolve_by_truth()
        push_to_the_end(world)
        check_all_counted_once(world)
    assert doubtful > 100
