"""Roll-ups: one meter event for a window of usage, and the same totals as without."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.usecases.explain import explain
from meterledger.usecases.planning import Planner
from meterledger.usecases.push import PushOptions
from meterledger.usecases.rolling_up import Group, RollUp
from support.properties import quick
from support.push_cases import always
from support.pushing import DAY, HOUR, MINUTE, SECOND, START, Row, World
from support.rolling_up import (
    RegionRow,
    assert_sound,
    config,
    rewrite,
    rolled_up,
    totals_at,
    totals_of,
    world_of,
)
from support.strict_stripe import Fault

NOON = START - 10 * DAY + 12 * HOUR
"""In the middle of a month, and in the middle of a day."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make an empty ledger to copy."""
    return World(tmp_path_factory.mktemp("template"), config())


def rows_of_an_hour(count: int = 3, at: int = NOON, **fields: str) -> list[Row]:
    """Return rows of one customer and hour."""
    return [
        Row(key=f"r{at}-{number}", quantity=f"{number + 1}.25", at=at + number * MINUTE, **fields)
        for number in range(count)
    ]


def test_an_hour_becomes_one_meter_event(template: World, tmp_path: Path) -> None:
    """It has the sum, the latest time, and an identifier of its window."""
    world = world_of(template, tmp_path / "w", config())
    world.import_rows(rows_of_an_hour())
    bodies, _ = world.preview()
    report = world.push()
    assert (report.tally.sealed, report.tally.accepted, report.pending) == (1, 1, 0)
    [arrival] = world.stripe.counted
    assert [arrival.text] == bodies
    assert arrival.value * 100 == 675
    assert arrival.body["timestamp"] == (NOON + 2 * MINUTE) // SECOND
    assert arrival.identifier.startswith("mlr1-")
    assert rolled_up(world) == [("cus_a", NOON, 0, 0, 3, 675, 2)]
    assert_sound(world)


def test_features_of_a_meter_share_its_meter_event_and_dimensions_do_not(
    template: World, tmp_path: Path
) -> None:
    """What Stripe tells apart stays apart, and nothing else."""
    world = world_of(template, tmp_path / "w", config("day"))
    rows = [
        RegionRow(key="a", feature="calls", at=NOON),
        RegionRow(key="b", feature="retries", at=NOON + HOUR),
        RegionRow(key="c", at=NOON, region="eu"),
        RegionRow(key="d", at=NOON - HOUR, region="eu", quantity="0.5"),
        RegionRow(key="e", at=NOON, customer="cus_b", quantity="0"),
    ]
    world.import_rows(rows)
    world.push()
    assert len(world.stripe.counted) == 3
    assert totals_at(world) == totals_of(rows)


def test_usage_of_a_window_that_has_not_settled_waits(template: World, tmp_path: Path) -> None:
    """It is pending and not blocked, and everybody says from when it goes; then it goes."""
    world = world_of(template, tmp_path / "w", config("hour", "90m"))
    world.time.advance(12 * DAY)
    now = world.time.clock()
    world.import_rows(rows_of_an_hour(at=now - HOUR) + rows_of_an_hour(at=now - 5 * HOUR))
    bodies, seen = world.preview()
    report = world.push()
    assert (len(bodies), report.tally.accepted, report.pending) == (1, 1, 3)
    for settling in (seen.settling, report.settling):
        assert (settling.usage_events, settling.next_at) == (3, now + 90 * MINUTE)
    assert not report.needs_a_person
    world.time.advance(90 * MINUTE)
    assert world.push().pending == 0
    assert len(world.stripe.counted) == 2


def test_a_deadline_forces_what_has_not_settled(template: World, tmp_path: Path) -> None:
    """From safety margin and retry time before the invoice is final on, nothing waits."""
    world = world_of(template, tmp_path / "w", config("day", "12h"))
    world.import_rows(rows_of_an_hour(at=START - HOUR))
    world.time.advance(39 * MINUTE)
    assert world.push().settling.next_at == START + 40 * MINUTE
    world.time.advance(START + 40 * MINUTE - world.time.clock())
    assert world.push().pending == 0
    world.import_rows([Row(key="late", at=START - 2 * HOUR)])
    assert world.push().pending == 0
    assert [row[2] for row in rolled_up(world)] == [0, 1]


def test_what_comes_later_is_a_further_revision(template: World, tmp_path: Path) -> None:
    """A window that was sealed is never opened again; a rebuilt ledger derives the same identifiers."""
    world = world_of(template, tmp_path / "w", config())
    rows = rows_of_an_hour()
    world.import_rows(rows[:1])
    world.push()
    world.import_rows(rows[1:2])
    world.push()
    world.import_rows(rows[2:])
    world.push()
    assert [row[2:5] for row in rolled_up(world)] == [(0, 0, 1), (1, 0, 1), (2, 0, 1)]
    assert totals_at(world) == totals_of(rows)
    again = world_of(template, tmp_path / "again", config())
    again.import_rows(reversed(rows))
    again.push()
    assert again.identifiers("accepted") == world.identifiers("accepted")[:1]


