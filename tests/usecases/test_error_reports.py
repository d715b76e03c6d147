"""Error reports: read to the end, each once, and what they do to meter events."""

from pathlib import Path

import pytest

from meterledger.domain.delivery import State
from meterledger.domain.way import Way
from meterledger.errors import LedgerError, StripeError
from meterledger.usecases import error_reports
from meterledger.usecases.explain import explain
from meterledger.usecases.status import status
from meterledger.usecases.verify import verify
from support.crash_points import Crash, CrashPoints
from support.outbox_desk import HOLDER
from support.push_cases import always
from support.pushing import AFTER_A_CRASH, DAY, HOUR, MINUTE, SECOND, Row, World, copy_of
from support.reporting import CODE, Reporter
from support.strict_stripe import Fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make a ledger with three accepted meter events, and a Stripe that reports."""
    world = World(tmp_path / "w")
    world.import_rows([Row(key=key) for key in "abc"])
    assert world.push().tally.accepted == 3
    world.time.advance(MINUTE)
    world.reports = Reporter(world.time.clock)
    return world


def reporter(world: World) -> Reporter:
    """Return who reports."""
    assert isinstance(world.reports, Reporter)
    return world.reports


def rejections(world: World) -> list[tuple[object, ...]]:
    """Return what is rejected, and why."""
    return world.select(
        "SELECT identifier, rejection_code, rejection_message FROM meter_events WHERE state = 'rejected' "
        "ORDER BY id"
    )


def whole(world: World) -> bool:
    """Tell whether every invariant holds."""
    with world.ledger() as ledger:
        return all(check.ok for check in verify(ledger))


def test_what_a_report_names_is_rejected(world: World) -> None:
    """With the report's code and words; the rest of the ledger stays as it was."""
    first, *rest = world.identifiers("accepted")
    reporter(world).report(first)
    found = world.reconcile()
    assert found.polled.settled == {State.REJECTED: 1}
    assert (found.rejected, found.in_doubt, found.needs_a_person) == (1, 0, True)
    assert rejections(world) == [(first, CODE, f"no, {first}")]
    assert world.identifiers("accepted") == rest
    assert whole(world)


def test_every_push_reads_reports_at_its_end(world: World) -> None:
    """What Stripe rejected later is found by the next push, and counted apart from what it sent."""
    reporter(world).report(world.identifiers("accepted")[0])
    report = world.push()
    assert report.reported == {State.REJECTED: 1}
    assert (report.tally.rejected, report.rejected_in_ledger, report.needs_a_person) == (0, 1, True)


def test_a_push_that_cannot_read_reports_has_done_its_work(world: World) -> None:
    """A refused key, a server error: a warning there, and no change."""
    reporter(world).failure = StripeError("refused the key (401)")
    reporter(world).report(world.identifiers("accepted")[0])
    world.import_rows([Row(key="d")])
    report = world.push()
    assert report.tally.accepted == 1
    assert [warning for warning in report.warnings if "401" in warning]
    assert world.states() == {"accepted": 4}


def test_reconcile_with_a_refused_key_ends(world: World) -> None:
    """401 stops there; a read that is refused otherwise is a warning."""
    reporter(world).failure = StripeError("refused the key (401)")
    with pytest.raises(StripeError, match="401"):
        world.reconcile()
    reporter(world).failure, reporter(world).refusal = None, "error reports could not be read (403)"
    assert world.reconcile().polled.warnings == ["error reports could not be read (403)"]
    assert world.states() == {"accepted": 3}


def test_all_30_days_at_first_then_from_an_hour_before_the_last_event(world: World) -> None:
    """By the server's time of creation; what was seen is dropped by its id."""
    at = reporter(world).report("x").created
    assert world.reconcile().polled.new_reports == 1
    world.time.advance(5 * HOUR)
    reporter(world).report("late", created=at - 50 * MINUTE)
    reporter(world).report("new")
    assert world.reconcile().polled.new_reports == 2
    assert world.reconcile().polled.new_reports == 0
    newest = reporter(world).reports[-1].created
    asked = [since for since, _, page in reporter(world).asked if page is None]
    assert asked == [None, at - HOUR, newest - HOUR]


