"""`push --retry-rejected`: rejected usage under the next revision, by a person's word and not otherwise."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from meterledger.domain.meter_event import derive_identifier
from meterledger.usecases.planning import Planner
from meterledger.usecases.preview import Preview, preview
from meterledger.usecases.push import PushOptions
from meterledger.usecases.verify import verify
from meterledger.usecases.void_import import void_import
from support.pushing import DAY, HOUR, MINUTE, Row, World
from support.reporting import CODE, Reporter

RETRY = PushOptions(retry_rejected=True)
BOTH = (Row(key="a"), Row(key="b", customer="cus_b"))


def identifier(key: str, revision: int = 0) -> str:
    """Return the identifier of a usage event."""
    return derive_identifier("default", key, revision)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make a ledger with one meter event that a report named, and one that Stripe refused at once."""
    world = World(tmp_path / "w")
    world.stripe.customers_deleted = {"cus_b"}
    world.import_rows(BOTH)
    world.push()
    world.time.advance(MINUTE)
    reporter = Reporter(world.time.clock)
    reporter.report(identifier("a"))
    world.reports = reporter
    world.reconcile()
    assert world.states() == {"rejected": 2}
    world.stripe.customers_deleted = set()
    # What a report names is not counted.
    world.stripe.counted.clear()
    return world


def live(world: World) -> list[tuple[object, ...]]:
    """Return what carries usage now."""
    return world.select(
        "SELECT m.identifier, m.revision, m.state FROM meter_events m JOIN meter_event_usage l "
        "ON l.meter_event = m.id AND l.unlinked_at IS NULL ORDER BY l.usage_event"
    )


def whole(world: World) -> list[str]:
    """Return the invariants that do not hold."""
    with world.ledger() as ledger:
        return [check.detail for check in verify(ledger) if not check.ok]


def test_nothing_rejected_is_sealed_again_by_itself(world: World) -> None:
    """A plain push leaves it alone, however often."""
    sent = len(world.stripe.arrivals)
    for _ in range(3):
        report = world.push()
        assert (report.retried, report.tally.sealed, report.rejected_in_ledger) == (0, 0, 2)
        world.time.advance(DAY)
    assert len(world.stripe.arrivals) == sent


def test_a_retry_seals_under_the_next_revision(world: World) -> None:
    """Another identifier from the same content; the history stays, and nothing is open any more."""
    report = world.push(RETRY)
    assert (report.retried, report.tally.sealed, report.tally.accepted) == (2, 2, 2)
    assert (report.rejected_in_ledger, report.needs_a_person) == (0, False)
    assert live(world) == [(identifier(key, 1), 1, "accepted") for key in "ab"]
    assert world.stripe.counts() == {identifier("a", 1): 1, identifier("b", 1): 1}
    assert world.select("SELECT COUNT(*) FROM meter_event_usage") == [(4,)]
    assert whole(world) == []


def test_a_retry_is_done_once(world: World) -> None:
    """A second one finds nothing to do."""
    world.push(RETRY)
    assert world.push(RETRY).retried == 0
    assert world.stripe.counts().total() == 2


def test_only_the_codes_that_are_named(world: World) -> None:
    """Each cause is mended for itself; an unknown code retries nothing."""
    assert world.push(PushOptions(retry_rejected=True, retry_codes=("other",))).retried == 0
    assert world.push(PushOptions(retry_rejected=True, retry_codes=(CODE, CODE, "other"))).retried == 1
    assert live(world) == [(identifier("a", 1), 1, "accepted"), (identifier("b"), 0, "rejected")]


def test_the_dry_run_shows_the_bodies_that_are_sent(world: World) -> None:
    """Under the identifiers that the retry takes; nothing is changed by looking."""
    with world.ledger() as ledger:
        planner = Planner(ledger, world.settings, world.time.clock())
        shown = [event.body() for event in preview(planner, Preview(), retry_codes=())]
        assert list(preview(planner, Preview())) == []
    world.push(RETRY)
    assert [arrival.body for arrival in world.stripe.counted] == shown


def test_what_is_rejected_again_takes_one_revision_more(world: World) -> None:
    """Revisions count on, for each usage event by itself."""
    world.stripe.customers_deleted = {"cus_b"}
    world.push(RETRY)
    assert live(world)[1] == (identifier("b", 1), 1, "rejected")
    world.stripe.customers_deleted = set()
    world.push(RETRY)
    assert live(world) == [(identifier("a", 1), 1, "accepted"), (identifier("b", 2), 2, "accepted")]
    assert whole(world) == []


def test_blocks_are_checked_again(world: World) -> None:
    """What has grown too old meanwhile is blocked, and can be written off; it is not sent."""
    world.time.advance(40 * DAY)
    report = world.push(RETRY)
    assert (report.tally.sealed, sum(report.blocked.values()), report.rejected_in_ledger) == (0, 2, 0)
    assert whole(world) == []


