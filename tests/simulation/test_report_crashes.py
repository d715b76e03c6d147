"""Every crash point of reading error reports and of retrying: nothing is lost, nothing comes twice."""

from collections import Counter
from pathlib import Path

import pytest

from meterledger.usecases.push import PushOptions
from support.crash_points import Crash, CrashPoints
from support.pushing import AFTER_A_CRASH, HOUR, MINUTE, START, Row, World, copy_of
from support.reporting import Reporter

ROWS = tuple(Row(key=f"r{n}", customer=f"cus_{n % 3}", at=START - n * HOUR) for n in range(1, 7))
NAMED = 5
RETRY = PushOptions(retry_rejected=True)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make a ledger with six accepted meter events to copy."""
    world = World(tmp_path_factory.mktemp("template"))
    world.import_rows(ROWS)
    assert world.push().tally.accepted == len(ROWS)
    return world


def begin(template: World, folder: Path) -> World:
    """Return a world in which five of six were reported, on three pages, three hours apart."""
    world = copy_of(template, folder)
    world.time.advance(MINUTE)
    reporter = Reporter(world.time.clock)
    for identifier in world.identifiers("accepted")[:NAMED]:
        reporter.report(identifier, "theirs")
        world.time.advance(3 * HOUR)
    world.reports = reporter
    return world


def life(world: World, points: CrashPoints | None = None) -> None:
    """Read the reports, then retry what they rejected."""
    world.reconcile(points)
    world.push(RETRY, points=points)


def check(world: World, folder_is_clean: World) -> None:
    """Compare with a life without a crash: one live meter event for each, the named ones at revision 1."""
    sql = (
        "SELECT l.usage_event, m.identifier, m.revision, m.state FROM meter_events m "
        "JOIN meter_event_usage l ON l.meter_event = m.id AND l.unlinked_at IS NULL ORDER BY l.usage_event"
    )
    assert world.select(sql) == folder_is_clean.select(sql)
    assert Counter(row[2:] for row in world.select(sql)) == {(0, "accepted"): 1, (1, "accepted"): NAMED}
    assert Counter(world.stripe.counts().values()) == {1: NAMED}
    assert world.unsealed() == 0
    counts = "SELECT COUNT(*), (SELECT COUNT(*) FROM error_report_samples) FROM error_reports"
    assert world.select(counts) == [(NAMED, 2 * NAMED)]
    assert world.select("SELECT resume_before FROM error_report_reading") == [(None,)]


def test_a_crash_at_any_point_of_polling_and_retrying_changes_nothing(
    template: World, tmp_path: Path
) -> None:
    """Between page and cursor, between letting go and sealing, before an answer: the end is the same."""
    clean = begin(template, tmp_path / "clean")
    points = CrashPoints()
    life(clean, points)
    check(clean, clean)
    assert points.passed.count("after a commit") > 10
    for at in range(1, len(points.passed) + 1):
        world = begin(template, tmp_path / f"{at}")
        with pytest.raises(Crash):
            life(world, CrashPoints(at))
        world.time.advance(AFTER_A_CRASH)
        life(world)
        check(world, clean)


def test_a_crash_during_the_poll_at_the_end_of_a_push(template: World, tmp_path: Path) -> None:
    """The next plain push reads what that one did not."""
    clean = begin(template, tmp_path / "clean")
    points = CrashPoints()
    clean.push(points=points)
    for at in range(1, len(points.passed) + 1):
        world = begin(template, tmp_path / f"{at}")
        with pytest.raises(Crash):
            world.push(points=CrashPoints(at))
        world.time.advance(AFTER_A_CRASH)
        world.push()
        assert world.states() == {"accepted": len(ROWS) - NAMED, "rejected": NAMED}
        assert world.stripe.counts().total() == 0
