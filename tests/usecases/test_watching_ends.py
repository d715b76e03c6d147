"""What ends a worker: what a person has to mend, and being stopped."""

import asyncio
from pathlib import Path

import pytest

from meterledger.errors import KeyRefusedError, LedgerError, UsageError
from meterledger.stripe_gateway.gateway import Read
from meterledger.usecases.push import AboutToPush, PushOptions
from meterledger.usecases.watching import LOOK_AT_STRIPE_SECONDS, What
from support.push_cases import many, nothing_in_flight
from support.pushing import HOUR, Row, World
from support.reporting import Reporter
from support.strict_stripe import Fault
from support.watching import GatewayOfAccount, Life, importing, live, set_fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty ledger and a strict Stripe."""
    return World(tmp_path / "w")


# What a person has to mend.


@pytest.mark.parametrize("fault", [Fault.KEY_REFUSED, Fault.FORBIDDEN])
def test_a_key_that_is_refused_in_mid_life_ends_it(world: World, fault: Fault) -> None:
    """It ends with the reason, nothing is in flight, and the figures say that it is down."""
    life = Life()
    script = [(10, set_fault(world, fault)), (20, importing(world, *many(3, 2)))]
    with pytest.raises(KeyRefusedError, match=r"40[13]"):
        live(world, script, life=life)
    assert nothing_in_flight(world)
    assert not life.figures.up
    assert life.of(What.ENDED)[0].message
    assert world.select("SELECT released FROM lease") == [(1,)]


def test_a_key_that_is_refused_at_a_poll_ends_it(world: World) -> None:
    """An idle worker finds out too that its key was revoked."""
    world.reports = Reporter(world.time.clock, failure=KeyRefusedError("the key is refused (401)"))
    with pytest.raises(KeyRefusedError):
        live(world, [])


def test_foreign_usage_ends_it_before_anything_is_sent(world: World, tmp_path: Path) -> None:
    """A ledger made anew is stopped at the door, as a single push is."""
    other = World(tmp_path / "other", time=world.time)
    other.import_rows([Row(key="elsewhere")])
    other.push()
    world.stripe.counted = other.stripe.counted
    life = live(world, [(10, importing(world, Row(key="a")))])
    assert life.report.stopped_at_door
    assert life.report.needs_a_person
    assert world.stripe.arrivals == []


def test_another_account_ends_it(world: World) -> None:
    """The binding is checked again as it lives."""
    world.import_rows([Row(key="a")])

    def change() -> None:
        world.stripe.account = Read(value="acct_two")

    with pytest.raises(UsageError, match="acct_two"):
        live(world, [(10, change)], until=LOOK_AT_STRIPE_SECONDS + 20)


def test_a_clock_set_back_ends_it(world: World) -> None:
    """Old attempts must not look young: a person has to set the clock right."""
    script = [(10, lambda: world.time.advance(-HOUR)), (20, importing(world, Row(key="a")))]
    world.import_rows([Row(key="b")])
    with pytest.raises(LedgerError, match="clock"):
        live(world, script)


def test_a_person_is_asked_once_and_can_say_no(world: World) -> None:
    """With a live key the question comes at the start, also where there is nothing to send yet."""
    asked: list[AboutToPush] = []

    def no(about: AboutToPush) -> bool:
        asked.append(about)
        return False

    life = live(world, [], PushOptions(confirm=no))
    assert life.report.stopped_at_door
    assert [one.goes_on for one in asked] == [True]
    asked.clear()
    live(
        world,
        [(10, importing(world, Row(key="a"))), (20, importing(world, Row(key="b")))],
        PushOptions(confirm=lambda about: not asked.append(about)),  # type: ignore[func-returns-value]
    )
    assert len(asked) == 1
    assert world.states() == {"accepted": 2}


# Being stopped.


def test_what_is_in_flight_ends_first(world: World) -> None:
    """A stop while an answer is under way waits for it, and records it; the rest is given back."""
    world.stripe.latency = 5
    world.import_rows(many(1, 3))
    life = live(world, [], until=2)
    assert nothing_in_flight(world)
    assert world.states()["accepted"] == len(world.stripe.counted) == 1
    assert world.select("SELECT released FROM lease") == [(1,)]
    assert life.happened[-1].what is What.ENDED


def test_a_stop_while_it_reads_ends_it_at_once(world: World) -> None:
    """A read that hangs is dropped: nothing of it counts."""

    async def account_id() -> Read:
        await asyncio.sleep(1000)
        return Read(value=None)

    live(world, [], until=3, gateway=GatewayOfAccount(world.stripe, account_id))
    assert world.time.monotonic() < 4
    assert world.select("SELECT released FROM lease") == [(1,)]
