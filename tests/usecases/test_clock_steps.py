"""A clock that is set right goes back by a little, in mid-run too: nothing ends before it began."""

from pathlib import Path

import pytest

from meterledger.errors import LedgerError
from meterledger.usecases.audit import audit
from meterledger.usecases.audit_answer import AuditOptions
from meterledger.usecases.verify import verify
from meterledger.usecases.void_import import void_import
from support.billing_facts import pull
from support.crash_points import Crash, CrashPoints
from support.pushing import DAY, MINUTE, SECOND, START, Row, World
from support.strict_stripe import Fault
from support.virtual_time import Time


class GoingBack(Time):
    """A clock that is a second earlier each time it is asked."""

    def clock(self) -> int:
        """Return the instant, in microseconds since the epoch."""
        self.start -= SECOND
        return super().clock()


class DyingInFlight(CrashPoints):
    """A process that dies while Stripe's answer is on its way."""

    def point(self, what: str) -> None:
        """Pass a point, or die there."""
        if what == "before an answer":
            self.at = len(self.passed) + 1
        super().point(what)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return an empty ledger whose clock goes back."""
    return World(tmp_path / "w", time=GoingBack(START))


def is_sound(world: World) -> bool:
    """Tell whether every invariant holds, and nothing ended before it began."""
    with world.ledger() as ledger:
        checks = [check.name for check in verify(ledger) if not check.ok and check.name != "sent_is_bound"]
    backwards = [
        f"{table}: {row}"
        for table in ("imports", "pushes", "delivery_attempts")
        for row in world.select(
            f"SELECT id, started_at, finished_at FROM {table} WHERE finished_at < started_at"  # noqa: S608 # ours
        )
    ]
    assert checks == backwards == []
    return True


def test_an_import_ends_not_before_it_began(world: World) -> None:
    """The file is imported whole, and known as such."""
    report = world.import_rows([Row(key="a")])
    assert (report.files[0].complete, is_sound(world)) == (True, True)


def test_a_push_ends_not_before_it_began(world: World) -> None:
    """What is accepted is accepted, whatever the clock says meanwhile."""
    world.import_rows([Row(key=key) for key in "abc"])
    assert (world.push().tally.accepted, is_sound(world)) == (3, True)


def test_a_killed_push_is_recovered_and_settled_by_a_person(world: World) -> None:
    """An attempt that was in flight ends not before it began, and a person's word has room in it."""
    world.import_rows([Row(key="a")])
    with pytest.raises(Crash):
        world.push(points=DyingInFlight())
    with world.ledger() as ledger:
        ledger.lease.release(1)  # its process is dead, and that is known at once
    world.stripe.fault = lambda _arrival: Fault.LOST_REQUEST
    world.push()
    world.time.advance(DAY)
    assert world.push().in_doubt == 1
    assert (world.resolve_by_truth(), is_sound(world)) == (1, True)


@pytest.mark.parametrize("already_billed", [False, True])
def test_an_import_is_taken_back_not_before_it_came(world: World, *, already_billed: bool) -> None:
    """A claim that never reached Stripe is dissolved, and usage billed elsewhere is voided."""
    world.import_rows([Row(key="a")], already_billed=already_billed)
    world.stripe.fault = lambda _arrival: Fault.REFUSED_CONNECTION
    world.push()
    with world.ledger() as ledger:
        world.time.advance(-MINUTE // 2)
        report = void_import(ledger, 1, note="wrong file", clock=world.time.clock)
    assert (report.voided, report.dissolved) == ((1, 0) if already_billed else (1, 1))
    assert is_sound(world)


def test_an_audit_before_the_latest_pull_is_refused(world: World) -> None:
    """A pull's instant is the ledger's own too: deadlines are not judged by a clock set back."""
    with world.ledger() as ledger:
        ledger.subscriptions.record(pull(START), [], [])
        audit(ledger, world.settings, AuditOptions(), now=START - MINUTE)
        with pytest.raises(LedgerError, match="the clock says"):
            audit(ledger, world.settings, AuditOptions(), now=START - DAY)
