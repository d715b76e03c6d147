"""Preview: it shows what the next push sends, byte for byte, and changes nothing."""

from decimal import Decimal
from pathlib import Path

import pytest

from meterledger.usecases.push import PushOptions
from support.push_cases import SEATS, many
from support.pushing import START, Row, World
from support.strict_stripe import Fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty ledger and a strict Stripe."""
    return World(tmp_path / "w")


def test_preview_shows_what_push_sends(world: World) -> None:
    """Byte for byte and in the same order, new usage is sent as it was shown."""
    world.import_rows(
        [
            *many(1, 9),
            Row(key="x", quantity="0.10", at=START),
            *many(1, 3, "seats"),
            Row(key="no", customer="x"),
        ]
    )
    bodies, result = world.preview()
    report = world.push(PushOptions(concurrency=1))
    by_lane = {lane: [a.text for a in world.stripe.arrivals if a.lane == lane] for lane in result.totals}
    shown = {lane: [body for body in bodies if lane[1] in body and lane[0] in body] for lane in result.totals}
    assert shown == by_lane
    assert sorted(bodies) == sorted(arrival.text for arrival in world.stripe.arrivals)
    assert dict(result.blocked) == report.blocked
    assert {lane: Decimal(str(total.value)) for lane, total in result.totals.items()} == world.stripe.totals()


def test_preview_shows_what_is_left_of_an_earlier_run(world: World) -> None:
    """Unknown outcomes, claims given back and new usage: preview shows just what the next push sends."""
    world.import_rows([*many(3, 4), *SEATS])
    faults = (Fault.LOST_ANSWER, Fault.LIMITED, None, Fault.LOST_REQUEST, Fault.REFUSED_CONNECTION)
    world.stripe.fault = lambda arrival: faults[arrival.number % 5] if arrival.number < 60 else None
    world.push(PushOptions(limit=15))
    world.import_rows([Row(key="late", at=START)])
    world.stripe.fault = lambda _arrival: None
    sent = len(world.stripe.arrivals)
    bodies, _ = world.preview()
    assert world.states().keys() >= {"accepted", "sending", "pending"}
    world.push()
    assert sorted(bodies) == sorted(arrival.text for arrival in world.stripe.arrivals[sent:])


def test_preview_changes_nothing(world: World) -> None:
    """However often it is asked, preview leaves the ledger as it was, byte for byte."""
    world.import_rows([*many(2, 2), *SEATS])
    world.push(PushOptions(limit=2))
    dump = world.select("SELECT * FROM meter_events") + world.select("SELECT * FROM unsealed")
    assert world.preview() == world.preview()
    assert world.select("SELECT * FROM meter_events") + world.select("SELECT * FROM unsealed") == dump
