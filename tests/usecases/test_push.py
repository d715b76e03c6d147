"""Push: each meter event counted once, in its order, and nothing of a run lost."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from meterledger.domain.blocking import BlockReason
from meterledger.domain.delivery import MAX_ATTEMPTS_PER_RUN
from meterledger.usecases.push import PushOptions
from meterledger.usecases.sending import Sender, Stop
from support.crash_points import Crash, CrashPoints
from support.pushing import AFTER_A_CRASH, CONFIG, DAY, HOUR, MINUTE, SECOND, START, Row, World
from support.strict_stripe import Arrival, Fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty ledger and a strict Stripe."""
    return World(tmp_path / "w")


def many(lanes: int, events: int, feature: str = "calls") -> list[Row]:
    """Return rows of several customers, their times interleaved."""
    return [
        Row(
            key=f"{feature}-{lane}-{event}",
            customer=f"cus_{lane}",
            feature=feature,
            quantity=str(event + 1),
            at=START - HOUR + (event * lanes + lane) * SECOND,
        )
        for event in range(events)
        for lane in range(lanes)
    ]


def only_first(fault: Fault, count: int = 1) -> Callable[[Arrival], Fault | None]:
    """Return a fault that strikes the first requests alone."""
    return lambda arrival: fault if arrival.number <= count else None


def always(fault: Fault) -> Callable[[Arrival], Fault | None]:
    """Return a fault that strikes every request."""
    return lambda _arrival: fault


def attempts(world: World) -> list[tuple[object, ...]]:
    """Return number, key and outcome of every attempt, in order."""
    return world.select("SELECT attempt, idempotency_key, outcome FROM delivery_attempts ORDER BY id")


def nothing_in_flight(world: World) -> bool:
    """Tell whether every attempt has an outcome."""
    return world.select("SELECT COUNT(*) FROM delivery_attempts WHERE outcome IS NULL") == [(0,)]


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


# Identifiers that exist already.


def test_a_duplicate_on_a_first_attempt_is_somebody_elses(world: World, tmp_path: Path) -> None:
    """Who never sent an identifier learns from a duplicate that it is taken: a person has to look."""
    other = World(tmp_path / "other", time=world.time)
    for each in (world, other):
        each.import_rows([Row(key="a")])
    other.push()
    world.stripe.counted = other.stripe.counted
    report = world.push()
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


# Unknown outcomes and the 23 hours.


@pytest.mark.parametrize("fault", [Fault.LOST_REQUEST, Fault.LOST_ANSWER])
def test_an_unknown_outcome_is_sent_again_within_23_hours(world: World, fault: Fault) -> None:
    """Just before 23 h after the first attempt the identifier goes out again, and settles."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(fault)
    report = world.push()
    [(first,)] = world.select("SELECT MIN(started_at) FROM delivery_attempts")
    assert (report.pending, report.in_doubt, world.states()) == (1, 0, {"sending": 1})
    world.stripe.fault = lambda _arrival: None
    assert isinstance(first, int)
    world.time.advance(first + 23 * HOUR - 1 - world.time.clock())
    assert world.push().tally.accepted == 1
    assert world.stripe.counts().total() == 1


@pytest.mark.parametrize("fault", [Fault.LOST_REQUEST, Fault.LOST_ANSWER])
def test_an_unknown_outcome_of_23_hours_is_in_doubt(world: World, fault: Fault) -> None:
    """From 23 h on the identifier is never sent again: only a person, a report or reconciliation helps."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(fault)
    world.push()
    [(first,)] = world.select("SELECT MIN(started_at) FROM delivery_attempts")
    world.stripe.fault = lambda _arrival: None
    assert isinstance(first, int)
    world.time.advance(first + 23 * HOUR - world.time.clock())
    sent = len(world.stripe.arrivals)
    report = world.push()
    assert (report.in_doubt, report.pending, report.needs_a_person) == (1, 0, True)
    assert world.select("SELECT state, in_doubt_reason FROM meter_events") == [
        ("in_doubt", "outcome_unknown")
    ]
    world.time.advance(3 * HOUR)
    world.push()
    assert len(world.stripe.arrivals) == sent


def test_the_first_attempt_counts_for_the_23_hours(world: World) -> None:
    """Later attempts, whatever they came to, do not make the first one younger."""
    world.import_rows([Row(key="a")])
    for fault in (Fault.LOST_ANSWER, Fault.LOST_REQUEST, Fault.LIMITED, Fault.REFUSED_CONNECTION):
        world.stripe.fault = always(fault)
        world.push()
        world.time.advance(7 * HOUR)
    sent = len(world.stripe.arrivals)
    world.stripe.fault = lambda _arrival: None
    assert world.push().in_doubt == 1
    assert len(world.stripe.arrivals) == sent
    assert world.stripe.counts().total() == 1