def test_a_sum_of_too_many_digits_is_split(template: World, tmp_path: Path) -> None:
    """Each part is a value that Stripe takes, and together they are the sum."""
    world = world_of(template, tmp_path / "w", config())
    rows = [
        Row(key=f"big-{number}", quantity=quantity, at=NOON + number * SECOND)
        for number, quantity in enumerate(("9999999999999.99", "9999999999999.99", "0.01", "5"))
    ]
    world.import_rows(rows)
    assert world.push(PushOptions(limit=1)).tally.accepted == 0
    bodies, _ = world.preview()
    world.push()
    assert [arrival.text for arrival in world.stripe.counted] == bodies
    assert [row[3] for row in rolled_up(world)] == [0, 1]
    assert totals_at(world) == totals_of(rows)
    assert_sound(world)


def test_blocked_usage_stays_out_of_its_window(template: World, tmp_path: Path) -> None:
    """The horizon runs through a window: what is older is blocked, and the rest of the window goes."""
    world = world_of(template, tmp_path / "w", config("day", periods='[invoicing]\nanchors = "calendar"\n'))
    world.time.advance(DAY + 12 * HOUR)
    now = world.time.clock()
    rows = [Row(key="old", at=now - 35 * DAY - SECOND), Row(key="new", at=now - 35 * DAY + SECOND)]
    world.import_rows([*rows, Row(key="ahead", at=now + 6 * MINUTE)])
    options = PushOptions(include_closed=True)
    report = world.push(options)
    assert dict(report.blocked) == {"too_old": 1, "in_future": 1}
    assert rolled_up(world)[0][4] == 1
    assert world.push().blocked.keys() == {"too_old", "in_future"}


def test_closed_periods_are_blocked_in_a_window_too(template: World, tmp_path: Path) -> None:
    """What Stripe would take and never bill is not rolled up."""
    world = world_of(template, tmp_path / "w", config())
    world.import_rows(rows_of_an_hour())
    world.time.advance(4 * DAY)
    bodies, seen = world.preview()
    assert (bodies, dict(seen.blocked)) == ([], {"closed_period": 3})
    assert len(seen.blocked_usage) == 3
    assert world.push().tally.sealed == 0


def test_without_known_periods_usage_goes_one_to_one(template: World, tmp_path: Path) -> None:
    """Nobody knows where to split: preview says so, and nothing is rolled up."""
    world = world_of(template, tmp_path / "w", config(periods=""))
    world.import_rows(rows_of_an_hour())
    bodies, seen = world.preview()
    assert [finding.code for finding in seen.findings if finding.severity == "info"] == [
        "period_assumed",
        "periods_unknown",
    ]
    world.push()
    assert sorted(arrival.text for arrival in world.stripe.counted) == sorted(bodies)
    assert len(bodies) == 3
    assert rolled_up(world) == []


@pytest.mark.parametrize("after", ["none", "day"])
def test_another_config_seals_anew_what_never_reached_stripe(
    template: World, tmp_path: Path, after: str
) -> None:
    """What certainly never arrived is dissolved; preview shows what push then seals."""
    world = world_of(template, tmp_path / "w", config("hour"))
    rows = rows_of_an_hour() + rows_of_an_hour(at=NOON + 3 * HOUR)
    world.import_rows(rows)
    world.stripe.fault = always(Fault.REFUSED_CONNECTION)
    assert world.push().tally.accepted == 0
    assert world.states() == {"pending": 2}
    world.stripe.fault = lambda _arrival: None
    unchanged, _ = world.preview()
    assert len(unchanged) == 2
    rewrite(world, config(after))
    bodies, _ = world.preview()
    world.push()
    assert [arrival.text for arrival in world.stripe.counted] == bodies
    assert len(bodies) == {"none": 6, "day": 1}[after]
    assert totals_at(world) == totals_of(rows)
    assert_sound(world)


def test_one_to_one_that_never_reached_stripe_is_rolled_up_when_the_config_says_so(
    template: World, tmp_path: Path
) -> None:
    """Also the other way round."""
    world = world_of(template, tmp_path / "w", config("none"))
    world.import_rows(rows_of_an_hour())
    world.stripe.fault = always(Fault.REFUSED_CONNECTION)
    world.push()
    world.stripe.fault = lambda _arrival: None
    rewrite(world, config("hour"))
    bodies, _ = world.preview()
    world.push()
    assert [arrival.text for arrival in world.stripe.counted] == bodies
    assert len(bodies) == 1


def test_what_may_have_reached_stripe_stays_as_it_is(template: World, tmp_path: Path) -> None:
    """An unknown outcome is sent again as it was, whatever the config says now; additions go beside it."""
    world = world_of(template, tmp_path / "w", config("hour"))
    rows = rows_of_an_hour()
    world.import_rows(rows[:2])
    world.stripe.fault = always(Fault.LOST_ANSWER)
    world.push()
    world.stripe.fault = lambda _arrival: None
    world.import_rows(rows[2:])
    rewrite(world, config("day"))
    bodies, _ = world.preview()
    assert len(bodies) == 2
    world.push()
    assert set(world.stripe.counts().values()) == {1}
    assert totals_at(world) == totals_of(rows)
    assert_sound(world)


