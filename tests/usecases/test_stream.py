"""The stream: batches out, one answer for all of their events, and what is resent whole."""

from dataclasses import replace
from pathlib import Path

import pytest

from meterledger.domain.way import Way
from meterledger.errors import UsageError
from meterledger.usecases.push import PushOptions
from support.push_cases import SEATS, always, many, only_first
from support.pushing import HOUR, MINUTE, START, Row, World
from support.strict_stripe import Arrival, Fault

AWAY = 3 * MINUTE


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make a world that goes by the stream, whose Stripe knows identifiers by their way alone."""
    world = World(tmp_path / "w")
    world.way = Way.STREAM
    world.stripe.scope_by_way = True
    return world


def no_fault(_arrival: Arrival) -> Fault | None:
    """Let everything through."""
    return None


def keys(world: World) -> set[object]:
    """Return every Idempotency-Key that attempts went under."""
    return {row[0] for row in world.select("SELECT idempotency_key FROM delivery_attempts")}


def test_a_backlog_goes_in_batches_of_a_hundred(world: World) -> None:
    """One request takes 100 meter events; each has its attempt, under the key of its batch."""
    world.import_rows(many(50, 5))
    report = world.push()
    assert (report.tally.accepted, report.pending) == (250, 0)
    assert sorted(map(len, world.stripe.batches)) == [50, 100, 100]
    assert set(world.stripe.counts().values()) == {1}
    assert len(keys(world)) == 3
    assert world.select("SELECT COUNT(*), COUNT(DISTINCT meter_event) FROM delivery_attempts") == [(250, 250)]
    assert world.select("SELECT DISTINCT api FROM delivery_attempts") == [("stream",)]
    assert world.select("SELECT meter_events_host FROM binding") == [(world.access.meter_events_base,)]


def test_accepted_at_is_the_receipt(world: World) -> None:
    """The stream's answer names no time."""
    world.import_rows([Row(key="a")])
    world.push()
    assert world.select(
        "SELECT m.accepted_at = a.finished_at, m.accepted_from = m.accepted_by "
        "FROM meter_events AS m INNER JOIN delivery_attempts AS a ON a.meter_event = m.id"
    ) == [(1, 1)]


def test_a_lost_answer_is_resent_whole_under_the_same_key(world: World) -> None:
    """The batch goes again as it was, also in the next run, and then all of it is in, once."""
    world.import_rows(many(30, 1))
    world.stripe.fault = always(Fault.LOST_ANSWER)
    report = world.push()
    assert (report.tally.exhausted, world.states()) == (30, {"sending": 30})
    world.stripe.fault = no_fault
    world.time.advance(AWAY)
    world.import_rows([Row(key=f"new{number}") for number in range(5)])
    assert world.push().tally.accepted == 35
    assert len({tuple(batch) for batch in world.stripe.batches}) == 2
    assert len(keys(world)) == 2
    assert set(world.stripe.counts().values()) == {1}


