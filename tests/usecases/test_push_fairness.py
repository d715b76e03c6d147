"""Push sends what finalizes soonest first, and lets customers take turns; preview shows the same order."""

from pathlib import Path

import pytest

from meterledger.domain.way import Way
from meterledger.usecases.planning import Planner
from meterledger.usecases.preview import Preview, preview
from meterledger.usecases.push import PushOptions
from support.customers import COLUMNS, take_customers
from support.push_cases import SEATS, many
from support.pushing import CONFIG, DAY, HOUR, MINUTE, SECOND, START, Row, World
from support.rolling_up import config
from support.strict_stripe import Arrival, Fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty ledger and a strict Stripe."""
    return World(tmp_path / "w")


def backlog_of(customer: str, count: int, at: int) -> list[Row]:
    """Return usage of one customer, a second apart."""
    return [Row(key=f"{customer}-{n}", customer=customer, at=at + n * SECOND) for n in range(count)]


def shown(world: World, limit: int) -> list[str]:
    """Return the identifiers that a preview with a limit shows."""
    with world.ledger() as ledger:
        planner = Planner(ledger, world.settings, world.time.clock())
        events = list(preview(planner, Preview(), limit=limit))
    return [event.identifier for event in events]


def anchored(world: World, *anchors: tuple[str, str]) -> None:
    """Import a customers file with the anchors of Stripe customers."""
    lines = [",".join((*COLUMNS, "billing_cycle_anchor"))]
    lines += [f"{name},{name},,,,,{anchor}" for name, anchor in anchors]
    file = world.folder / "customers.csv"
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    take_customers(world.path, world.settings, world.time.clock, str(file))


def test_a_large_backlog_keeps_no_small_customer_waiting(world: World) -> None:
    """10,000 older events of one customer: 100 others are done early, and requests run side by side."""
    world.import_rows(
        [
            *backlog_of("cus_big", 10_000, START - 9 * HOUR),
            *(row for n in range(100) for row in backlog_of(f"cus_{n}", 10, START - HOUR)),
        ]
    )
    # As long as the small ones take at full concurrency, and half as long again.
    latency = 2 * world.stripe.latency
    report = world.push(PushOptions(max_duration=round(1.5 * 1000 / 32 * latency * SECOND)))
    small = [arrival for arrival in world.stripe.counted if arrival.lane[1] != "cus_big"]
    assert len(small) == 1000
    assert world.stripe.most_open == 32
    assert set(world.stripe.highest.values()) == {1}
    assert report.pending > 9_000


def test_a_customer_that_is_locked_keeps_nobody_waiting(world: World) -> None:
    """While one customer's events are turned away again and again, all others are sent."""
    world.import_rows([*backlog_of("cus_locked", 400, START - 9 * HOUR), *many(3, 200)])
    world.stripe.fault = lambda arrival: Fault.LOCKED if arrival.lane[1] == "cus_locked" else None
    report = world.push(PushOptions(max_duration=20 * SECOND))
    assert (report.tally.accepted, len(world.stripe.counted)) == (600, 600)
    assert report.pending == 400
    # What is sealed of it is what may be on its way, and no more.
    assert report.tally.sealed <= 600 + 2 * 8


def test_the_nearest_deadline_goes_first_whatever_its_event_time(world: World) -> None:
    """By the customer's own billing cycle, not by the age of the usage."""
    anchored(world, ("cus_month", "2026-10-31T00:00:00Z"), ("cus_soon", "2026-10-02T00:00:00Z"))
    world.import_rows(
        [
            Row(key="m", customer="cus_month", at=START - MINUTE),
            Row(key="s", customer="cus_soon", at=START),
        ]
    )
    world.push(PushOptions(limit=1))
    world.push()
    assert [arrival.lane[1] for arrival in world.stripe.arrivals] == ["cus_soon", "cus_month"]


