"""Roll-ups that die at any point, by themselves or killed: the totals are those of the rows all the same."""

import random
from decimal import Decimal
from pathlib import Path

import pytest

from meterledger.usecases.push import PushOptions
from support.crash_points import Crash, CrashPoints
from support.pushing import AFTER_A_CRASH, DAY, HOUR, MINUTE, SECOND, START, Row, World
from support.rolling_up import assert_sound, config, rewrite, rolled_up, totals_at, totals_of, world_of
from support.strict_stripe import Arrival, Fault

ROWS = [
    Row(key=f"r{number}", customer=f"cus_{number % 2}", quantity=quantity, at=START - DAY + at * MINUTE)
    for number, (quantity, at) in enumerate(
        [("1.25", 1), ("7", 2), ("0.5", 3), ("9999999999999.99", 4), ("4", 70), ("9999999999999.99", 71)]
    )
]
"""Two hours of two customers; one window has more digits than one value."""
LATE = [Row(key="late", customer="cus_0", quantity="3", at=START - DAY + 5 * MINUTE)]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make an empty ledger to copy."""
    return World(tmp_path_factory.mktemp("template"), config())


ROUGH = {1: Fault.LOST_ANSWER, 2: Fault.LOST_REQUEST, 3: Fault.COUNTED_500}


@pytest.mark.parametrize("weather", ["fair", "rough"])
@pytest.mark.parametrize("pushed_before", [False, True])
def test_a_crash_at_any_point_changes_nothing_in_the_end(
    template: World, tmp_path: Path, weather: str, *, pushed_before: bool
) -> None:
    """Whatever commit a roll-up dies at, its usage is unsealed, or pending with its links; then it goes."""

    def begin(name: str) -> World:
        world = world_of(template, tmp_path / name, config())
        world.import_rows(ROWS)
        if pushed_before:
            world.push()
            world.import_rows(LATE)
        if weather == "rough":
            beginning = len(world.stripe.arrivals)
            world.stripe.fault = lambda arrival: ROUGH.get(arrival.number - beginning)
        return world

    clean = CrashPoints()
    begin("clean").push(points=clean)
    assert clean.passed.count("before a commit") == clean.passed.count("after a commit") >= 7
    for at in range(1, len(clean.passed) + 1):
        world = begin(f"{at}")
        with pytest.raises(Crash):
            world.push(points=CrashPoints(at))
        assert_sound(world)
        world.time.advance(AFTER_A_CRASH)
        world.import_rows(LATE)
        assert world.push().pending == 0
        assert set(world.stripe.counts().values()) == {1}
        assert totals_at(world) == totals_of([*ROWS, *LATE])
        assert world.states().keys() == {"accepted"}
        assert_sound(world)


@pytest.mark.parametrize("seed", range(12))
def test_a_random_history_of_roll_ups_ends_well(template: World, tmp_path: Path, seed: int) -> None:
    """Late rows, faults, crashes, limits and other configs in any order: each unit is counted once."""
    chance = random.Random(seed)  # noqa: S311 # chance to be repeated
    world = world_of(template, tmp_path / "w", config())
    rows: list[Row] = []

    def faults(_arrival: Arrival) -> Fault | None:
        return chance.choice(list(Fault)) if chance.random() < 0.25 else None

    def some_rows() -> None:
        now = world.time.clock()
        new = [
            Row(
                key=f"r{len(rows) + number}",
                customer=chance.choice(("cus_a", "cus_b")),
                quantity=str(Decimal(chance.randrange(10**4)).scaleb(-2)),
                at=now - chance.randrange(DAY // SECOND) * SECOND,
            )
            for number in range(chance.randrange(1, 12))
        ]
        world.import_rows([*new, *rows[-2:]])
        rows.extend(new)

    def crash() -> None:
        try:
            world.push(points=CrashPoints(chance.randrange(1, 40)))
        except Crash:
            world.time.advance(AFTER_A_CRASH)

    steps = (
        some_rows,
        some_rows,
        world.push,
        crash,
        lambda: world.push(PushOptions(limit=chance.randrange(1, 4))),
        lambda: rewrite(world, config(chance.choice(("none", "hour", "day")), chance.choice(("0s", "2h")))),
        lambda: world.time.advance(chance.choice((MINUTE, HOUR, 11 * HOUR, 25 * HOUR))),
        world.resolve_by_truth,
    )
    world.stripe.fault = faults
    some_rows()
    for _ in range(25):
        chance.choice(steps)()
        assert set(world.stripe.counts().values()) <= {1}
        assert_sound(world)
    world.stripe.fault = lambda _arrival: None
    world.time.advance(AFTER_A_CRASH)
    for _ in range(4):
        report = world.push(PushOptions(include_closed=True))
        world.resolve_by_truth()
        world.time.advance(24 * HOUR + HOUR)
    assert (report.pending, report.in_doubt, report.rejected_in_ledger) == (0, 0, 0)
    assert {lane: total for lane, total in totals_at(world).items() if total} == {
        lane: total for lane, total in totals_of(rows).items() if total
    }


def test_a_crash_between_sealing_and_sending_keeps_the_window(template: World, tmp_path: Path) -> None:
    """What was claimed is sent as it was sealed; what came meanwhile goes beside it."""
    world = world_of(template, tmp_path / "w", config())
    world.import_rows(ROWS[:1])
    for at in range(1, 20):
        with pytest.raises(Crash):
            world.push(points=CrashPoints(at))
        world.time.advance(AFTER_A_CRASH)
        if rolled_up(world):
            break
    [sealed] = rolled_up(world)
    world.import_rows(LATE)
    assert world.push().pending == 0
    assert rolled_up(world) == [sealed, (*sealed[:2], 1, 0, 1, 3, 0)]