def test_the_23_hours_are_watched_while_a_run_waits(world: World) -> None:
    """A claim that reaches the 23 h on its way, behind a machine that slept, is not sent."""
    world.import_rows([Row(key="a"), Row(key="b", at=START)])
    world.stripe.fault = always(Fault.LOST_ANSWER)
    world.push()
    [(first,)] = world.select("SELECT MIN(started_at) FROM delivery_attempts")
    assert isinstance(first, int)

    def sleep_over_the_line(arrival: Arrival) -> Fault | None:
        if arrival.at < first + 23 * HOUR:
            world.time.advance(4 * MINUTE)
        return None

    world.stripe.fault = sleep_over_the_line
    world.time.advance(first + 23 * HOUR - 2 * MINUTE - world.time.clock())
    sent = len(world.stripe.arrivals)
    world.push(PushOptions(concurrency=1))
    assert len(world.stripe.arrivals) == sent + 1
    assert world.push().in_doubt == 1
    assert world.stripe.counts().total() == 2


def test_a_refusal_proves_nothing_about_an_earlier_attempt(world: World) -> None:
    """Meter gone after a lost answer: not rejected, still unknown, and in doubt after 23 h."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = only_first(Fault.LOST_REQUEST)
    world.stripe.customers_deleted = {"cus_a"}
    report = world.push()
    assert (report.tally.rejected, report.pending) == (0, 1)
    assert world.states() == {"sending": 1}
    world.time.advance(24 * HOUR)
    assert world.push().in_doubt == 1


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


# What was certainly not taken, retries and keys.


def test_an_event_is_tried_five_times_in_a_run(world: World) -> None:
    """After five attempts the run leaves it to the next one, under the same identifier."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(Fault.LIMITED)
    report = world.push()
    assert len(world.stripe.arrivals) == MAX_ATTEMPTS_PER_RUN == 5
    assert (report.pending, report.tally.exhausted, world.states()) == (1, 1, {"pending": 1})
    world.stripe.fault = lambda _arrival: None
    assert world.push().tally.accepted == 1
    assert len({arrival.text for arrival in world.stripe.arrivals}) == 1


@pytest.mark.parametrize("fault", [Fault.STORED_500, Fault.LIMITED])
def test_the_key_changes_after_two_complete_answers(world: World, fault: Fault) -> None:
    """Stripe may replay a stored answer under a key, so the third attempt takes another; all are kept."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(fault)
    world.push()
    identifier = world.stripe.arrivals[0].identifier
    keys = [identifier, identifier, f"{identifier}:2", f"{identifier}:2", f"{identifier}:3"]
    assert [arrival.idempotency_key for arrival in world.stripe.arrivals] == keys
    assert [key for _, key, _ in attempts(world)] == keys
    world.stripe.fault = lambda _arrival: None
    assert world.push().tally.accepted == 1


def test_the_key_stays_while_no_answer_comes(world: World) -> None:
    """Without an answer nothing is stored under the key, and it guards best if it stays."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = lambda arrival: (Fault.LOST_REQUEST, Fault.REFUSED_CONNECTION)[arrival.number % 2]
    world.push()
    world.push()
    assert len(world.stripe.arrivals) == 10
    assert {arrival.idempotency_key for arrival in world.stripe.arrivals} == {
        world.stripe.arrivals[0].identifier
    }


@pytest.mark.parametrize(("chance", "waits"), [(0.0, [0.5] * 4), (1 - 1e-9, [1, 2, 4, 8])])
def test_waits_are_jittered_and_grow(world: World, chance: float, waits: list[float]) -> None:
    """Between attempts lie 0.5 s at least and twice as much each time at most."""
    world.chance = lambda: chance
    world.stripe.latency = 0.0
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(Fault.LIMITED)
    world.push()
    at = [arrival.at for arrival in world.stripe.arrivals]
    assert [(b - a) / SECOND for a, b in pairwise(at)] == pytest.approx(waits, abs=0.01)


