"""The worker: it pushes what comes in, asks nothing while nothing does, and outlives what passes."""

import gc
import os
import tracemalloc
from collections import deque
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from meterledger.domain.blocking import BlockReason
from meterledger.domain.delivery import State
from meterledger.errors import InUseError, StripeError
from meterledger.ledger.lease import Holder
from meterledger.stripe_gateway.gateway import Read
from meterledger.usecases.follow_lock import only_worker
from meterledger.usecases.import_customers import CustomersOptions, import_customers
from meterledger.usecases.push import PushOptions
from meterledger.usecases.status import status
from meterledger.usecases.void_import import void_import
from meterledger.usecases.watching import HEARTBEAT_SECONDS, LOOK_AT_STRIPE_SECONDS, What
from support.push_cases import many
from support.pushing import HOUR, MINUTE, SECOND, START, Row, World
from support.reporting import Reporter
from support.strict_stripe import Fault
from support.watching import GatewayOfAccount, Life, importing, live, set_fault

ROUNDS_BETWEEN = 60
GROWTH_BYTES = 100_000
"""In so many rounds; a list of what happened in them would be larger."""

ELSEWHERE = Holder(host="elsewhere", pid=1, process_started="then")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty ledger and a strict Stripe."""
    return World(tmp_path / "w")


def test_usage_is_pushed_as_it_arrives(world: World) -> None:
    """What is imported while it lives is at Stripe within an interval, each unit once."""
    seen: list[int] = []
    life = live(
        world,
        [
            (12, importing(world, Row(key="a"), Row(key="b"))),
            (18, lambda: seen.append(len(world.stripe.counted))),
            (30, importing(world, *many(3, 4))),
        ],
    )
    assert seen == [2]
    assert world.states() == {"accepted": 14}
    assert len(world.stripe.arrivals) == 14
    assert [one.report.tally.accepted for one in life.of(What.ROUND) if one.report] == [2, 12]
    assert (life.figures.accepted, life.figures.sealed, life.figures.failed_rounds) == (14, 14, 0)
    assert [one.what for one in life.happened] == [What.STARTED, What.ROUND, What.ROUND, What.ENDED]


def test_an_idle_worker_asks_nothing_and_writes_nothing(world: World) -> None:
    """For minutes without usage there is no request, no commit, no row of a push and no line."""
    tides: list[int] = []
    with world.ledger() as other:
        life = live(
            world,
            [
                (1, lambda: tides.append(other.database.tide())),
                (1.1, lambda: tides.append(world.stripe.reads)),
                (LOOK_AT_STRIPE_SECONDS - 1, lambda: tides.append(other.database.tide())),
                (LOOK_AT_STRIPE_SECONDS - 0.5, lambda: tides.append(world.stripe.reads)),
            ],
            until=LOOK_AT_STRIPE_SECONDS,
        )
    assert tides[:2] == tides[2:]
    assert world.select("SELECT COUNT(*) FROM pushes") == [(0,)]
    assert [one.what for one in life.happened] == [What.STARTED, What.ENDED]
    beats = [at for at, _ in life.published]
    assert max(b - a for a, b in pairwise(beats)) <= HEARTBEAT_SECONDS + 5


def test_what_only_time_frees_is_sent_without_an_import(world: World) -> None:
    """Usage of a few minutes ahead is blocked, and goes once it is no longer ahead."""
    world.import_rows([Row(key="ahead", at=START + 8 * MINUTE)])
    life = live(world, [], until=2 * LOOK_AT_STRIPE_SECONDS)
    assert world.states() == {"accepted": 1}
    assert life.of(What.ROUND)[-1].report is not None


def test_a_roll_up_goes_when_its_window_has_settled(tmp_path: Path) -> None:
    """The worker wakes for a window by itself, soon after it settles."""
    config = """
