"""A period closes in the middle of a push, and the process dies anywhere around it."""

from decimal import Decimal
from pathlib import Path

import pytest

from meterledger.usecases.push import PushOptions
from meterledger.usecases.verify import verify
from support.crash_points import Crash, CrashPoints
from support.pushing import AFTER_A_CRASH, DAY, HOUR, MINUTE, START, Row, World, copy_of
from support.strict_stripe import Arrival, Fault

CONFIG = """
[invoicing]
anchors = "calendar"

[meters.calls]
features = ["calls"]
decimal_places = 2
rollup = "{rollup}"
"""

CLOSES_AT = START + 3 * DAY
LATE = 14
"""More of one customer than may be claimed at once: some wait while the period closes."""

ROWS = (
    *(Row(key=f"late-{i}", quantity=str(i + 1), at=START - (i + 1) * HOUR) for i in range(LATE)),
    *(Row(key=f"other-{i}", customer="cus_b", quantity="3", at=START - (i + 2) * HOUR) for i in range(2)),
    Row(key="in-time", customer="cus_c", at=START + HOUR),
)
EVERY = 7
"""At every so many-th point: seven and the number of points have no divisor in common."""


def prepared(folder: Path, rollup: str) -> World:
    """Return a world in which an earlier push sealed most of it, and got nothing through."""
    world = World(folder, CONFIG.format(rollup=rollup))
    world.time.advance(3 * DAY - 20 * MINUTE)
    world.import_rows(ROWS)
    world.stripe.fault = lambda _arrival: Fault.LIMITED
    world.push(PushOptions(limit=LATE))
    assert world.states() == {"pending": LATE}
    return world


def begin(template: World, folder: Path, closes_with: int) -> World:
    """Return a world in which the period closes when so many requests came, and one answer is lost."""
    world = copy_of(template, folder)
    seen = 0

    def fault(_arrival: Arrival) -> Fault | None:
        nonlocal seen
        seen += 1
        if seen == closes_with:
            world.time.advance(CLOSES_AT - world.time.clock())
        return Fault.LOST_ANSWER if seen == 2 else None

    world.stripe.fault = fault
    world.stripe.latency = 0.03
    return world


def died_in(world: World, at: int) -> bool:
    """Push until a crash point, and tell whether the push got there."""
    try:
        world.push(points=CrashPoints(at))
    except Crash:
        return True
    return False


def check(world: World) -> None:
    """Nothing twice, nothing lost, and every invariant holds."""
    with world.ledger() as ledger:
        assert [one for one in verify(ledger) if not one.ok] == []
    assert set(world.stripe.counts().values()) <= {1}
    linked = world.select("SELECT COUNT(*) FROM meter_event_usage WHERE unlinked_at IS NULL")[0][0]
    assert int(str(linked)) + world.unsealed() == len(ROWS)


@pytest.mark.parametrize("rollup", ["none", "hour"])
@pytest.mark.parametrize("closes_with", [1, 3])
def test_a_crash_around_what_is_dissolved_for_its_period_loses_nothing(
    tmp_path: Path, rollup: str, closes_with: int
) -> None:
    """What is taken back because its period closed is blocked, and can still be sent; all counts once."""
    template = prepared(tmp_path / "template", rollup)
    dissolved, at, died = 0, 1, True
    while died:
        world = begin(template, tmp_path / f"{at}", closes_with)
        died = died_in(world, at)
        world.stripe.fault = lambda _arrival: None
        for _ in range(2):
            world.time.advance(AFTER_A_CRASH)
            report = world.push()
        assert (report.pending, report.in_doubt) == (0, 0)
        check(world)
        dissolved += sum(report.blocked.values())
        assert world.push(PushOptions(include_closed=True)).pending == 0
        check(world)
        assert world.states() == {"accepted": len(ROWS)}
        assert sum(world.stripe.totals().values()) == sum(Decimal(row.quantity) for row in ROWS)
        at += EVERY
    assert dissolved > 0