def test_retry_after_is_heeded(world: World) -> None:
    """Stripe's own word on when to come back makes a wait longer."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = only_first(Fault.LIMITED)
    world.stripe.retry_after_seconds = 20.0
    world.push()
    first, second = (arrival.at for arrival in world.stripe.arrivals)
    assert 20 * SECOND <= second - first <= 31 * SECOND


@pytest.mark.parametrize("fault", [Fault.STORED_500, Fault.COUNTED_500])
def test_should_retry_false_is_heeded(world: World, fault: Fault) -> None:
    """Where Stripe says that trying again is no use, the run leaves it at that."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(fault)
    world.stripe.should_retry = False
    report = world.push()
    assert len(world.stripe.arrivals) == 1
    assert (report.pending, world.states()) == (1, {"sending": 1})


@pytest.mark.parametrize(
    ("fault", "latency"), [(Fault.LOST_REQUEST, 15.0), (Fault.REFUSED_CONNECTION, 0.001)]
)
def test_a_minute_of_silence_ends_the_run(world: World, fault: Fault, latency: float) -> None:
    """Without any answer for 60 s the run stops, soon after, with every claim settled or given back."""
    world.import_rows(many(1, 40))
    world.stripe.fault = always(fault)
    world.stripe.latency = latency
    report = world.push()
    assert report.stop is Stop.UNREACHABLE
    assert 60 < world.time.monotonic() < 95
    assert nothing_in_flight(world)
    assert (report.tally.accepted, report.pending) == (0, 40)
    world.stripe.fault, world.stripe.latency = (lambda _arrival: None), 0.01
    assert world.push().tally.accepted == 40
    assert world.stripe.counts().total() == 40


def test_an_answer_now_and_then_keeps_a_run_alive(world: World) -> None:
    """Silence is measured from the last answer, not from the start."""
    world.import_rows(many(1, 30))
    world.stripe.latency = 2.5
    assert world.push().tally.accepted == 30
    assert world.time.monotonic() > 120


# What stops a run.


@pytest.mark.parametrize("fault", [Fault.KEY_REFUSED, Fault.NO_STRIPE])
def test_a_refused_key_or_a_stranger_stops_the_run(world: World, fault: Fault) -> None:
    """After a 401, or a 200 that holds no meter event, nothing more is sent; unsent claims go back."""
    world.import_rows(many(3, 20))
    world.stripe.fault = lambda arrival: fault if arrival.number >= 7 else None
    report = world.push(PushOptions(concurrency=2))
    assert report.stop is Stop.REFUSED
    assert len(world.stripe.arrivals) in (7, 8)
    assert nothing_in_flight(world)
    assert report.tally.accepted + report.pending == 60
    assert world.states().get("sending", 0) <= (2 if fault is Fault.NO_STRIPE else 0)
    world.stripe.fault = lambda _arrival: None
    assert world.push().pending == 0
    assert set(world.stripe.counts().values()) == {1}
    assert world.stripe.counts().total() == 60


@pytest.mark.parametrize("at", [0.005, 0.015, 0.3, 0.31, 0.6])
def test_an_interrupt_leaves_everything_settled_or_pending(world: World, at: float) -> None:
    """What is in flight ends, the rest goes back, and the next run finishes the job."""
    world.import_rows(many(4, 30))

    def interrupt(sender: Sender, _work: int) -> None:
        asyncio.get_running_loop().call_later(at, sender.request_stop, Stop.INTERRUPTED)

    report = world.push(PushOptions(concurrency=3), on_start=interrupt)
    assert report.stop is Stop.INTERRUPTED
    assert world.time.monotonic() < at + 0.2
    assert nothing_in_flight(world)
    assert world.states().keys() <= {"accepted", "pending"}
    assert len(world.stripe.counted) == report.tally.accepted < 120
    assert report.tally.accepted + report.pending == 120
    assert world.push().tally.accepted == 120 - report.tally.accepted
    assert set(world.stripe.counts().values()) == {1}


def test_an_interrupt_does_not_wait_for_a_backoff(world: World) -> None:
    """A run that waits to try again stops within a second."""
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(Fault.LOST_ANSWER)
    world.stripe.retry_after_seconds = 30.0
    world.chance = lambda: 0.999

    def interrupt(sender: Sender, _work: int) -> None:
        asyncio.get_running_loop().call_later(4.0, sender.request_stop, Stop.INTERRUPTED)

    report = world.push(on_start=interrupt)
    assert (report.stop, report.pending) == (Stop.INTERRUPTED, 1)
    assert world.time.monotonic() < 5.0
    assert nothing_in_flight(world)


