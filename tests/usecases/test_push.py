"""Push: each meter event counted once under its identifier, and nothing of a run lost."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from meterledger.domain.blocking import BlockReason
from meterledger.usecases.push import PushOptions
from support.crash_points import Crash, CrashPoints
from support.push_cases import always, attempts, many, only_first
from support.pushing import AFTER_A_CRASH, CONFIG, DAY, SECOND, Row, World
from support.strict_stripe import Arrival, Fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty ledger and a strict Stripe."""
    return World(tmp_path / "w")


def test_everything_is_counted_once(world: World) -> None:
    """A plain push brings every unit to Stripe, says so, and leaves nothing for the next one."""
    world.import_rows([*many(5, 4), Row(key="x", quantity="0.25"), *many(3, 2, "seats")])
    report = world.push()
    assert (report.tally.sealed, report.tally.accepted, report.tally.rejected) == (27, 27, 0)
    assert (report.pending, report.in_doubt, report.blocked, report.stop) == (0, 0, {}, None)
    assert not report.needs_a_person
    assert world.stripe.totals() == {
        **{("calls", f"cus_{lane}"): Decimal(10) for lane in range(5)},
        ("calls", "cus_a"): Decimal("0.25"),
        **{("seats", f"cus_{lane}"): Decimal(3) for lane in range(3)},
    }
    assert world.push().tally.accepted == 0
    assert len(world.stripe.arrivals) == 27


def test_an_acceptance_has_the_time_of_stripe(world: World) -> None:
    """accepted_at is `created` of the 200; the bounds are the same instant."""
    world.import_rows([Row(key="a")])
    world.push()
    at = world.stripe.counted[0].at // SECOND * SECOND
    assert world.select("SELECT accepted_at, accepted_from, accepted_by FROM meter_events") == [(at, at, at)]


def test_a_rejection_is_counted_and_kept(world: World) -> None:
    """An event that can never be taken is rejected, once, with the reason, and needs a person."""
    world.import_rows([Row(key="a"), Row(key="b", customer="cus_b")])
    world.stripe.customers_deleted = {"cus_a"}
    report = world.push()
    assert (report.tally.accepted, report.tally.rejected, report.rejected_in_ledger) == (1, 1, 1)
    assert report.needs_a_person
    assert list(report.tally.refusals.values()) == [1]
    assert world.push().tally.rejected == 0
    assert len(world.stripe.arrivals) == 2


# Identifiers that exist already.


def test_a_duplicate_on_a_first_attempt_is_somebody_elses(world: World, tmp_path: Path) -> None:
    """Who never sent an identifier learns from a duplicate that it is taken: a person has to look."""
    other = World(tmp_path / "other", time=world.time)
    for each in (world, other):
        each.import_rows([Row(key="a")])
    other.push()
    world.stripe.counted = other.stripe.counted
    report = world.push(PushOptions(allow_foreign_usage=True))
    assert (report.in_doubt, report.tally.accepted, report.needs_a_person) == (1, 0, True)
    assert world.select("SELECT state, in_doubt_reason FROM meter_events") == [
        ("in_doubt", "identifier_taken")
    ]
    assert world.push().in_doubt == 1
    assert len(world.stripe.arrivals) == 1


@pytest.mark.parametrize("fault", [Fault.LIMITED, Fault.REFUSED_CONNECTION])
def test_a_duplicate_after_attempts_that_never_arrived_is_somebody_elses_too(
    world: World, fault: Fault
) -> None:
    """An attempt that Stripe certainly did not take is no claim on an identifier."""

    def strike(arrival: Arrival) -> Fault | None:
        if arrival.number == 1:
            world.stripe.counted.append(arrival)
            return fault
        return None

    world.stripe.fault = strike
    world.import_rows([Row(key="a")])
    assert world.push().in_doubt == 1
    assert world.select("SELECT in_doubt_reason FROM meter_events") == [("identifier_taken",)]


def test_a_duplicate_after_a_lost_answer_is_ours(world: World) -> None:
    """The attempt whose answer was lost had arrived; the truth lies within the bounds that are kept."""
    # A lost answer under one key is replayed by it; another key meets the duplicate.
    world.stripe.fault = only_first(Fault.COUNTED_500, 2)
    world.import_rows([Row(key="a")])
    report = world.push()
    assert (report.tally.accepted, report.in_doubt) == (1, 0)
    assert [outcome for _, _, outcome in attempts(world)] == ["unknown", "unknown", "duplicate"]
    [(accepted_at, begin, end)] = world.select(
        "SELECT accepted_at, accepted_from, accepted_by FROM meter_events"
    )
    [(first,)] = world.select("SELECT started_at FROM delivery_attempts WHERE attempt = 1")
    [(last,)] = world.select("SELECT started_at FROM delivery_attempts WHERE attempt = 3")
    truth = world.stripe.counted[0].at
    assert isinstance(begin, int)
    assert isinstance(end, int)
    assert isinstance(last, int)
    assert begin == first
    assert begin <= truth <= end <= last
    assert accepted_at == end
    assert world.stripe.counts().total() == 1