def test_a_200_after_an_unknown_attempt_spans_both(world: World) -> None:
    """It proves that by now all is in, not when: audit takes the later end."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = only_first(Fault.LOST_ANSWER)
    world.push()
    [(first, by, at, started, finished)] = world.select(
        "SELECT m.accepted_from, m.accepted_by, m.accepted_at, MIN(a.started_at), MAX(a.finished_at) "
        "FROM meter_events AS m INNER JOIN delivery_attempts AS a ON a.meter_event = m.id"
    )
    assert (first, by, at) == (started, finished, finished)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.REFUSED_CONNECTION,
        Fault.LOST_REQUEST,
        Fault.LOST_ANSWER,
        Fault.STORED_500,
        Fault.COUNTED_500,
        Fault.LIMITED,
    ],
)
def test_whatever_happens_to_the_first_requests_all_counts_once(world: World, fault: Fault) -> None:
    """A batch is tried again within the run, and no event is lost or counted twice."""
    world.import_rows(many(60, 4))
    world.stripe.fault = only_first(fault, 3)
    assert world.push().pending == 0
    assert world.states() == {"accepted": 240}
    assert set(world.stripe.counts().values()) == {1}
    assert len(world.stripe.counts()) == 240


def test_after_two_answers_a_batch_takes_another_key(world: World) -> None:
    """As for single events: a stored failure must not answer for ever."""
    world.import_rows(many(3, 1))
    world.stripe.fault = only_first(Fault.STORED_500, 3)
    world.push()
    [first, second] = sorted(map(str, keys(world)))
    assert second == f"{first}:2"


def test_past_the_horizon_a_batch_is_in_doubt(world: World) -> None:
    """After 23 hours nothing of it is sent again."""
    world.import_rows(many(10, 1))
    world.stripe.fault = always(Fault.LOST_ANSWER)
    world.push()
    sent = len(world.stripe.batches)
    world.time.advance(23 * HOUR)
    assert world.push().in_doubt == 10
    assert len(world.stripe.batches) == sent


def test_a_batch_refused_for_its_form_goes_singly(world: World) -> None:
    """The complete refusal proves that nothing was taken; the one at fault is rejected, the others count."""
    world.import_rows(many(20, 1))
    bad = world.identifiers_to_be()[7]
    world.stripe.malformed = {bad}
    report = world.push()
    assert (report.tally.accepted, report.tally.rejected, report.tally.exhausted) == (19, 1, 0)
    assert world.identifiers("rejected") == [bad]
    assert sorted(map(len, world.stripe.batches)) == [1] * 20 + [20]
    assert set(world.stripe.counts().values()) == {1}
    assert world.select("SELECT DISTINCT outcome FROM delivery_attempts WHERE attempt = 1") == [("not_sent",)]


def test_a_refused_batch_proves_nothing_of_an_earlier_unknown_attempt(world: World) -> None:
    """What may have been taken before stays unknown, also when it is refused alone."""
    world.import_rows(many(3, 1))
    world.stripe.fault = always(Fault.LOST_REQUEST)
    world.push()
    world.stripe.fault = no_fault
    world.stripe.malformed = set(world.identifiers("sending"))
    report = world.push()
    assert (report.tally.rejected, report.tally.exhausted) == (0, 3)
    assert world.states() == {"sending": 3}


def test_ordered_meters_go_one_by_one(world: World) -> None:
    """Of one customer's `last` meter at most one event is in a batch, and the next waits for its outcome."""
    world.import_rows([*SEATS, *many(10, 10)])
    world.push()
    seats = [arrival for arrival in world.stripe.counted if arrival.lane[0] == "seats"]
    assert [arrival.value for arrival in seats] == [1, 2, 3, 4, 5]
    ids = {arrival.identifier for arrival in seats}
    assert max(len(ids & set(batch)) for batch in world.stripe.batches) == 1
    assert world.states() == {"accepted": 105}


def test_what_comes_later_on_an_ordered_meter_waits(world: World) -> None:
    """If the first of a lane gets no outcome, no later one overtakes it; the rest of the batches goes."""
    world.import_rows([*SEATS, *many(4, 60)])
    first = world.identifiers_to_be()[0]
    world.stripe.fault = lambda arrival: (
        Fault.LOST_REQUEST if first in world.stripe.batches[arrival.number - 1] else None
    )
    world.push()
    values = [arrival.value for arrival in world.stripe.counted if arrival.lane[0] == "seats"]
    assert values == []
    world.stripe.fault = no_fault
    world.time.advance(AWAY)
    world.push()
    values = [arrival.value for arrival in world.stripe.counted if arrival.lane[0] == "seats"]
    assert values == [1, 2, 3, 4, 5]
    assert world.states() == {"accepted": 245}
    assert set(world.stripe.counts().values()) == {1}


def test_ways_keep_the_order_of_an_ordered_lane(world: World) -> None:
    """An unknown outcome of v1 goes again by v1, and what follows by the stream waits for it."""
    world.way = Way.V1
    world.import_rows(SEATS[:1])
    world.stripe.fault = always(Fault.LOST_REQUEST)
    world.push()
    world.stripe.fault = no_fault
    world.way = Way.STREAM
    world.import_rows(SEATS)
    world.push()
    assert [(str(a.value), a.way) for a in world.stripe.counted] == [
        ("1", "v1"),
        ("2", "stream"),
        ("3", "stream"),
        ("4", "stream"),
        ("5", "stream"),
    ]


def test_a_limit_holds_for_batches(world: World) -> None:
    """--limit counts meter events, not requests."""
    world.import_rows(many(30, 5))
    report = world.push(PushOptions(limit=120))
    assert (report.tally.accepted, report.pending) == (120, 30)


def test_another_host_of_the_stream_is_refused(world: World) -> None:
    """What was streamed to one host is not resent to another."""
    world.import_rows([Row(key="a", at=START - HOUR)])
    world.push()
    world.access = replace(world.access, stream_base="http://127.0.0.1:2")
    with pytest.raises(UsageError, match="stream's host"):
        world.push()