[invoicing]
anchors = "calendar"
[meters.calls]
features = ["calls"]
rollup = "hour"
settle = "20m"
"""
    world = World(tmp_path / "w", config)
    world.import_rows([Row(key="a", at=START + 30 * SECOND), Row(key="b", at=START + 40 * SECOND)])
    live(world, [], until=(HOUR + 21 * MINUTE) / SECOND)
    assert world.stripe.counted[0].value == 2
    assert (HOUR + 20 * MINUTE) <= world.stripe.counted[0].at - START <= (HOUR + 20 * MINUTE) + 10 * SECOND


def test_error_reports_are_polled_while_it_lives(world: World) -> None:
    """What Stripe reports later is rejected within the interval of the polls, and counted."""
    world.reports = reporter = Reporter(world.time.clock)
    world.import_rows([Row(key="a")])
    life = live(
        world,
        [(20, lambda: reporter.report(*world.identifiers("accepted")))],
        until=LOOK_AT_STRIPE_SECONDS + 20,
    )
    assert world.states() == {"rejected": 1}
    assert (life.figures.rejected_later, life.figures.error_reports) == (1, 1)
    assert len(reporter.asked) == 2


def test_a_meter_that_is_made_later_frees_its_usage(world: World) -> None:
    """Stripe's meters are read again now and then: no_meter ends without a person at the worker."""
    world.stripe.meters["calls"] = False
    world.import_rows([Row(key="a")])
    live(world, [(30, lambda: world.stripe.meters.update(calls=True))], until=LOOK_AT_STRIPE_SECONDS + 20)
    assert world.states() == {"accepted": 1}


def test_a_customers_file_is_heeded_while_it_lives(world: World) -> None:
    """A customer that a file names from now on is billed at the next look."""
    file = world.folder / "customers.csv"
    file.write_text("customer_id,stripe_customer_id\nproduct-1,cus_one\n", encoding="utf-8")

    def customers() -> None:
        with world.ledger() as ledger:
            options = CustomersOptions(files=[str(file)])
            import_customers(ledger, world.settings, options, clock=world.time.clock)

    world.import_rows([Row(key="a", customer="product-1")])
    live(world, [(30, customers)])
    assert world.accepted_totals() == {("calls", "cus_one"): "1"}


# What passes.


@pytest.mark.parametrize(
    "fault", [Fault.REFUSED_CONNECTION, Fault.LOST_REQUEST, Fault.STORED_500, Fault.NO_STRIPE]
)
def test_an_outage_is_waited_out(world: World, fault: Fault) -> None:
    """Whatever a broken Stripe does to sends, the worker lives, and pushes when it is over."""
    world.import_rows(many(3, 2))
    set_fault(world, fault)()
    life = live(world, [(1800, set_fault(world, None))], until=3600)
    assert world.states() == {"accepted": 6}
    assert len(world.stripe.counted) == 6
    waits = [one.again_in for one in life.of(What.FAILED)]
    assert waits
    assert max(wait for wait in waits if wait) <= LOOK_AT_STRIPE_SECONDS
    assert life.figures.failed_rounds == len(waits)
    assert life.published[-2][1]


def test_an_outage_at_the_door_is_waited_out_too(world: World) -> None:
    """A Stripe that cannot be reached at the start, for hours, costs a bounded number of tries."""
    world.import_rows([Row(key="a")])
    reads = 0

    async def account_id() -> Read:
        nonlocal reads
        reads += 1
        if world.time.monotonic() < 4 * 3600:
            raise StripeError("it cannot be reached")
        return Read(value="acct_one")

    live(world, [], until=5 * 3600, gateway=GatewayOfAccount(world.stripe, account_id))
    assert world.states() == {"accepted": 1}
    assert reads < 150


def test_the_lease_of_another_process_is_waited_for(world: World) -> None:
    """A push elsewhere holds the worker up, and neither ends it nor is disturbed; it says so once."""
    held: list[int] = []

    def take() -> None:
        with world.ledger() as ledger:
            held.append(ledger.lease.take(ELSEWHERE, None, world.time.clock()))
        world.import_rows([Row(key="a")])

    def give_back() -> None:
        held.append(len(world.stripe.arrivals))
        with world.ledger() as ledger:
            ledger.lease.release(held[0])

    life = live(world, [(10, take), (40, give_back)])
    assert held[1] == 0
    assert len(life.of(What.WAITING)) == 1
    assert "elsewhere" in life.of(What.WAITING)[0].message
    assert world.states() == {"accepted": 1}


def test_an_import_can_be_taken_back_while_it_waits(world: World) -> None:
    """The idle worker holds no lease: imports void and write-off work beside it."""
    world.stripe.meters["calls"] = False

    def void() -> None:
        with world.ledger() as ledger:
            void_import(ledger, 1, note="wrong file", clock=world.time.clock)

    world.import_rows([Row(key="a")])
    live(world, [(30, void)])
    assert world.unsealed() == 0
    assert world.stripe.arrivals == []


# Who is there already.


def test_a_second_worker_is_refused(world: World) -> None:
    """One worker for each ledger; the refusal says which process it is."""
    with only_worker(world.path), pytest.raises(InUseError, match=str(os.getpid())):
        live(world, [])


