"""The door: mode, account, host, clock and lease are right before anything is sent."""

from dataclasses import replace
from pathlib import Path

import pytest

from meterledger.domain.meter_event import seal
from meterledger.errors import ExitCode, LedgerError, StripeError, UsageError
from meterledger.ledger.lease import Holder
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.gateway import Read
from meterledger.usecases.holder import this_process
from meterledger.usecases.push import PushOptions
from support.pushing import HOUR, MINUTE, SECOND, START, TEST_ACCESS, Row, World
from support.strict_stripe import StrictStripe

LIVE_ACCESS = StripeAccess(key="sk_live_x", mode="live", base="http://127.0.0.1:1")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make a ledger with one usage event that may go."""
    world = World(tmp_path / "w")
    world.import_rows([Row(key="a")])
    return world


def binding(world: World) -> list[tuple[object, ...]]:
    """Return what the ledger is bound to."""
    return world.select("SELECT account_id, stripe_account, mode, host FROM binding")


def is_lease_free(world: World) -> bool:
    """Tell whether nobody holds the lease."""
    return world.select("SELECT released FROM lease") in ([(1,)], [])


def test_the_first_push_binds_the_ledger(world: World) -> None:
    """Account, connected account, mode and host are kept from the first push on."""
    world.push()
    assert binding(world) == [("acct_one", "", "test", "http://127.0.0.1:1")]


@pytest.mark.parametrize(
    ("access", "live", "named"),
    [
        (LIVE_ACCESS, True, "mode"),
        (replace(TEST_ACCESS, base="http://127.0.0.1:2"), False, "host"),
        (replace(TEST_ACCESS, stripe_account="acct_connected"), False, "connected account"),
    ],
)
def test_another_mode_host_or_connected_account_is_refused(
    world: World, access: StripeAccess, named: str, *, live: bool
) -> None:
    """A bound ledger sends nothing elsewhere, and does not even ask there."""
    world.push()
    world.import_rows([Row(key="b")])
    world.access = access
    sent, reads = len(world.stripe.arrivals), world.stripe.reads
    with pytest.raises(UsageError, match=named):
        world.push(PushOptions(live=live))
    assert (len(world.stripe.arrivals), world.stripe.reads) == (sent, reads)


def test_a_key_of_another_account_is_refused(world: World) -> None:
    """The same host with another account's key is told apart by the account's id; nothing is sent."""
    world.push()
    world.import_rows([Row(key="b")])
    world.stripe.account = Read(value="acct_two")
    with pytest.raises(UsageError, match="acct_two"):
        world.push()
    assert len(world.stripe.arrivals) == 1
    world.stripe.account = Read(value="acct_one")
    assert world.push().tally.accepted == 1


def test_a_key_that_may_not_read_its_account_is_a_warning(world: World) -> None:
    """A restricted key pushes with a warning; the account is learnt later, and held from then on."""
    world.stripe.account = Read(value=None, warning="the account could not be read (403)")
    report = world.push()
    assert report.warnings == ["the account could not be read (403)"]
    assert binding(world) == [(None, "", "test", "http://127.0.0.1:1")]
    world.stripe.account = Read(value="acct_one")
    assert world.push().warnings == []
    assert binding(world)[0][0] == "acct_one"
    world.stripe.account = Read(value="acct_two")
    with pytest.raises(UsageError):
        world.push()


def test_a_live_key_needs_live(world: World) -> None:
    """Real invoices are never touched without the word for it, and nothing is bound."""
    world.access = LIVE_ACCESS
    with pytest.raises(UsageError, match="live"):
        world.push()
    assert (world.stripe.reads, binding(world)) == (0, [])
    assert world.push(PushOptions(live=True)).tally.accepted == 1


def test_live_with_a_test_key_is_refused(world: World) -> None:
    """Whoever says --live means it: a test key is then a mistake."""
    with pytest.raises(UsageError, match="test key"):
        world.push(PushOptions(live=True))
    assert world.stripe.reads == 0


@pytest.mark.parametrize("skew", [0, 2 * MINUTE, -2 * MINUTE])
def test_a_clock_within_two_minutes_is_fine(world: World, skew: int) -> None:
    """Up to two minutes apart nothing is said."""
    world.skew = skew
    assert world.push().warnings == []


@pytest.mark.parametrize("skew", [2 * MINUTE + SECOND, -2 * MINUTE - SECOND, 10 * MINUTE, -10 * MINUTE])
def test_a_clock_up_to_ten_minutes_off_is_a_warning(world: World, skew: int) -> None:
    """Over two and up to ten minutes apart the push warns and goes on."""
    world.skew = skew
    report = world.push()
    assert len(report.warnings) == 1
    assert report.tally.accepted == 1


@pytest.mark.parametrize("skew", [10 * MINUTE + SECOND, -10 * MINUTE - SECOND])
def test_a_clock_over_ten_minutes_off_stops(world: World, skew: int) -> None:
    """Over ten minutes apart nothing is sent, nothing is bound, and the lease is given back."""
    world.skew = skew
    with pytest.raises(StripeError, match="clock") as caught:
        world.push()
    assert caught.value.exit_code == ExitCode.STRIPE
    assert (world.stripe.arrivals, binding(world), is_lease_free(world)) == ([], [], True)


def test_an_answer_without_a_date_is_a_warning(world: World) -> None:
    """A clock that cannot be checked is said to be so."""
    world.has_date = False
    report = world.push()
    assert "clock" in report.warnings[0]
    assert report.tally.accepted == 1


@pytest.mark.parametrize("what", ["import", "push"])
def test_a_clock_set_back_stops(world: World, what: str) -> None:
    """With an instant of the ledger over two minutes ahead nothing is sent, by exit code 4."""
    if what == "push":
        world.push()
        world.time.advance(-2 * MINUTE)
        world.push()
        world.import_rows([Row(key="b")])
    world.time.advance(-2 * MINUTE - 5 * SECOND)
    sent = len(world.stripe.arrivals)
    with pytest.raises(LedgerError, match="clock") as caught:
        world.push()
    assert caught.value.exit_code == ExitCode.LEDGER
    assert len(world.stripe.arrivals) == sent


def test_a_clock_two_minutes_behind_the_ledger_is_borne(world: World) -> None:
    """Small corrections of a clock stop nobody."""
    world.time.advance(-2 * MINUTE)
    assert world.push().tally.accepted == 1


def test_a_later_import_does_not_hide_that_the_clock_was_set_back(world: World) -> None:
    """The latest instant of the ledger counts, not that of its latest row."""
    world.time.advance(-HOUR)
    world.import_rows([Row(key="b", at=START - 3 * HOUR)])
    with pytest.raises(LedgerError, match="clock"):
        world.push()
    assert world.stripe.arrivals == []


def test_a_second_push_is_told_who_is_at_work(world: World) -> None:
    """Somebody else's lease stops the push with exit code 4, and says who holds it."""
    holder = Holder(host="other.invalid", pid=4711, process_started="x")
    with world.ledger() as ledger:
        ledger.lease.take(holder, None, world.time.clock())
    with pytest.raises(LedgerError, match=r"process 4711 on other\.invalid") as caught:
        world.push()
    assert caught.value.exit_code == ExitCode.LEDGER
    assert world.stripe.reads == 0
    world.time.advance(3 * MINUTE)
    assert world.push().tally.accepted == 1