def test_an_answered_identifier_is_not_given_another_body(template: World, tmp_path: Path) -> None:
    """Stripe keeps answers under an Idempotency-Key: what was answered and dissolved leaves its revision."""
    world = world_of(template, tmp_path / "w", config("hour"))
    rows = rows_of_an_hour()
    world.import_rows(rows)
    world.stripe.fault = always(Fault.LIMITED)
    world.push()
    world.stripe.fault = lambda _arrival: None
    rewrite(
        world, config("hour").replace('dimensions = ["region"]', 'dimensions = ["region"]\nvalue_key = "v"')
    )
    bodies, _ = world.preview()
    [identifier] = [json.loads(body)["identifier"] for body in bodies]
    attempted = world.select("SELECT DISTINCT idempotency_key FROM delivery_attempts")
    assert (identifier,) not in attempted


def test_explain_shows_the_window_and_keeps_to_its_limit(template: World, tmp_path: Path) -> None:
    """A meter event of much usage is told with its window, and not with all of its usage."""
    world = world_of(template, tmp_path / "w", config())
    world.import_rows(rows_of_an_hour(30))
    world.push()
    [identifier] = world.identifiers("accepted")
    with world.ledger() as ledger:
        found = explain(ledger, world.settings, identifier, now=world.time.clock(), limit=5)
    assert len(found.usage_events) == 5
    [event] = found.meter_events
    assert (event["usage_events"], event["window_start"], event["window_end"]) == (
        30,
        "2026-10-22T12:00:00Z",
        "2026-10-22T13:00:00Z",
    )


def test_windows_that_do_not_fit_are_read_later(template: World, tmp_path: Path) -> None:
    """However little is gathered at once, all that is unsealed comes once, in the same meter events."""
    world = world_of(template, tmp_path / "w", config("hour"))
    world.import_rows(
        [
            Row(key=f"r{number}", customer=f"cus_{number % 7}", at=NOON + number * 11 % 30 * HOUR // 2)
            for number in range(150)
        ]
        + [Row(key="s", feature="unknown", at=NOON)]
    )
    with world.ledger() as ledger:
        planner = Planner(ledger, world.settings, world.time.clock())

        def drawn(most_buckets: int) -> tuple[list[str], int]:
            rollup = RollUp(planner, most_buckets=most_buckets)
            groups = [one for one in rollup.items() if isinstance(one, Group)]
            sealed = [part.sealed.identifier for one in groups for part in rollup.seal(one)]
            return sorted(sealed), sum(len(one.usage.usage_events) for one in groups)

        everything, usage_events = drawn(100_000)
        assert usage_events == 150
        for most_buckets in (1, 4, 10, 50):
            assert drawn(most_buckets) == (everything, usage_events)


@st.composite
def histories(draw: st.DrawFn) -> list[list[RegionRow]]:
    """Draw up to three imports of rows around a month's end."""
    numbers = iter(range(1000))
    row = st.builds(
        lambda customer, feature, region, quantity, minutes: RegionRow(
            key=f"r{next(numbers)}",
            customer=customer,
            feature=feature,
            region=region,
            quantity=quantity,
            at=START - 30 * HOUR + minutes * MINUTE,
        ),
        customer=st.sampled_from(["cus_a", "cus_b"]),
        feature=st.sampled_from(["calls", "retries"]),
        region=st.sampled_from(["", "eu", "us"]),
        quantity=st.one_of(
            st.integers(0, 10**13 - 1).map(str),
            st.integers(0, 10**15 - 1).map(lambda units: f"{units // 100}.{units % 100:02}"),
        ),
        minutes=st.integers(0, 60 * 60),
    )
    return draw(st.lists(st.lists(row, max_size=25), min_size=1, max_size=3))


@quick
@given(histories(), st.sampled_from(["none", "hour", "day"]), st.sampled_from(["0s", "2h"]))
def test_totals_are_those_of_the_rows(
    template: World,
    tmp_path_factory: pytest.TempPathFactory,
    files: list[list[RegionRow]],
    rollup: str,
    settle: str,
) -> None:
    """With late additions, customers, dimensions, scales and month ends: to the last digit."""
    world = world_of(template, tmp_path_factory.mktemp("p") / "w", config(rollup, settle))
    for rows in files:
        world.import_rows(rows)
        world.time.advance(7 * HOUR)
        bodies, _ = world.preview()
        before = len(world.stripe.counted)
        world.push()
        assert sorted(one.text for one in world.stripe.counted[before:]) == sorted(bodies)
    world.time.advance(2 * DAY)
    assert world.push(PushOptions(include_closed=True)).pending == 0
    everything = [row for rows in files for row in rows]
    assert totals_at(world) == totals_of(everything)
    assert_sound(world)