def test_a_run_ends_in_its_time(world: World) -> None:
    """--max-duration ends the run in good order."""
    world.import_rows(many(1, 500))
    report = world.push(PushOptions(max_duration=3 * SECOND))
    assert report.stop is Stop.MAX_DURATION
    assert 2.9 < world.time.monotonic() < 3.2
    assert 100 < report.tally.accepted < 200
    assert report.tally.accepted + report.pending == 500
    assert nothing_in_flight(world)
    assert world.push().pending == 0
    assert set(world.stripe.counts().values()) == {1}


def test_a_limit_is_kept(world: World) -> None:
    """--limit bounds what one run takes on; the runs together send everything once."""
    world.import_rows(many(2, 5))
    taken = []
    for _ in range(4):
        report = world.push(PushOptions(limit=3))
        taken.append((report.tally.accepted, report.pending))
    assert taken == [(3, 7), (3, 4), (3, 1), (1, 0)]
    assert set(world.stripe.counts().values()) == {1}


def test_the_nearest_deadline_goes_first(world: World) -> None:
    """The oldest usage is in the invoice that closes first, so a limited run takes it first."""
    world.import_rows(
        [
            Row(key="new", at=START),
            Row(key="old", customer="cus_b", at=START - 20 * DAY),
            Row(key="mid", customer="cus_c", at=START - 2 * DAY),
        ]
    )
    for _ in range(3):
        world.push(PushOptions(limit=1))
    assert [arrival.lane[1] for arrival in world.stripe.arrivals] == ["cus_b", "cus_c", "cus_a"]


def test_sealing_is_at_most_one_chunk_ahead(world: World) -> None:
    """A run that stops early has claimed one chunk more than it sent, not the whole ledger."""
    world.import_rows(many(2, 900))
    world.stripe.fault = always(Fault.KEY_REFUSED)
    report = world.push()
    assert report.tally.sealed <= 500
    assert world.unsealed() >= 1300
    assert report.pending == 1800


# Lanes.


def test_one_call_at_a_time_for_each_customer_and_meter(world: World) -> None:
    """Many lanes at once, never two calls in one, retries included."""
    world.import_rows([*many(40, 6), *many(20, 4, "seats")])
    seen: set[str] = set()

    def first_time(arrival: Arrival) -> Fault | None:
        is_new = arrival.identifier not in seen
        seen.add(arrival.identifier)
        faults = (None, None, None, Fault.LIMITED, Fault.LOST_ANSWER, None, Fault.LOST_REQUEST)
        return faults[arrival.number % 7] if is_new else None

    world.stripe.fault = first_time
    report = world.push()
    assert report.pending == 0
    assert set(world.stripe.highest.values()) == {1}
    assert len(world.stripe.highest) == 60
    assert 16 <= world.stripe.most_open <= 32
    assert set(world.stripe.counts().values()) == {1}


def test_a_claim_that_waited_too_long_is_not_sent_as_it_is(world: World) -> None:
    """After a machine slept, a claim's time is no longer true: it is claimed anew before it is sent."""
    world.import_rows(many(1, 5))
    jumps = iter([None, 10 * MINUTE, None, 2 * HOUR, None])

    def sleep(_arrival: Arrival) -> Fault | None:
        world.time.advance(next(jumps, None) or 0)
        return None

    world.stripe.fault = sleep
    assert world.push().pending == 0
    sent = world.select(
        "SELECT m.identifier, a.started_at FROM delivery_attempts AS a "
        "JOIN meter_events AS m ON m.id = a.meter_event WHERE a.outcome <> 'not_sent'"
    )
    arrived = {arrival.identifier: arrival.at for arrival in world.stripe.arrivals}
    assert len(sent) == len(arrived) == 5
    for identifier, started_at in sent:
        assert isinstance(started_at, int)
        assert 0 <= arrived[str(identifier)] - started_at <= 5 * MINUTE


SEATS = [
    Row(key=f"s{number}", feature="seats", quantity=str(number), at=START - 10 * HOUR + number * HOUR)
    for number in range(1, 6)
]


def values(world: World) -> list[int]:
    """Return the values in the order in which Stripe counted them."""
    return [int(arrival.value) for arrival in world.stripe.counted]


def test_an_ordered_meter_goes_by_event_time(world: World) -> None:
    """On a `last` meter the order of event_time holds, whatever the order of the file."""
    world.import_rows([SEATS[index] for index in (3, 0, 4, 2, 1)])
    world.push()
    assert values(world) == [1, 2, 3, 4, 5]