def test_after_a_month_without_a_poll_all_is_read_again(world: World) -> None:
    """Stripe is not asked for more than its 30 days."""
    reporter(world).report("x")
    world.reconcile()
    world.time.advance(40 * DAY)
    world.reconcile()
    assert reporter(world).asked[-1][0] is None


def test_reports_are_read_to_the_last_page(world: World) -> None:
    """Nothing is left on a further page."""
    for identifier in world.identifiers("accepted"):
        reporter(world).report(identifier)
        reporter(world).report("not ours")
    assert world.reconcile().polled.new_reports == 6
    assert world.states() == {"rejected": 3}


def test_a_poll_that_reads_its_fill_goes_on_the_next_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound on pages loses nothing: the next polls go on below, and then everything was read."""
    monkeypatch.setattr(error_reports, "MAX_PAGES", 2)
    for identifier in (*world.identifiers("accepted"), "u", "v", "w", "x", "y", "z"):
        reporter(world).report(identifier)
        world.time.advance(2 * HOUR)
    first = world.reconcile().polled
    assert first.new_reports == 4
    assert ["run" in warning and "again" in warning for warning in first.warnings] == [True]
    newest = reporter(world).reports[-1].created
    reporter(world).report("meanwhile")
    found = [world.reconcile().polled.new_reports for _ in range(3)]
    assert sum(found) == 6
    assert world.states() == {"rejected": 3}
    assert world.select("SELECT read_up_to >= ?, resume_before FROM error_report_reading", newest) == [
        (1, None)
    ]


def test_a_failure_between_pages_loses_nothing(world: World) -> None:
    """What was read is kept, and the rest is read the next time."""
    for identifier in world.identifiers("accepted"):
        reporter(world).report(identifier)
        world.time.advance(3 * HOUR)
    reporter(world).fails_after, reporter(world).failure = 1, StripeError("cannot tell for now (500)")
    with pytest.raises(StripeError):
        world.reconcile()
    assert world.states() == {"accepted": 1, "rejected": 2}
    reporter(world).failure = None
    world.reconcile()
    assert world.states() == {"rejected": 3}


def test_an_unknown_code_is_doubt_and_stays_open(world: World) -> None:
    """Nobody knows what it means; a person settles it."""
    reporter(world).report(world.identifiers("accepted")[0], code="brand_new")
    assert world.reconcile().polled.settled == {State.IN_DOUBT: 1}
    assert world.select("SELECT in_doubt_reason FROM meter_events WHERE state = 'in_doubt'") == [
        ("unknown_report",)
    ]
    assert world.resolve_by_truth() == 1
    assert world.states() == {"accepted": 3}


@pytest.mark.parametrize("way", Way)
def test_what_was_taken_and_not_counted_is_not_accepted_by_an_old_answer(tmp_path: Path, way: Way) -> None:
    """Sent again within the day, a replay or a duplicate says nothing new of it: a day later it counts."""
    world = World(tmp_path / "w", way=way)
    world.import_rows([Row(key="a")])
    world.reports = Reporter(world.time.clock)
    assert world.push().tally.accepted == 1
    world.time.advance(MINUTE)
    (identifier,) = world.identifiers("accepted")
    reporter(world).report(identifier, code="brand_new")
    world.reconcile()
    for hours, state, counted in ((1, "in_doubt", 1), (25, "accepted", 2)):
        world.time.advance(hours * HOUR)
        with world.ledger() as ledger:
            ledger.outbox.resolve(identifier, sent=False, note="not counted", now=world.time.clock())
        world.push()
        assert world.states() == {state: 1}
        assert world.stripe.counts()[identifier] == counted
    assert whole(world)


@pytest.mark.parametrize(("code", "state"), [("brand_new", "in_doubt"), (CODE, "rejected")])
def test_the_audit_knows_it_since_the_report(world: World, code: str, state: str) -> None:
    """Before the report it was accepted, as far as was known; since then it is not."""
    before = world.time.clock()
    world.time.advance(MINUTE)
    reporter(world).report(world.identifiers("accepted")[0], code=code)
    world.reconcile()
    with world.ledger() as ledger:
        seen = [
            [row["state"] for row in ledger.reports.usage_of_customer_as_known("cus_a", at)]
            for at in (before, world.time.clock())
        ]
    assert seen == [["accepted"] * 3, [state, "accepted", "accepted"]]


def test_an_unknown_outcome_that_a_report_names_is_settled(tmp_path: Path) -> None:
    """It reached Stripe, and is not counted: rejected, its attempts settled, never sent again by itself."""
    world = World(tmp_path / "w")
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(Fault.LOST_ANSWER)
    assert world.push().pending == 1
    world.reports = Reporter(world.time.clock)
    reporter(world).report(*world.identifiers("sending"))
    assert world.reconcile().polled.settled == {State.REJECTED: 1}
    assert world.select("SELECT COUNT(*) FROM delivery_attempts WHERE settled_at IS NULL") == [(0,)]
    sent = len(world.stripe.arrivals)
    world.time.advance(MINUTE)
    world.push()
    assert len(world.stripe.arrivals) == sent


def test_an_attempt_after_the_reported_window_is_doubt(tmp_path: Path) -> None:
    """The report is about an earlier attempt; the later one may have counted."""
    world = World(tmp_path / "w")
    world.import_rows([Row(key="a")])
    world.stripe.fault = always(Fault.LOST_REQUEST)
    world.push()
    window = (world.time.clock() - 10 * MINUTE, world.time.clock())
    world.time.advance(HOUR)
    world.stripe.fault = lambda _arrival: None
    assert world.push().tally.accepted == 1
    world.reports = Reporter(world.time.clock)
    reporter(world).report(*world.identifiers("accepted"), window=window)
    assert world.reconcile().polled.settled == {State.IN_DOUBT: 1}


def test_a_later_idempotency_key_names_its_meter_event(tmp_path: Path) -> None:
    """Stripe may name the key of the request; every key is on record."""
    world = World(tmp_path / "w")
    world.import_rows([Row(key="a")])
    world.stripe.fault = lambda arrival: Fault.STORED_500 if arrival.number <= 2 else None
    assert world.push().tally.accepted == 1
    [(key,)] = world.select("SELECT idempotency_key FROM delivery_attempts WHERE outcome = 'accepted'")
    assert key != world.identifiers("accepted")[0]
    world.time.advance(MINUTE)
    world.reports = Reporter(world.time.clock)
    reporter(world).report(str(key))
    assert world.reconcile().polled.settled == {State.REJECTED: 1}


def test_a_key_that_several_share_names_none_of_them(world: World) -> None:
    """What is not certain is not settled."""
    for number in (1, 2):
        with world.ledger() as ledger, ledger.database.transaction():
            ledger.database.run(
                "begin_attempt",
                meter_event=number,
                attempt=2,
                push=1,
                idempotency_key="k",
                started_at=1,
                api="v1",
            )
            ledger.database.run(
                "interrupt_attempts_in_flight",
                finished_at=2,
            )
    reporter(world).report("k")
    assert world.reconcile().polled.settled == {}


def test_samples_of_another_program_are_kept_apart(world: World) -> None:
    """The account may have other senders: what joins to nothing is not ours, and counts as known."""
    ours = world.identifiers("accepted")[0]
    reporter(world).report(ours, "theirs", count=5)
    [row] = world.reconcile().reports
    assert (row["event_name"], row["error_count"]) == ("calls", 5)
    assert (row["ours"], row["not_ours"], row["unnamed"]) == (1, 1, 3)


def test_what_is_counted_and_not_named_is_shown(world: World) -> None:
    """Status says so as long as it may matter, and explain shows a meter event its report."""
    ours = world.identifiers("accepted")[0]
    reporter(world).report(ours, count=4)
    world.reconcile()
    with world.ledger() as ledger:
        seen = status(ledger, world.settings, now=world.time.clock())
        told = explain(ledger, world.settings, ours, now=world.time.clock())
        before = status(
            ledger, world.settings, now=world.time.clock(), as_of=world.time.clock() - 30 * SECOND
        )
    [finding] = [one for one in seen.findings if one.code == "unknown_rejected"]
    assert finding.details == {"meter_events": 3, "error_reports": 1}
    assert [(one["code"], one["error_count"]) for one in told.error_reports] == [(CODE, 4)]
    assert "unknown_rejected" not in [one.code for one in before.findings]
    assert before.meter_events["accepted"] == 3


def test_what_cannot_be_read_is_told_until_it_can(world: World) -> None:
    """Whatever comes after it, each poll reads it again and says so; once it is readable, it settles."""
    first, second, _ = world.identifiers("accepted")
    odd = reporter(world).report(first)
    reporter(world).unreadable = {odd.event_id}
    for step in (MINUTE, DAY, DAY):
        world.time.advance(step)
        reporter(world).report(second)
        found = world.reconcile()
        assert any(
            "1 error reports could not be read" in one and odd.event_id in one
            for one in found.polled.warnings
        )
    assert rejections(world) == [(second, CODE, f"no, {second}")]
    reporter(world).unreadable = set()
    found = world.reconcile()
    assert (found.polled.settled, found.polled.warnings) == ({State.REJECTED: 1}, [])


def test_a_report_read_twice_changes_nothing(world: World) -> None:
    """Not even where its meter event has moved on."""
    reporter(world).report(world.identifiers("accepted")[0])
    world.reconcile()
    everything = world.select("SELECT * FROM meter_events"), world.select("SELECT * FROM error_reports")
    assert world.reconcile().polled.settled == {}
    assert (
        world.select("SELECT * FROM meter_events"),
        world.select("SELECT * FROM error_reports"),
    ) == everything


def test_one_report_may_name_a_meter_event_twice(world: World) -> None:
    """It is settled once."""
    ours = world.identifiers("accepted")[0]
    reporter(world).report(ours, ours)
    assert world.reconcile().polled.settled == {State.REJECTED: 1}


def test_a_clock_of_the_future_does_not_hide_what_comes(world: World) -> None:
    """An event created far ahead of now does not move the beginning of the next poll past now."""
    reporter(world).report("x", created=world.time.clock() + 5 * DAY)
    world.reconcile()
    [(read_up_to,)] = world.select("SELECT read_up_to FROM error_report_reading")
    assert read_up_to == world.time.clock()


def test_a_ledger_that_sent_nothing_is_not_bound(tmp_path: Path) -> None:
    """Reading binds nothing: whose reports would they be."""
    world = World(tmp_path / "w")
    world.reports = Reporter(world.time.clock)
    assert "nothing was sent" in world.reconcile().polled.warnings[0]
    assert reporter(world).asked == []
    assert world.select("SELECT * FROM binding") == []


def test_a_push_at_work_is_left_alone(world: World) -> None:
    """Reports are read under the lease."""
    with world.ledger() as ledger:
        ledger.lease.take(HOLDER, None, world.time.clock())
    with pytest.raises(LedgerError, match="another push"):
        world.reconcile()


def test_an_attempt_that_a_dead_push_left_is_settled_by_its_report(world: World) -> None:
    """What was in flight when a push died is unknown before reports are judged."""
    world.import_rows([Row(key="d")])
    clean = CrashPoints()
    asleep = copy_of(world, world.folder.parent / "copy")
    asleep.push(points=clean)
    with pytest.raises(Crash):
        world.push(points=CrashPoints(clean.passed.index("before an answer") + 1))
    assert world.select("SELECT COUNT(*) FROM delivery_attempts WHERE outcome IS NULL") == [(1,)]
    world.time.advance(AFTER_A_CRASH)
    reporter(world).report(*world.identifiers("sending"))
    assert world.reconcile().polled.settled == {State.REJECTED: 1}
