"""Rejected usage: written off by a person's word, or shown as a retry would seal it, rolled up or not."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from meterledger.errors import LedgerError, UsageError
from meterledger.usecases.planning import Planner
from meterledger.usecases.preview import Preview, preview
from meterledger.usecases.push import PushOptions
from meterledger.usecases.void_import import void_import
from meterledger.usecases.write_off import REJECTED, WriteOffOptions, WriteOffReport, write_off
from support.pushing import HOUR, START, Row, World
from support.rolling_up import assert_sound, config, rewrite
from support.strict_stripe import Fault

RETRY = PushOptions(retry_rejected=True)
THEN = START - 8 * HOUR


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make a ledger with usage of two customers that Stripe has refused."""
    return rejected(World(tmp_path / "w"))


def rejected(world: World) -> World:
    """Have usage of two customers rejected, two usage events of one in the same hour."""
    world.stripe.customers_deleted = {"cus_a", "cus_b"}
    world.import_rows([Row(key=key, at=THEN) for key in "ac"] + [Row(key="b", customer="cus_b", at=THEN)])
    world.push()
    assert world.states().keys() == {"rejected"}
    return world


@pytest.fixture
def rolling(tmp_path: Path) -> World:
    """Make the same where a meter rolls up."""
    world = World(tmp_path / "w")
    rewrite(world, config())
    return rejected(world)


def closed(world: World, *keys: str, **options: Any) -> WriteOffReport:
    """Write off by name, or what is rejected and fits."""
    asked = WriteOffOptions(note="credited", request_ids=keys, reason=None if keys else REJECTED, **options)
    with world.ledger() as ledger:
        return write_off(ledger, world.settings, asked, clock=world.time.clock)


def void(world: World, number: int = 1) -> None:
    """Take an import back."""
    with world.ledger() as ledger:
        void_import(ledger, number, note="wrong file", clock=world.time.clock)


def bodies_of_a_retry(world: World) -> list[str]:
    """Return what `push --dry-run --retry-rejected` shows."""
    with world.ledger() as ledger:
        planner = Planner(ledger, world.settings, world.time.clock())
        return [json.dumps(event.body()) for event in preview(planner, Preview(), retry_codes=())]


def test_what_was_rejected_can_be_written_off(world: World) -> None:
    """By name or by reason: no longer open, never sealed again, and every invariant holds."""
    assert closed(world, "a").written_off == 1
    assert closed(world, feature="calls").by_reason == {"rejected": 2}
    sent = len(world.stripe.arrivals)
    report = world.push(RETRY)
    assert (report.retried, report.needs_a_person, len(world.stripe.arrivals)) == (0, False, sent)
    found = world.select("SELECT DISTINCT state, blocked_reason FROM usage_closures")
    assert found == [("written_off", "rejected")]
    assert_sound(world)


def test_only_what_is_certainly_not_counted_is_written_off(world: World) -> None:
    """What is on its way or accepted is refused by name, and the reason leaves it alone."""
    world.import_rows([Row(key="lost", customer="cus_c"), Row(key="sent", customer="cus_d")])
    world.stripe.fault = lambda one: Fault.LOST_ANSWER if one.lane[1] == "cus_c" else None
    world.push()
    for key in ("lost", "sent"):
        with pytest.raises(UsageError, match="only blocked or rejected usage"):
            closed(world, "a", key)
    assert closed(world, dry_run=True).written_off == 3
    assert closed(world, customer="cus_c").written_off == 0
    assert world.select("SELECT COUNT(*) FROM usage_closures") == [(0,)]


@pytest.mark.parametrize("keys", [(), ("a", "b", "c")], ids=["by reason", "by name"])
def test_what_was_rejected_is_written_off_though_its_import_was_taken_back(
    world: World, keys: tuple[str, ...]
) -> None:
    """No retry brings it back; written off it is closed for good, and push has nothing left to say of it."""
    void(world)
    assert world.push(RETRY).needs_a_person
    assert bodies_of_a_retry(world) == []
    assert closed(world, *keys, dry_run=True).written_off == 3
    assert closed(world, *keys).by_reason == {"rejected": 3}
    report = world.push(RETRY)
    assert (report.needs_a_person, report.warnings, world.unsealed()) == (False, [], 0)
    assert world.select("SELECT state, COUNT(*) FROM usage_closures GROUP BY state") == [("written_off", 3)]
    void(world)
    assert_sound(world)


def test_a_rolled_up_meter_event_of_a_voided_import_is_written_off_whole(rolling: World) -> None:
    """Also where it carries usage of another import, which goes with it."""
    rolling.stripe.customers_deleted = set()
    rolling.push(RETRY)
    rolling.import_rows([Row(key=key, customer="cus_e", at=THEN) for key in "de"])
    rolling.import_rows([Row(key="f", customer="cus_e", at=THEN)])
    rolling.stripe.customers_deleted = {"cus_e"}
    rolling.push()
    void(rolling, 3)
    with pytest.raises(UsageError, match="in one meter event with another"):
        closed(rolling, "f")
    assert closed(rolling).written_off == 3
    assert not rolling.push(RETRY).needs_a_person
    assert_sound(rolling)


def test_a_voided_import_that_a_report_may_still_name_is_left_alone(world: World) -> None:
    """Rejected at first and unknown since: the database refuses to let go of what may be counted."""
    void(world)
    with closing(sqlite3.connect(world.path)) as connection:
        connection.execute(
            "INSERT INTO delivery_attempts (meter_event, attempt, push, idempotency_key, started_at, "
            "finished_at, outcome) VALUES (1, 7, 1, 'k', 1, 1, 'unknown')"
        )
        connection.commit()
    with pytest.raises(LedgerError):
        closed(world)
    assert world.select("SELECT COUNT(*) FROM usage_closures") == [(0,)]


def test_a_rolled_up_meter_event_is_written_off_whole(rolling: World) -> None:
    """Some of it would leave the rest to be sent again, which nobody asked for."""
    with pytest.raises(UsageError, match="in one meter event with another"):
        closed(rolling, "a")
    assert rolling.states() == {"rejected": 2}
    assert closed(rolling, "a", "c").written_off == 2
    assert closed(rolling, before=THEN).written_off == 0
    assert closed(rolling).written_off == 1
    assert rolling.push(RETRY).tally.sealed == 0
    assert_sound(rolling)


def test_a_retry_of_what_was_rolled_up_is_shown_as_it_is_sent(rolling: World) -> None:
    """The same bodies, with what came later for the same window."""
    rolling.stripe.customers_deleted = set()
    rolling.import_rows([Row(key="d", at=THEN + 1), Row(key="e", customer="cus_e", at=THEN)])
    shown = bodies_of_a_retry(rolling)
    rolling.push(RETRY)
    assert sorted(one.text for one in rolling.stripe.counted) == sorted(shown)
    assert len(shown) == 3
    assert_sound(rolling)


def test_a_retry_is_shown_though_the_meter_rolls_up_since_or_no_longer(world: World, tmp_path: Path) -> None:
    """What was rejected one to one goes rolled up by today's config, and the other way round."""
    other = World(tmp_path / "other")
    rewrite(other, config())
    rejected(other)
    rewrite(other, world.config)
    rewrite(world, config())
    for one, meter_events in ((world, 2), (other, 3)):
        one.stripe.customers_deleted = set()
        shown = bodies_of_a_retry(one)
        one.push(RETRY)
        assert sorted(arrival.text for arrival in one.stripe.counted) == sorted(shown)
        assert len(shown) == meter_events
        assert_sound(one)
