"""An import is taken back as far as it is unsent, and what was sent is listed with its remedy."""

from pathlib import Path

import pytest

from meterledger.domain.correction import CANCEL_WINDOW, Remedy
from meterledger.errors import ExitCode, LedgerError, UsageError
from meterledger.ledger import open_ledger
from meterledger.ledger.lease import Holder
from meterledger.usecases.explain import explain
from meterledger.usecases.import_usage import Progress
from meterledger.usecases.push import PushOptions
from meterledger.usecases.show_import import show_import
from meterledger.usecases.verify import verify
from meterledger.usecases.void_import import VoidReport, void_import
from support.crash_points import Crash, CrashPoints
from support.importing import Importing, row
from support.pushing import AFTER_A_CRASH, HOUR, Row, World
from support.strict_stripe import Arrival, Fault

ROWS = [Row(key="a", quantity="1.5"), Row(key="b", customer="cus_b"), Row(key="c", customer="acme")]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a ledger with an import of three usage events, one of them blocked."""
    world = World(tmp_path / "w")
    world.import_rows(ROWS)
    return world


def void(world: World, number: int = 1, points: CrashPoints | None = None, **options: bool) -> VoidReport:
    """Take an import back."""
    with world.ledger(points) as ledger:
        return void_import(ledger, number, note="wrong file", clock=world.time.clock, **options)


def numbers(report: VoidReport) -> tuple[int, int, int, int]:
    """Return what was voided, dissolved and voided before, and what stays because it was sent."""
    return report.voided, report.dissolved, report.voided_before, len(report.corrections)


def states(world: World, number: int = 1) -> dict[str, int]:
    """Return what became of an import's usage."""
    with world.ledger() as ledger:
        return ledger.closures.usage_by_state(number)


def broken(world: World) -> list[str]:
    """Return the checks that fail."""
    with world.ledger() as ledger:
        return [check.name for check in verify(ledger) if not check.ok and check.name != "sent_is_bound"]


def test_nothing_of_a_voided_import_is_sent(world: World) -> None:
    """Blocked or not, all of it is closed; the next push sends what is not of it, and needs nobody."""
    world.import_rows([Row(key="d")])
    report = void(world)
    pushed = world.push()

    assert numbers(report) == (3, 0, 0, 0)
    assert states(world) == {"voided": 3}
    assert [str(arrival.body["identifier"]) for arrival in world.stripe.arrivals] == world.identifiers(
        "accepted"
    )
    assert (pushed.tally.accepted, pushed.needs_a_person) == (1, False)
    assert broken(world) == []


def test_a_dry_run_says_the_same_and_changes_nothing(world: World) -> None:
    """What would be taken back is counted the same way, with the claim that would be dissolved."""
    world.stripe.fault = lambda _arrival: Fault.REFUSED_CONNECTION
    world.push(PushOptions(limit=1))
    assert world.states() == {"pending": 1}
    before = world.select("SELECT COUNT(*), MAX(state_at) FROM meter_events")
    foreseen = void(world, dry_run=True)

    assert world.select("SELECT COUNT(*), MAX(state_at) FROM meter_events") == before
    assert world.select("SELECT COUNT(*) FROM usage_closures") == [(0,)]
    assert numbers(foreseen) == numbers(void(world)) == (3, 1, 0, 0)
    assert broken(world) == []


def test_what_was_sent_is_listed_with_what_takes_it_back(world: World) -> None:
    """Within 24 h of acceptance Stripe cancels it by its identifier; later only an invoice item helps."""
    world.push(PushOptions(limit=1))
    report = void(world)
    [sent] = report.corrections

    assert numbers(report) == (2, 0, 0, 1)
    assert (sent.request_id, sent.line, sent.value, sent.stripe_customer_id) == ("a", 1, "1.5", "cus_a")
    assert [sent.identifier] == world.identifiers("accepted")
    assert (sent.remedy, sent.cancel_until) == (Remedy.CANCEL, (sent.accepted_at or 0) + CANCEL_WINDOW)
    world.time.advance(25 * HOUR)
    again = void(world)
    assert numbers(again) == (0, 0, 2, 1)
    assert [one.remedy for one in again.corrections] == [Remedy.INVOICE_ITEM]


@pytest.mark.parametrize(
    ("fault", "remedy"), [(Fault.LOST_ANSWER, Remedy.PUSH), (Fault.LOST_REQUEST, Remedy.PUSH)]
)
def test_what_may_have_been_sent_is_not_taken_back(world: World, fault: Fault, remedy: Remedy) -> None:
    """An unknown outcome may be at Stripe: push settles it, and it is sent under no other identifier."""
    world.stripe.fault = lambda _arrival: fault
    world.push(PushOptions(limit=1))
    report = void(world)

    assert [(one.state.value, one.remedy) for one in report.corrections] == [("sending", remedy)]
    world.stripe.fault = lambda _arrival: None
    world.push()
    assert [one.remedy for one in void(world).corrections] == [Remedy.CANCEL]
    assert set(world.stripe.counts().values()) == {1}


def test_what_is_in_doubt_is_settled_first(world: World) -> None:
    """A person's word that it was not sent lets the next void take it back."""
    world.stripe.fault = lambda _arrival: Fault.LOST_REQUEST
    world.push(PushOptions(limit=1))
    world.time.advance(24 * HOUR)
    world.stripe.fault = lambda _arrival: None
    world.push(PushOptions(limit=1, max_duration=0))
    assert [one.remedy for one in void(world).corrections] == [Remedy.RESOLVE]
    world.resolve_by_truth()

    assert numbers(void(world)) == (1, 1, 2, 0)
    world.push()
    assert world.stripe.counts().total() == 0
    assert broken(world) == []