def test_a_lost_answer_is_replayed_by_its_key(world: World) -> None:
    """After no answer the Idempotency-Key stays, and Stripe's stored 200 settles it."""
    world.stripe.fault = only_first(Fault.LOST_ANSWER, 3)
    world.import_rows([Row(key="a")])
    assert world.push().tally.accepted == 1
    assert len({key for _, key, _ in attempts(world)}) == 1
    assert world.stripe.counts().total() == 1


def test_a_key_used_for_something_else_is_in_doubt(world: World, tmp_path: Path) -> None:
    """An idempotency_error means that somebody else uses our keys."""
    other = World(tmp_path / "other", time=world.time, config=CONFIG.replace("decimal_places = 2", ""))
    other.import_rows([Row(key="a", quantity="5")])
    other.push()
    world.import_rows([Row(key="a", quantity="6")])
    world.stripe._stored = other.stripe._stored
    assert world.push().in_doubt == 1
    assert world.select("SELECT state, in_doubt_reason FROM meter_events") == [
        ("in_doubt", "identifier_taken")
    ]
    assert world.stripe.counted == []


# Claims that never arrived, and claims that may have.


def test_a_claim_that_never_arrived_is_sealed_by_todays_config(world: World) -> None:
    """Certainly not taken means not yet fixed: it goes out as the config is now, under its identifier."""
    world.import_rows([Row(key="a", quantity="3")])
    world.stripe.fault = always(Fault.LIMITED)
    world.push()
    config = world.config.replace("decimal_places = 2", 'decimal_places = 2\nvalue_key = "amount"', 1)
    (world.folder / "meterledger.toml").write_text(config, encoding="utf-8")
    world.stripe.fault = always(Fault.KEY_REFUSED)
    bodies, _ = world.preview()
    world.push()
    first, last = json.loads(world.stripe.arrivals[0].text), json.loads(world.stripe.arrivals[-1].text)
    assert (first["payload"]["value"], last["payload"]["amount"]) == ("3", "3")
    assert first["identifier"] == last["identifier"]
    assert bodies == [world.stripe.arrivals[-1].text]


def test_a_claim_that_may_have_arrived_is_fixed_for_ever(world: World) -> None:
    """After an unknown outcome the same bytes go out again, whatever the config says now."""
    world.import_rows([Row(key="a", quantity="3")])
    world.stripe.fault = only_first(Fault.LOST_ANSWER, 5)
    world.push()
    config = world.config.replace("decimal_places = 2", 'decimal_places = 2\nvalue_key = "amount"', 1)
    (world.folder / "meterledger.toml").write_text(config, encoding="utf-8")
    assert world.push().tally.accepted == 1
    assert len({arrival.text for arrival in world.stripe.arrivals}) == 1


def test_a_claim_that_never_arrived_and_is_blocked_now_goes_back(world: World) -> None:
    """Blocks are judged again at each push; its usage is then blocked, not pending for ever."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(Fault.LIMITED)
    world.push()
    world.stripe.fault = lambda _arrival: None
    world.time.advance(36 * DAY)
    report = world.push()
    assert (report.blocked, report.pending) == ({BlockReason.TOO_OLD: 1}, 0)
    assert (world.states(), world.unsealed()) == ({}, 1)


def test_attempts_of_a_dead_push_are_unknown(world: World) -> None:
    """What a killed run had in flight may have arrived: it is recorded so, and sent again in time."""
    world.import_rows(many(2, 3))
    points = CrashPoints()
    world.push(points=points, options=PushOptions(limit=1))
    before_an_answer = points.passed.index("before an answer") + 1
    with pytest.raises(Crash):
        world.push(points=CrashPoints(before_an_answer))
    world.time.advance(AFTER_A_CRASH)
    report = world.push()
    assert report.recovered == 5
    interrupted = world.select("SELECT COUNT(*) FROM delivery_attempts WHERE code = 'interrupted'")
    assert interrupted == [(5,)]
    assert (report.pending, world.states()) == (0, {"accepted": 6})
    assert set(world.stripe.counts().values()) == {1}
