"""Push holds back usage that Stripe would refuse or misplace, and says how much."""

from pathlib import Path

import pytest

from meterledger.domain.blocking import BlockReason
from meterledger.usecases.push import PushOptions
from meterledger.usecases.sending import Sender
from support.pushing import CONFIG, DAY, HOUR, MINUTE, SECOND, START, Row, World
from support.strict_stripe import Fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty ledger and a strict Stripe."""
    return World(tmp_path / "w")


BLOCKS_CONFIG = (
    CONFIG
    + """
[meters.gone]
features = ["gone"]

[plans.pro.features.planned]
included = 1

[invoicing]
anchors = "calendar"
"""
)


def test_blocked_usage_is_counted_and_never_sent(tmp_path: Path) -> None:
    """Each reason holds back what it should, by the clock of the moment, and says how much."""
    world = World(tmp_path / "w", BLOCKS_CONFIG)
    world.time.advance(40 * DAY)  # 11 December
    now = world.time.clock()
    world.stripe.meters["gone"] = False
    world.import_rows(
        [
            Row(key="good", at=now),
            Row(key="edge-35", at=now - 35 * DAY + MINUTE, customer="cus_edge"),
            Row(key="inactive", feature="gone", at=now),
            Row(key="no-meter", feature="planned", at=now),
            Row(key="stranger", customer="acme", at=now),
            Row(key="old", at=now - 35 * DAY - 1),
            Row(key="ahead", at=now + 5 * MINUTE + SECOND),
            Row(key="ahead-edge", at=now + 5 * MINUTE),
            Row(key="closed", at=now - 34 * DAY),
        ]
    )
    report = world.push()
    assert report.blocked == {
        BlockReason.NO_METER: 2,
        BlockReason.UNKNOWN_CUSTOMER: 1,
        BlockReason.TOO_OLD: 1,
        BlockReason.IN_FUTURE: 1,
        BlockReason.CLOSED_PERIOD: 2,
    }
    assert (report.tally.accepted, report.tally.rejected, report.pending) == (2, 0, 0)
    assert report.needs_a_person
    assert len(world.stripe.arrivals) == 2
    again = world.push(PushOptions(include_closed=True))
    assert BlockReason.CLOSED_PERIOD not in again.blocked
    assert (again.tally.accepted, again.tally.rejected) == (2, 0)


def test_a_block_ends_when_its_reason_does(world: World) -> None:
    """What was ahead of the clock, or had an inactive meter, goes once it may."""
    world.stripe.meters["calls"] = False
    world.import_rows([Row(key="a"), Row(key="b", feature="seats", at=START + HOUR)])
    assert world.push().blocked == {BlockReason.NO_METER: 1, BlockReason.IN_FUTURE: 1}
    world.stripe.meters["calls"] = True
    world.time.advance(HOUR)
    report = world.push()
    assert (report.tally.accepted, report.blocked) == (2, {})


def test_an_account_without_any_meter_blocks_everything(world: World) -> None:
    """Stripe's word that it has no meter at all is heard: nothing is sent to be rejected for good."""
    world.stripe.meters = {}
    world.import_rows([Row(key="a"), Row(key="b", feature="seats")])
    report = world.push()
    assert (report.blocked, report.tally.rejected) == ({BlockReason.NO_METER: 2}, 0)
    assert world.stripe.arrivals == []


def test_a_meter_that_is_missing_at_stripe_blocks(world: World) -> None:
    """A meter that the account does not list is no meter, also after it was there once."""
    world.import_rows([Row(key="a")])
    world.push()
    del world.stripe.meters["calls"]
    world.time.advance(HOUR)
    world.import_rows([Row(key="b")])
    report = world.push()
    assert (report.blocked, report.tally.rejected) == ({BlockReason.NO_METER: 1}, 0)


@pytest.mark.parametrize("include_closed", [False, True])
def test_a_period_that_closes_while_usage_waits_its_turn(tmp_path: Path, *, include_closed: bool) -> None:
    """Judged again with each claim: unsealed usage, and what an earlier push sealed and never got through."""
    world = World(tmp_path / "w", BLOCKS_CONFIG)
    closes_at = START + 3 * DAY
    world.time.advance(3 * DAY - 20 * MINUTE)
    world.import_rows([Row(key="sealed", at=START - HOUR), Row(key="later", at=START + HOUR)])
    world.stripe.fault = lambda _arrival: Fault.LIMITED
    world.push(PushOptions(limit=1))
    assert world.select("SELECT state FROM meter_events") == [("pending",)]
    world.import_rows([Row(key="unsealed", at=START - HOUR, customer="cus_b")])
    world.stripe.fault = lambda _arrival: None
    arrived = len(world.stripe.counted)

    def wait(_sender: Sender, _work: int) -> None:
        world.time.advance(closes_at - world.time.clock())

    report = world.push(PushOptions(include_closed=include_closed), on_start=wait)
    assert len(world.stripe.counted) - arrived == (3 if include_closed else 1)
    assert report.blocked == ({} if include_closed else {BlockReason.CLOSED_PERIOD: 2})
    assert report.pending == 0
    assert world.push(PushOptions(include_closed=True)).tally.accepted == (0 if include_closed else 2)
    assert set(world.stripe.counts().values()) == {1}
