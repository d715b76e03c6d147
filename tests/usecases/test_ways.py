"""Three ways in: what each can take, and why an event whose outcome is unknown keeps its own."""

import sqlite3
from pathlib import Path

import pytest

from meterledger.domain.blocking import BlockReason
from meterledger.domain.way import Way
from support.push_cases import always, many
from support.pushing import MINUTE, Row, World
from support.strict_stripe import Fault

AWAY = 3 * MINUTE


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make a world whose Stripe knows an identifier only by the way that it came."""
    world = World(tmp_path / "w")
    world.stripe.scope_by_way = True
    return world


def ways_of_attempts(world: World) -> list[object]:
    """Return the way of every attempt, in order."""
    return [row[0] for row in world.select("SELECT api FROM delivery_attempts ORDER BY id")]


def test_v2_sends_the_same_with_a_time_as_text(world: World) -> None:
    """The body is that of v1 but for its timestamp, and the preview shows it so."""
    world.import_rows([Row(key="a")])
    world.way = Way.V2
    [shown], _ = world.preview()
    assert world.push().tally.accepted == 1
    [arrival] = world.stripe.counted
    assert (arrival.text, arrival.way) == (shown, "v2")
    assert arrival.body["timestamp"] == "2026-10-31T23:00:00Z"
    assert world.select("SELECT api FROM pushes") == [("v2",)]
    assert ways_of_attempts(world) == ["v2"]


@pytest.mark.parametrize("way", [Way.V2, Way.STREAM])
def test_what_only_v1_takes_is_blocked_and_goes_by_v1(world: World, way: Way) -> None:
    """A fraction and zero wait, with their reason, until v1 is the way; whole numbers go."""
    world.import_rows([Row(key="f", quantity="1.5"), Row(key="z", quantity="0"), Row(key="w", quantity="2")])
    world.way = way
    _, shown = world.preview()
    assert shown.blocked == {BlockReason.VALUE_NEEDS_V1: 2}
    report = world.push()
    assert (report.tally.accepted, report.blocked) == (1, {BlockReason.VALUE_NEEDS_V1: 2})
    assert report.needs_a_person
    world.way = Way.V1
    assert world.push().tally.accepted == 2
    assert world.unsealed() == 0


@pytest.mark.parametrize(
    ("before", "after"), [(before, after) for before in Way for after in Way if before is not after]
)
def test_an_unknown_outcome_goes_again_by_the_way_it_went(world: World, before: Way, after: Way) -> None:
    """Were it to change its way, a Stripe that keeps identifiers by way would count it twice."""
    world.import_rows(many(3, 2))
    world.way, world.stripe.fault = before, always(Fault.LOST_ANSWER)
    world.push()
    world.stripe.fault = lambda _arrival: None
    world.time.advance(AWAY)
    world.way = after
    world.import_rows([Row(key="new")])
    world.push()
    assert set(world.stripe.counts().values()) == {1}
    assert world.states() == {"accepted": 7}
    ways = {arrival.identifier: arrival.way for arrival in world.stripe.counted}
    assert sorted(ways.values()) == sorted([before] * 6 + [after])


def test_what_certainly_was_not_taken_changes_its_way(world: World) -> None:
    """A refused connection binds to nothing: the same meter event goes by the new way, under a new key."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(Fault.REFUSED_CONNECTION)
    world.push()
    world.stripe.fault = lambda _arrival: None
    world.way = Way.V2
    world.push()
    assert world.states() == {"accepted": 1}
    [arrival] = world.stripe.counted
    assert (arrival.way, arrival.idempotency_key) == ("v2", f"{arrival.identifier}:2")


def test_the_database_refuses_another_way_after_an_unknown_outcome(world: World) -> None:
    """Whatever the code says: what may have gone one way never goes another."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(Fault.LOST_ANSWER)
    world.push()
    connection = sqlite3.connect(world.path)
    add = (
        "INSERT INTO delivery_attempts (meter_event, attempt, push, idempotency_key, started_at, api) "
        "SELECT meter_event, attempt + 1, push, 'k', started_at, ? FROM delivery_attempts "
        "ORDER BY attempt DESC LIMIT 1"
    )
    try:
        with pytest.raises(sqlite3.IntegrityError, match="never goes another"):
            connection.execute(add, ("v2",))
        with pytest.raises(sqlite3.IntegrityError, match="beginning of an attempt"):
            connection.execute("UPDATE delivery_attempts SET api = 'stream'")
        connection.execute(add, ("v1",))
    finally:
        connection.close()