def test_a_claim_that_is_taken_back_keeps_its_revision(world: World) -> None:
    """Dissolved at revision 1, it is sealed at revision 1 again: that identifier never left."""
    world.push(PushOptions(retry_rejected=True, max_duration=0))
    world.stripe.meters = {"calls": False, "seats": True}
    assert sum(world.push().blocked.values()) == 2
    world.stripe.meters["calls"] = True
    assert world.push().tally.accepted == 2
    assert live(world) == [(identifier(key, 1), 1, "accepted") for key in "ab"]
    assert whole(world) == []


def test_usage_of_an_import_that_was_taken_back_stays_away(world: World) -> None:
    """A person took it back: no retry brings it back."""
    with world.ledger() as ledger:
        void_import(ledger, 1, note="wrong file", clock=world.time.clock)
    report = world.push(RETRY)
    assert (report.retried, report.tally.sealed) == (0, 0)
    assert [warning for warning in report.warnings if "taken back" in warning]
    with world.ledger() as ledger:
        assert ledger.error_reports.usage_of_rejected(()) == []


def test_a_key_that_is_freed_after_a_retry_gets_a_further_revision(world: World) -> None:
    """Retried, blocked, taken back, imported anew: identifiers that Stripe has seen are never used again."""
    world.stripe.meters = {"calls": False, "seats": True}
    assert world.push(RETRY).retried == 2
    with world.ledger() as ledger:
        void_import(ledger, 1, note="again", clock=world.time.clock)
    world.time.advance(HOUR)
    world.stripe.meters["calls"] = True
    world.import_rows(BOTH)
    assert world.push().tally.accepted == 2
    assert live(world) == [(identifier(key, 1), 1, "accepted") for key in "ab"]
    assert whole(world) == []


def test_a_report_after_the_retry_leaves_the_old_identifier_alone(world: World) -> None:
    """It was sealed again since; only the new identifier's own report counts."""
    world.push(RETRY)
    world.time.advance(MINUTE)
    assert isinstance(world.reports, Reporter)
    world.reports.report(identifier("a"))
    assert world.reconcile().polled.settled == {}
    world.reports.report(identifier("a", 1))
    assert sum(world.reconcile().polled.settled.values()) == 1
    assert live(world)[0] == (identifier("a", 1), 1, "rejected")


def test_the_past_is_shown_as_it_was(world: World) -> None:
    """Before, between and after: what was rejected, what waited, and under which revision."""
    before = world.time.clock()
    world.time.advance(MINUTE)
    world.stripe.meters = {"calls": False, "seats": True}
    world.push(RETRY)
    between = world.time.clock()
    world.time.advance(MINUTE)
    with world.ledger() as ledger:
        unsealed = [list(ledger.unsealed.all(at)) for at in (before, between)]
        states = [
            {row["state"]: row["count"] for row in ledger.reports.meter_events_as_of(at)}
            for at in (before, between)
        ]
    assert unsealed[0] == []
    assert [usage.revision for usage in unsealed[1]] == [1, 1]
    assert states == [{"rejected": 2}, {}]


RETRY_B = "UPDATE meter_events SET retried_at = 4611686018427387904 WHERE id = 2"
ATTEMPT = (
    "INSERT INTO delivery_attempts (meter_event, attempt, push, idempotency_key, started_at, finished_at, "
    "outcome) VALUES (2, 7, 1, 'k', 1, "
)
UNLINK = "UPDATE meter_event_usage SET unlinked_at = 4611686018427387904 WHERE unlinked_at IS NULL"


def refusal(world: World, *statements: str) -> str:
    """Return why the database refuses the last of these statements."""
    connection = sqlite3.connect(world.path)
    try:
        for sql in statements[:-1]:
            connection.execute(sql)
        with pytest.raises(sqlite3.IntegrityError) as caught:
            connection.execute(statements[-1])
    finally:
        connection.close()
    return str(caught.value)


@pytest.mark.parametrize(
    "spoil",
    [
        ATTEMPT + "NULL, NULL)",
        ATTEMPT + "1, 'unknown')",
        ATTEMPT + "1, 'accepted')",
        RETRY_B.replace("4611686018427387904", "1"),
    ],
    ids=["in flight", "unknown", "taken and in no report", "retried before"],
)
def test_the_database_refuses_a_retry_that_is_not_safe(world: World, spoil: str) -> None:
    """Whoever tries."""
    assert "certainly rejected" in refusal(world, spoil, RETRY_B)


def test_the_database_seals_nothing_again_that_was_taken_back(world: World) -> None:
    """Whoever lets go of it: it does not come back to the outbox, and verify finds that nothing closed it."""
    with closing(sqlite3.connect(world.path)) as connection:
        connection.execute("UPDATE imports SET voided_at = 4611686018427387904, void_note = 'x'")
        connection.execute(RETRY_B)
        connection.execute(f"{UNLINK} AND meter_event = 2")
        connection.commit()
    assert world.unsealed() == 0
    assert whole(world) != []


def test_the_database_lets_go_of_nothing_else(world: World) -> None:
    """Neither what is accepted nor what is rejected and was not retried lets go of its usage."""
    assert "lets go" in refusal(world, UNLINK)
    world.push(RETRY)
    assert "lets go" in refusal(world, UNLINK)