def test_a_windowed_meter_is_ordered_too(tmp_path: Path) -> None:
    """On a pre-aggregated meter the event received last counts, so the order is held there as well."""
    config = CONFIG.replace('aggregation = "last"', 'event_time_window = "hour"')
    world = World(tmp_path / "w", config)
    rows = [Row(key=f"w{n}", feature="seats", quantity=str(n), at=START + n * SECOND) for n in range(1, 5)]
    world.import_rows(rows[::-1])
    world.stripe.fault = only_first(Fault.LIMITED)
    world.push()
    assert values(world) == [1, 2, 3, 4]


@pytest.mark.parametrize("fault", [Fault.LOST_REQUEST, Fault.LIMITED, Fault.STORED_500])
def test_a_later_value_waits_for_the_earlier_one(world: World, fault: Fault) -> None:
    """While an earlier value has no final outcome no later one leaves; other meters go on."""
    world.import_rows([*SEATS, Row(key="c")])
    stuck = [True]
    world.stripe.fault = lambda arrival: (
        fault if stuck[0] and arrival.lane[0] == "seats" and arrival.value == 2 else None
    )
    report = world.push()
    assert {arrival.lane[0]: arrival.value for arrival in world.stripe.counted} == {"seats": 1, "calls": 1}
    assert {int(arrival.value) for arrival in world.stripe.arrivals if arrival.lane[0] == "seats"} == {1, 2}
    assert report.pending == 4
    stuck[0] = False
    assert world.push().pending == 0
    assert [arrival.value for arrival in world.stripe.counted if arrival.lane[0] == "seats"] == [
        1,
        2,
        3,
        4,
        5,
    ]


def test_a_later_value_waits_while_an_earlier_one_is_in_doubt(world: World) -> None:
    """In doubt is not final: the lane waits for the person who settles it, then goes on in its order."""
    world.import_rows([*SEATS, Row(key="other", customer="cus_b", feature="seats", quantity="9")])
    world.stripe.fault = lambda arrival: Fault.LOST_ANSWER if arrival.value == 2 else None
    world.push()
    world.time.advance(24 * HOUR)
    world.stripe.fault = lambda _arrival: None
    report = world.push()
    assert (report.in_doubt, report.pending, report.blocked) == (1, 3, {})
    assert sorted(values(world)) == [1, 2, 9]
    assert world.preview()[1].waiting == 3
    world.resolve_by_truth()
    assert world.push().pending == 0
    assert [value for value in values(world) if value != 9] == [1, 2, 3, 4, 5]


def test_a_rejection_is_final_for_the_lane(world: World) -> None:
    """After a rejected value the next one goes: a rejection is knowledge."""
    world.import_rows(SEATS)
    world.stripe.fault = lambda arrival: (
        world.stripe.customers_deleted.clear()
        if arrival.value != 2
        else world.stripe.customers_deleted.add("cus_a")
    )
    assert world.push().tally.rejected == 1
    assert values(world) == [1, 3, 4, 5]


def test_an_older_value_that_comes_late_is_superseded(world: World) -> None:
    """A value older than what Stripe has would replace it, so it is blocked and never sent."""
    world.import_rows([SEATS[2]])
    world.push()
    world.import_rows([SEATS[0], SEATS[4], Row(key="b", customer="cus_b", feature="seats", at=SEATS[0].at)])
    report = world.push()
    assert report.blocked == {BlockReason.SUPERSEDED: 1}
    assert (report.needs_a_person, report.pending) == (True, 0)
    assert values(world) == [3, 5, 1] or values(world) == [3, 1, 5]
    assert world.push().blocked == {BlockReason.SUPERSEDED: 1}


def test_an_older_value_goes_before_one_that_never_left(world: World) -> None:
    """A later value that certainly was not taken gives way to an older one imported since."""
    world.import_rows([SEATS[2]])
    world.stripe.fault = always(Fault.LIMITED)
    world.push()
    world.import_rows([SEATS[0]])
    world.stripe.fault = lambda _arrival: None
    report = world.push()
    assert (values(world), report.blocked) == ([1, 3], {})


def test_an_older_value_goes_before_one_that_a_person_calls_not_sent(world: World) -> None:
    """The same where a person has said that the later value was not sent."""
    world.import_rows([SEATS[2]])
    world.stripe.fault = always(Fault.LOST_REQUEST)
    world.push()
    world.time.advance(24 * HOUR)
    world.push()
    world.resolve_by_truth()
    world.import_rows([SEATS[0]])
    world.stripe.fault = lambda _arrival: None
    report = world.push()
    assert (values(world), report.blocked) == ([1, 3], {})


# Blocks.

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


# Preview.


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
    world.push(PushOptions(limit=14))
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