def test_a_lease_of_a_dead_process_is_taken_over_at_once(world: World) -> None:
    """A holder of this host that runs no more holds nobody up."""
    dead = replace(this_process(), process_started="another boot 1")
    with world.ledger() as ledger:
        ledger.lease.take(dead, None, world.time.clock())
    assert world.push().tally.accepted == 1
    assert is_lease_free(world)


def test_a_refused_key_gives_the_lease_back(world: World) -> None:
    """What ends a push at the door leaves nothing held, bound or sent."""

    class Refusing(StrictStripe):
        async def account_id(self) -> Read:
            raise StripeError("the key was refused (401)")

    with pytest.raises(StripeError):
        world.push(gateway=Refusing(clock=world.time.clock))
    assert (is_lease_free(world), binding(world), world.states()) == (True, [], {})


def test_meters_that_may_not_be_read_are_a_warning(world: World) -> None:
    """A key that may not list meters still pushes."""
    world.stripe.meters_warning = "its meters could not be read (403)"
    report = world.push()
    assert report.warnings[0] == "its meters could not be read (403)"
    assert "was not compared with the ledger for calls of cus_a" in report.warnings[1]
    assert report.tally.accepted == 1


def test_who_lost_the_lease_while_knocking_leaves_the_new_holder_alone(world: World) -> None:
    """A push that slept past its lease recovers nothing of the push that has taken over since."""
    other = Holder(host="other.invalid", pid=4711, process_started="x")

    class Slow(StrictStripe):
        async def account_id(self) -> Read:
            world.time.advance(3 * MINUTE)
            with world.ledger() as ledger:
                now = world.time.clock()
                token = ledger.lease.take(other, None, now)
                push = ledger.outbox.begin_push("v1", "0", token, now)
                usage = next(ledger.unsealed.all())
                sealed = seal(usage, world.settings.catalogue.meters[0], usage.customer_id)
                ledger.outbox.claim_new([(usage, sealed)], push=push, token=token, now=now)
            return Read(value="acct_one")

    with pytest.raises(LedgerError):
        world.push(gateway=Slow(clock=world.time.clock, meters=dict(world.stripe.meters)))
    assert world.select("SELECT outcome FROM delivery_attempts") == [(None,)]
    assert world.select("SELECT holder, released FROM lease") == [(str(other), 0)]
