"""Write-off: blocked usage is closed for good, by its key or by a filter, and nothing else is."""

from pathlib import Path
from typing import Any

import pytest

from meterledger.domain.blocking import BlockReason
from meterledger.errors import ExitCode, LedgerError, UsageError
from meterledger.ledger.lease import Holder
from meterledger.usecases.audit import AuditOptions, audit
from meterledger.usecases.explain import explain
from meterledger.usecases.status import status
from meterledger.usecases.verify import verify
from meterledger.usecases.write_off import LISTED, WriteOffOptions, WriteOffReport, write_off
from support.audits import landings
from support.crash_points import Crash, CrashPoints
from support.pushing import AFTER_A_CRASH, DAY, HOUR, START, Row, World
from support.strict_stripe import Fault

ROWS = [
    Row(key="good"),
    Row(key="old", at=START - 40 * DAY),
    Row(key="older", at=START - 50 * DAY, customer="cus_b"),
    Row(key="stranger", customer="acme"),
    Row(key="seat", customer="acme", feature="seats"),
]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a ledger with one usage event that may go, and four that are blocked."""
    world = World(tmp_path / "w")
    world.import_rows(ROWS)
    return world


def closed(world: World, *keys: str, points: CrashPoints | None = None, **options: Any) -> WriteOffReport:
    """Write usage off."""
    asked = WriteOffOptions(note="credited", request_ids=keys, **options)
    with world.ledger(points) as ledger:
        return write_off(ledger, world.settings, asked, clock=world.time.clock)


def written_off(world: World) -> list[tuple[object, ...]]:
    """Return what is written off, with why it was blocked."""
    return world.select(
        "SELECT u.request_id, x.blocked_reason FROM usage_closures AS x "
        "JOIN usage_events AS u ON u.id = x.usage_event WHERE x.state = 'written_off' ORDER BY 1"
    )


def test_what_is_written_off_bothers_nobody_any_more(world: World) -> None:
    """No longer exit 1 of push, gone from blocked and audit; still in verify, status and explain."""
    for reason in (BlockReason.TOO_OLD, BlockReason.UNKNOWN_CUSTOMER):
        assert closed(world, reason=reason).written_off == 2
    pushed = world.push()
    now = world.time.clock()
    with world.ledger() as ledger:
        found = audit(ledger, world.settings, AuditOptions(periods=12), now=now)
        counted = status(ledger, world.settings, now=now)
        [told] = explain(ledger, world.settings, "old", now=now).usage_events
        broken = [check.name for check in verify(ledger) if not check.ok]

    assert (pushed.needs_a_person, pushed.blocked, pushed.tally.accepted) == (False, {}, 1)
    assert world.stripe.counts().total() == 1
    assert landings(found) == {"landed": 1}
    assert found.left_out["written_off"] == 4
    assert (counted.closed["written_off"], counted.blocked) == (4, {})
    assert (told["state"], told["blocked_reason"], told["closed_note"]) == (
        "written_off",
        "too_old",
        "credited",
    )
    assert broken == []


def test_the_past_is_as_it_was(world: World) -> None:
    """As of an instant before it, the usage is blocked and not closed."""
    before = world.time.clock()
    world.time.advance(HOUR)
    closed(world, "old")
    with world.ledger() as ledger:
        then = status(ledger, world.settings, now=before, as_of=before)
        found = audit(ledger, world.settings, AuditOptions(as_of=True, periods=12), now=before)

    assert (then.closed["written_off"], then.blocked[BlockReason.TOO_OLD]) == (0, 2)
    assert found.left_out["written_off"] == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"reason": BlockReason.TOO_OLD}, ["old", "older"]),
        ({"reason": BlockReason.TOO_OLD, "customer": "cus_b"}, ["older"]),
        ({"customer": "acme"}, ["seat", "stranger"]),
        ({"feature": "seats"}, ["seat"]),
        ({"before": START - 45 * DAY}, ["older"]),
        ({"customer": "cus_a"}, ["old"]),
        ({"source": "other", "customer": "acme"}, []),
        ({"reason": BlockReason.NO_METER}, []),
    ],
    ids=str,
)
def test_filters_narrow_each_other(world: World, options: dict[str, Any], expected: list[str]) -> None:
    """All that fits every filter and is blocked now is closed; what is not blocked never is."""
    foreseen = closed(world, dry_run=True, **options)
    assert written_off(world) == []
    report = closed(world, **options)

    assert [key for key, _ in written_off(world)] == expected
    assert foreseen.by_reason == report.by_reason
    assert sorted(usage.request_id for usage, _ in report.listed) == expected


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("old", "waiting"), "'waiting' is unsealed"),
        (("old", "sent"), "'sent' is accepted"),
        (("old", "nobody"), "'nobody' is not in the ledger"),
        (("old", "adopted"), "'adopted' is already_billed"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else None,
)
def test_only_blocked_usage_is_written_off(world: World, keys: tuple[str, ...], words: str) -> None:
    """One key that is not blocked refuses them all, and says what it is."""
    world.import_rows([Row(key="sent", at=START - 2 * HOUR)])
    world.push()
    world.import_rows([Row(key="adopted")], already_billed=True)
    world.import_rows([Row(key="waiting")])
    with pytest.raises(UsageError, match=words):
        closed(world, *keys)

    assert written_off(world) == []


def test_a_key_is_closed_once(world: World) -> None:
    """Named twice it counts once; named again it is refused as what it is."""
    assert closed(world, "old", "old", "stranger").written_off == 2
    with pytest.raises(UsageError, match="'old' is written_off"):
        closed(world, "old")

    assert written_off(world) == [("old", "too_old"), ("stranger", "unknown_customer")]


def test_a_claim_that_never_reached_stripe_is_dissolved_first(world: World) -> None:
    """Sealed, certainly not taken, and blocked since: that is blocked usage too."""
    world.stripe.fault = lambda _arrival: Fault.REFUSED_CONNECTION
    world.push()
    assert world.states() == {"pending": 1}
    world.time.advance(36 * DAY)
    assert closed(world, "good").written_off == 1
    with world.ledger() as ledger:
        assert [c.name for c in verify(ledger) if not c.ok] == []

    assert world.states() == {}
    assert ("good", "too_old") in written_off(world)


def test_only_the_first_are_listed(world: World) -> None:
    """However much is closed, the report stays small and the counts are whole."""
    world.import_rows([Row(key=f"k{number}", customer="acme") for number in range(LISTED + 5)])
    report = closed(world, reason=BlockReason.UNKNOWN_CUSTOMER)

    assert (report.written_off, len(report.listed)) == (LISTED + 7, LISTED)


def test_it_waits_for_no_push(world: World) -> None:
    """While somebody holds the lease it ends with exit code 4, and closes nothing."""
    with world.ledger() as ledger:
        ledger.lease.take(Holder(host="elsewhere", pid=7, process_started="x"), None, world.time.clock())
    with pytest.raises(LedgerError, match="process 7 on elsewhere") as caught:
        closed(world, "old")

    assert caught.value.exit_code is ExitCode.LEDGER
    assert written_off(world) == []


def test_killed_anywhere_it_has_closed_all_or_nothing(tmp_path: Path) -> None:
    """One transaction: run again, it closes what is left, and the end is the same."""
    points = CrashPoints()
    clean = World(tmp_path / "clean")
    clean.import_rows(ROWS)
    closed(clean, points=points, reason=BlockReason.TOO_OLD)
    for at in range(1, len(points.passed) + 1):
        world = World(tmp_path / f"{at}")
        world.import_rows(ROWS)
        with pytest.raises(Crash):
            closed(world, points=CrashPoints(at), reason=BlockReason.TOO_OLD)
        assert len(written_off(world)) in (0, 2)
        world.time.advance(AFTER_A_CRASH)
        closed(world, reason=BlockReason.TOO_OLD)
        assert written_off(world) == written_off(clean)
