"""Judging in bulk: totals and standing come out as if every usage event had been looked at by itself."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.rollup import UsageWindow
from meterledger.domain.way import Way
from meterledger.usecases.judging import Judge
from meterledger.usecases.planning import Planner
from meterledger.usecases.preview import Preview, preview, preview_totals
from meterledger.usecases.push import PushOptions
from meterledger.usecases.standing import stand
from meterledger.usecases.void_import import void_import
from support.customers import customer, customers_csv, take_customers
from support.properties import quick
from support.pushing import DAY, HOUR, MINUTE, START, Row, World, copy_of
from support.rolling_up import rewrite
from support.strict_stripe import Fault

CONFIG = """
[meters.calls]
features = ["calls", "retries"]
decimal_places = 2
{rollup}

[meters.seats]
features = ["seats"]
aggregation = "last"

[plans.any.features.unmetered]

[invoicing]
anchors = "{anchors}"
"""
ROLLUP = 'rollup = "hour"\nsettle = "3h"'
CUSTOMERS = ("cus_a", "cus_b", "acme", "moved", "double", "nobody")
EDGES = (
    -40 * DAY,
    -35 * DAY,
    -35 * DAY - 1,
    -31 * DAY,
    -DAY,
    -HOUR,
    -1,
    0,
    4 * MINUTE,
    5 * MINUTE,
    5 * MINUTE + 1,
)


@dataclass(frozen=True, slots=True)
class Facts:
    """One history: what was imported, what happened to it, and how it is looked at."""

    rows: list[Row]
    later: list[Row]
    faults: list[Fault | None]
    voids: bool
    waited: int
    way: Way
    anchors: str
    rollup: bool
    include_closed: bool
    as_of: bool


def _rows(name: str) -> st.SearchStrategy[list[Row]]:
    row = st.tuples(
        st.sampled_from(CUSTOMERS),
        st.sampled_from(("calls", "retries", "seats", "unmetered")),
        st.sampled_from(("1", "2.50", "0", "-3", "0.07", "900000000000")),
        st.one_of(st.sampled_from(EDGES), st.integers(-3 * HOUR, MINUTE)),
    )
    return st.lists(row, max_size=14).map(
        lambda found: [
            # A last value is whole, and never negative.
            Row(
                key=f"{name}{number}",
                customer=who,
                feature=what,
                quantity="7" if what == "seats" else how_much,
                at=START + at,
            )
            for number, (who, what, how_much, at) in enumerate(found)
        ]
    )


facts = st.builds(
    Facts,
    rows=_rows("a"),
    later=_rows("b"),
    faults=st.lists(
        st.sampled_from((None, Fault.LOST_ANSWER, Fault.LIMITED, Fault.REFUSED_CONNECTION)),
        min_size=1,
        max_size=4,
    ),
    voids=st.booleans(),
    waited=st.sampled_from((0, HOUR, 23 * HOUR, 3 * DAY)),
    way=st.sampled_from(Way),
    anchors=st.sampled_from(("calendar", "assumed")),
    rollup=st.booleans(),
    include_closed=st.booleans(),
    as_of=st.booleans(),
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make a ledger with a customers file whose customers move, and have several Stripe customers."""
    world = World(tmp_path_factory.mktemp("template"), CONFIG.format(rollup="", anchors="calendar"))
    rows = [
        customer("acme", "cus_acme"),
        customer("cus_a", "cus_a"),
        customer("cus_b", "cus_b"),
        customer("double", "cus_one", "sub_1"),
        customer("double", "cus_two", "sub_2"),
        customer("moved", "cus_before"),
    ]
    first = customers_csv(world.folder, *rows)
    moved = customer("moved", "cus_after", effective_at="2026-10-31T22:30:00Z")
    second = customers_csv(world.folder, *rows[:-1], moved, name="moved.csv")
    for file in (first, second):
        take_customers(world.path, world.settings, world.time.clock, file)
    return world


@quick
@given(facts=facts)
def test_totals_and_standing_are_those_of_single_usage_events(
    template: World, tmp_path_factory: pytest.TempPathFactory, facts: Facts
) -> None:
    """Whatever was imported, pushed, taken back and waited for: what is shown is what would be drawn."""
    world = copy_of(template, tmp_path_factory.mktemp("history") / "w")
    world.import_rows(facts.rows)
    world.stripe.fault = lambda arrival: facts.faults[arrival.number % len(facts.faults)]
    world.push(PushOptions(limit=6))
    world.import_rows(facts.later)
    world.time.advance(facts.waited)
    if facts.voids:
        world.import_rows([Row(key="voided", at=START - HOUR)])
        with world.ledger() as ledger:
            latest = int(str(world.select("SELECT MAX(id) FROM imports")[0][0]))
            void_import(ledger, latest, note="a mistake", clock=world.time.clock)
    rewrite(world, CONFIG.format(rollup=ROLLUP if facts.rollup else "", anchors=facts.anchors))
    world.way = facts.way
    now = world.time.clock()
    with world.ledger() as ledger:
        planner = Planner(
            ledger, world.settings, now, now if facts.as_of else None, include_closed=facts.include_closed
        )
        _assert_same_totals(planner)
        _assert_same_standing(planner)


def _assert_same_totals(planner: Planner) -> None:
    drawn, added_up = Preview(), Preview()
    events = list(preview(planner, drawn))
    first = preview_totals(planner, added_up, shown=3)
    assert first == events[:3]
    assert [(lane, one.events, str(one.value)) for lane, one in sorted(added_up.totals.items())] == [
        (lane, one.events, str(one.value)) for lane, one in sorted(drawn.totals.items())
    ]
    assert added_up.blocked == drawn.blocked
    assert {(usage.request_id, reason) for usage, reason in added_up.blocked_usage} == {
        (usage.request_id, reason) for usage, reason in drawn.blocked_usage
    }
    for name in ("waiting", "settling", "alone", "past_deadline", "findings"):
        assert getattr(added_up, name) == getattr(drawn, name)


def _assert_same_standing(planner: Planner) -> None:
    blocked: Counter[str] = Counter()
    times, ready = [], []
    for usage in planner.ledger.unsealed.all(planner.as_of):
        reason = planner.standing_of(usage)
        if reason is not None:
            blocked[reason] += 1
            continue
        times.append(usage.event_time)
        where = planner.window_of(usage)
        if isinstance(where, UsageWindow) and where.ready_at > planner.now:
            ready.append(where.ready_at)
    standing = stand(planner)
    assert standing.blocked == blocked
    assert (standing.unsealed, standing.oldest_event_time) == (len(times), min(times, default=None))
    settling = standing.settling
    assert (settling.usage_events, settling.next_at, settling.last_at) == (
        len(ready),
        min(ready, default=None),
        max(ready, default=None),
    )


def test_a_case_that_was_forgotten_is_asked_again(
    template: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few cases are remembered, nothing comes out otherwise."""
    world = copy_of(template, tmp_path / "w")
    world.import_rows(
        [Row(key=f"{who}{at}", customer=who, at=START + at) for at in EDGES for who in CUSTOMERS]
    )
    with world.ledger() as ledger:
        planner = Planner(ledger, world.settings, world.time.clock())
        at_first = [one.reason for one in Judge(planner)]
        monkeypatch.setattr("meterledger.usecases.judging.MOST_CASES", 1)
        assert [one.reason for one in Judge(planner)] == at_first
        assert len(set(at_first)) > 3