def test_a_second_worker_under_another_name_of_the_ledger_is_refused(world: World, tmp_path: Path) -> None:
    """A link to the ledger is the same ledger."""
    link = tmp_path / "link.db"
    link.symlink_to(world.path)
    with only_worker(link), pytest.raises(InUseError):
        live(world, [])


def test_with_wait_a_second_worker_takes_over(world: World) -> None:
    """It waits for the first one's end, says so once, and then pushes."""
    world.import_rows([Row(key="a")])
    first = only_worker(world.path)
    first.__enter__()
    life = live(world, [(20, lambda: first.__exit__(None, None, None))], PushOptions(wait=True))
    assert [one.what for one in life.happened] == [What.WAITING, What.STARTED, What.ROUND, What.ENDED]
    assert world.stripe.counted[0].at >= START + 20 * SECOND


def test_a_worker_does_not_begin_beside_a_push_unless_it_may_wait(world: World) -> None:
    """Whoever starts it learns at once that something else is at work."""
    with world.ledger() as ledger:
        ledger.lease.take(ELSEWHERE, None, world.time.clock())
    with pytest.raises(InUseError, match="elsewhere"):
        live(world, [])
    world.import_rows([Row(key="a")])
    live(world, [], PushOptions(wait=True), until=180)
    assert world.states() == {"accepted": 1}


def test_a_single_push_waits_too(world: World) -> None:
    """With wait a push goes on when the lease is free, and gives up when its time is over."""
    world.import_rows([Row(key="a")])
    with world.ledger() as ledger:
        ledger.lease.take(ELSEWHERE, None, world.time.clock())
    told: list[str] = []
    options = PushOptions(wait=True, max_duration=30 * SECOND, on_wait=told.append)
    with pytest.raises(InUseError):
        world.push(options)
    assert len(told) == 1
    assert world.push(PushOptions(wait=True)).tally.accepted == 1


# For weeks.


def test_weeks_leave_nothing_behind_in_memory(world: World) -> None:
    """Over hundreds of rounds with usage, rejections and failures, memory stays where it was."""
    world.stripe.customers_deleted = {"cus_gone"}
    sizes: list[int] = []

    def usage(number: int) -> None:
        world.import_rows([Row(key=f"{number}"), Row(key=f"gone{number}", customer="cus_gone")])
        # What the double keeps is not the worker's.
        world.stripe.arrivals.clear()
        world.stripe.counted.clear()
        world.stripe._stored.clear()
        world.stripe.fault = lambda arrival: (
            Fault.LIMITED if number % 20 == 0 and arrival.number % 2 else None
        )
        if number % ROUNDS_BETWEEN == 0:
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])

    life = Life(happened=deque(maxlen=1), published=deque(maxlen=1))
    tracemalloc.start()
    try:
        live(
            world,
            [(10.0 + 10 * number, partial(usage, number)) for number in range(1, 4 * ROUNDS_BETWEEN + 1)],
            life=life,
            until=10_000,
        )
    finally:
        tracemalloc.stop()
    assert life.figures.rounds >= 4 * ROUNDS_BETWEEN
    # What is left behind grows each time. The interpreter's own tables, which hold what other tests left
    # there too, grow by leaps: such a leap is in one of them at most.
    assert min(later - earlier for earlier, later in pairwise(sizes[1:])) < GROWTH_BYTES


def test_the_figures_are_those_of_status(world: World) -> None:
    """What the metrics file tells of the ledger is what status tells, whatever state things are in."""
    world.import_rows(
        [
            *many(2, 3),
            Row(key="old", at=START - 40 * 24 * HOUR),
            Row(key="who", customer="nobody"),
            Row(key="gone", customer="cus_gone"),
        ]
    )
    world.stripe.customers_deleted = {"cus_gone"}
    world.stripe.fault = lambda arrival: Fault.LOST_ANSWER if arrival.lane[1] == "cus_1" else None
    life = live(world, [], until=400)
    with world.ledger() as ledger:
        found = status(ledger, world.settings, now=world.time.clock())
    figures = life.figures
    assert figures.meter_events == found.meter_events
    assert {reason: count for reason, count in figures.blocked.items() if count} == found.blocked
    assert set(found.blocked) == {BlockReason.TOO_OLD, BlockReason.UNKNOWN_CUSTOMER}
    assert (figures.unsealed, figures.pending) == (found.unsealed, found.unsent)
    assert figures.meter_events[State.REJECTED] == 1
    assert figures.pending > 0
    assert figures.oldest_pending_event_time == found.oldest_pending_event_time