def test_usage_past_its_deadline_waits_for_what_is_urgent_and_is_not_left_behind(world: World) -> None:
    """It goes by the 35 days: after a deadline that comes first, before one that comes later."""
    world.time.advance(20 * DAY)
    now = world.time.clock()
    anchored(world, ("cus_soon", "2026-10-23T00:00:00Z"), ("cus_far", "2026-10-17T00:00:00Z"))
    world.import_rows(
        [
            Row(key="late", customer="cus_far", at=START - 11 * DAY),
            Row(key="far", customer="cus_far", at=now),
            Row(key="soon", customer="cus_soon", at=now),
        ]
    )
    for _ in range(3):
        world.push(PushOptions(limit=1, include_closed=True))
    customers = [(arrival.lane[1], arrival.body["timestamp"]) for arrival in world.stripe.arrivals]
    assert customers == [
        ("cus_soon", now // SECOND),
        ("cus_far", (START - 11 * DAY) // SECOND),
        ("cus_far", now // SECOND),
    ]


@pytest.mark.parametrize("limit", [1, 7, 12, 30])
def test_a_limit_sends_what_the_same_limit_shows(world: World, limit: int) -> None:
    """Claims given back, unknown outcomes and new usage: the first N shown are the N sent."""
    world.import_rows([*many(3, 6), *SEATS, *backlog_of("cus_big", 20, START - 5 * HOUR)])
    faults = (Fault.LOST_ANSWER, Fault.LIMITED, None, Fault.LOST_REQUEST, Fault.REFUSED_CONNECTION)
    world.stripe.fault = lambda arrival: faults[arrival.number % 5] if arrival.number < 60 else None
    world.push(PushOptions(limit=17))
    world.stripe.fault = lambda _arrival: None
    first = shown(world, limit)
    sent = len(world.stripe.arrivals)
    world.push(PushOptions(limit=limit))
    assert sorted({arrival.identifier for arrival in world.stripe.arrivals[sent:]}) == sorted(first)


@pytest.mark.parametrize("way", [Way.V1, Way.STREAM])
def test_windows_go_by_deadline_too(tmp_path: Path, way: Way) -> None:
    """Roll-ups of the customer whose period ends first come first, and a limit sends what preview shows."""
    world = World(tmp_path / "w", config("hour", periods="") + CONFIG.partition("\n\n")[2], way=way)
    anchored(world, ("cus_month", "2026-10-31T00:00:00Z"), ("cus_soon", "2026-10-02T00:00:00Z"))
    world.import_rows(
        [
            Row(key=f"{customer}-{hour}", customer=customer, at=START - (9 - hour) * HOUR)
            for hour in range(4)
            for customer in ("cus_month", "cus_soon")
        ]
        + [Row(key="seat", customer="cus_month", feature="seats", at=START - 20 * HOUR)]
    )
    first = shown(world, 4)
    world.push(PushOptions(limit=4))
    assert sorted(arrival.identifier for arrival in world.stripe.counted) == sorted(first)
    assert {arrival.lane[1] for arrival in world.stripe.counted} == {"cus_soon"}
    assert world.push().pending == 0
    assert len(world.stripe.counted) == 9


def test_a_single_customer_is_sent_to_the_end(world: World) -> None:
    """One lane is filled up again and again: all of it goes, in its order, faults or not."""
    rows = [
        Row(key=f"s{n:03}", feature="seats", quantity=str(n + 1), at=START - HOUR + n) for n in range(150)
    ]
    world.import_rows(rows)
    seen: set[str] = set()

    def fault(arrival: Arrival) -> Fault | None:
        is_new = arrival.identifier not in seen
        seen.add(arrival.identifier)
        return Fault.LIMITED if is_new and len(seen) % 40 == 0 else None

    world.stripe.fault = fault
    assert world.push().pending == 0
    assert [int(arrival.value) for arrival in world.stripe.counted] == list(range(1, 151))