def test_a_rejected_event_needs_no_correction(world: World) -> None:
    """Stripe does not count it; it is listed, because its key is not free."""
    world.stripe.customers_deleted = {"cus_a"}
    world.push(PushOptions(limit=1))
    assert world.states() == {"rejected": 1}

    assert [one.remedy for one in void(world).corrections] == [Remedy.NOTHING]


def test_an_adopted_import_can_be_taken_back_too(tmp_path: Path) -> None:
    """Who adopted by mistake what nobody billed gets its keys free again."""
    world = World(tmp_path / "w")
    world.import_rows(ROWS, already_billed=True)
    report = void(world)

    assert (report.voided, report.already_billed) == (3, 3)
    assert states(world) == {"voided": 3}
    assert broken(world) == []


def test_explain_says_what_became_of_it(world: World) -> None:
    """State, note and since when."""
    void(world)
    with world.ledger() as ledger:
        [told] = explain(ledger, world.settings, "c", now=world.time.clock()).usage_events

    assert (told["state"], told["closed_note"], told["blocked_reason"]) == ("voided", "wrong file", None)
    assert told["closed_at"] == "2026-11-01T00:00:00Z"


def test_an_import_that_is_not_there_is_refused(world: World) -> None:
    """A number of no import changes nothing, and frees the lease."""
    with pytest.raises(UsageError, match="no import 7"):
        void(world, 7)

    assert numbers(void(world)) == (3, 0, 0, 0)


def test_a_push_and_a_void_exclude_each_other(world: World) -> None:
    """Whoever comes second ends with exit code 4 and the name of the first, and has changed nothing."""
    with world.ledger() as ledger:
        token = ledger.lease.take(
            Holder(host="elsewhere", pid=7, process_started="x"), None, world.time.clock()
        )
        with pytest.raises(LedgerError, match="process 7 on elsewhere") as caught:
            void(world)
        ledger.lease.release(token)
    assert caught.value.exit_code is ExitCode.LEDGER
    assert states(world) == {"unsealed": 3}

    refused: list[LedgerError] = []

    def void_meanwhile(_arrival: Arrival) -> None:
        with pytest.raises(LedgerError, match="at work") as error:
            void(world)
        refused.append(error.value)

    world.stripe.fault = void_meanwhile
    assert world.push().tally.accepted == 2
    assert [error.exit_code for error in refused] == [ExitCode.LEDGER] * 2
    assert states(world) == {"accepted": 2, "unsealed": 1}


def test_killed_anywhere_and_run_again_it_ends_the_same(tmp_path: Path) -> None:
    """Voiding is one transaction: dead before its commit nothing has happened, after it everything has."""
    points = CrashPoints()
    clean = World(tmp_path / "clean")
    clean.import_rows(ROWS)
    clean.push(PushOptions(limit=1))
    void(clean, points=points)
    assert len(points.passed) >= 4
    for at in range(1, len(points.passed) + 1):
        world = World(tmp_path / f"{at}")
        world.import_rows(ROWS)
        world.push(PushOptions(limit=1))
        with pytest.raises(Crash):
            void(world, points=CrashPoints(at))
        assert states(world) in ({"accepted": 1, "unsealed": 2}, {"accepted": 1, "voided": 2})
        world.time.advance(AFTER_A_CRASH)
        assert len(void(world).corrections) == 1
        assert states(world) == states(clean)
        world.push()
        assert world.stripe.counts().total() == 1
        assert broken(world) == []


def test_a_voided_file_is_read_again(tmp_path: Path) -> None:
    """Its digest skips nothing any more; nor that of a file whose rows were its duplicates."""
    ledger = Importing(tmp_path)
    path = ledger.write("a.csv", row("r1"))
    other = ledger.write("b.csv", row("r1"), row("r2"))
    ledger.run(path)
    ledger.run(other)
    _void(ledger, 1)

    assert not ledger.run(path).files[0].skipped
    assert not ledger.run(other).files[0].skipped


def test_a_cut_off_import_is_not_completed_by_a_voided_one(tmp_path: Path) -> None:
    """What completed it was taken back: it is incomplete again, and the command to complete it is shown."""
    ledger = Importing(tmp_path)
    path = ledger.write("a file.csv", row("r1"))

    def killed(_bytes_read: int, _rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger.run(path, progress=Progress(advance=killed), backfill=True)
    ledger.run(path)
    with open_ledger(ledger.ledger_path) as opened:
        assert (show_import(opened, 1).row["completed_by"], show_import(opened, 1).next_command) == (2, "")
    _void(ledger, 2)
    with open_ledger(ledger.ledger_path) as opened:
        found = show_import(opened, 1)

    assert found.row["completed_by"] is None
    assert found.next_command == f"meterledger import --backfill '{path}'"
    assert found.usage_events == {"unsealed": 1}


def test_refused_rows_go_with_their_import(tmp_path: Path) -> None:
    """Open rejections that no other import brought are dismissed, with the note; the others stay open."""
    ledger = Importing(tmp_path)
    ledger.run(ledger.write("a.csv", row("r1", "x"), row("r2", "y")))
    ledger.run(ledger.write("a.csv", row("r1", "x")))
    _void(ledger, 1)

    assert ledger.query("SELECT request_id, closed_as, closed_note FROM rejects ORDER BY id") == [
        ("r1", None, None),
        ("r2", "dismissed", "wrong file"),
    ]
    _void(ledger, 2)
    assert ledger.query("SELECT COUNT(*) FROM rejects WHERE closed_at IS NULL") == [(0,)]


def _void(ledger: Importing, number: int) -> VoidReport:
    with open_ledger(ledger.ledger_path) as opened:
        return void_import(opened, number, note="wrong file", clock=ledger.clock)
