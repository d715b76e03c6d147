"""What Stripe has and this ledger does not know of stops a push before anything is sealed."""

import json
import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from meterledger.errors import StripeError
from meterledger.stripe_gateway.gateway import Read
from meterledger.usecases.push import AboutToPush, PushOptions
from meterledger.usecases.window_totals import MAX_READS
from support.crash_points import Crash, CrashPoints
from support.pushing import AFTER_A_CRASH, CONFIG, DAY, HOUR, MINUTE, SECOND, START, Row, World
from support.strict_stripe import Fault

ALLOW = PushOptions(allow_foreign_usage=True)
ROWS = [Row(key=f"r{number}", quantity="2.5", at=START - number * HOUR) for number in range(1, 6)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty ledger."""
    return World(tmp_path / "w")


def made_anew(world: World, folder: str, *, keep_head: bool = False) -> World:
    """Return a world with a new ledger and the same Stripe."""
    other = World(world.folder.parent / folder, world.config, world.time)
    other.stripe = world.stripe
    if keep_head:
        shutil.copy(f"{world.path}.head", f"{other.path}.head")
    return other


def check_stopped(world: World, sent: int) -> None:
    """Push, and see that nothing was sealed or sent, and that a person is told."""
    report = world.push()
    assert report.stopped_at_door
    assert report.needs_a_person
    assert report.foreign_usage
    assert (len(world.stripe.arrivals), world.states()) == (sent, {})
    assert world.select("SELECT COUNT(*) FROM pushes") == [(0,)]
    assert report.pending == world.unsealed()


@pytest.mark.parametrize("hours", [1, 25])
def test_a_ledger_made_anew_is_stopped(world: World, hours: int) -> None:
    """The same files in a new ledger bill nothing twice, whether Stripe knows the identifiers or not."""
    world.import_rows(ROWS)
    world.push()
    world.time.advance(hours * HOUR)
    anew = made_anew(world, "anew")
    anew.import_rows(ROWS)
    check_stopped(anew, sent=5)
    check_stopped(anew, sent=5)
    assert set(world.stripe.counts().values()) == {1}


def test_foreign_usage_is_named_window_by_window(world: World) -> None:
    """Customer, meter, window and both quantities are in the report."""
    world.import_rows([Row(key="a", quantity="0.25"), Row(key="b", customer="cus_b", quantity="7")])
    world.push()
    anew = made_anew(world, "anew")
    anew.import_rows([Row(key="c", customer="cus_b", quantity="1")])
    (one,) = anew.push().foreign_usage
    assert (one.event_name, one.stripe_customer_id) == ("calls", "cus_b")
    assert (one.start, one.end) == (START - HOUR, START)
    assert (one.ledger, one.stripe) == (Decimal(0), Decimal(7))


def test_usage_of_other_hours_and_customers_is_no_concern(world: World) -> None:
    """Only the windows of what is about to be pushed are compared."""
    world.import_rows(ROWS)
    world.push()
    anew = made_anew(world, "anew")
    anew.import_rows([Row(key="x", at=START - 9 * HOUR), Row(key="y", customer="cus_b")])
    report = anew.push()
    assert (report.tally.accepted, report.foreign_usage) == (2, [])


def test_the_baseline_lets_a_push_go_on(world: World) -> None:
    """Who says that Stripe's surplus is of another system has it recorded, with time and figures."""
    world.import_rows(ROWS)
    world.push()
    anew = made_anew(world, "anew")
    anew.import_rows([Row(key="new", quantity="1")])
    report = anew.push(ALLOW)
    assert (report.tally.accepted, report.stopped_at_door, report.needs_a_person) == (1, False, False)
    assert len(report.foreign_usage) == 1
    assert any("baseline: 1 window" in warning for warning in report.warnings)
    rows = anew.select(
        "SELECT event_name, stripe_customer_id, window_start, ledger_quantity, stripe_quantity, "
        "surplus FROM baselines"
    )
    assert rows == [("calls", "cus_a", START - HOUR, "0", "2.5", "2.5")]


def test_the_baseline_is_known_from_then_on(world: World) -> None:
    """A surplus that was taken as given does not stop a later comparison; another one does."""
    world.import_rows(ROWS)
    world.push()
    anew = made_anew(world, "anew")
    anew.import_rows([Row(key="new", quantity="1")])
    anew.stripe.fault = lambda _arrival: Fault.LIMITED
    anew.push(ALLOW)
    anew.stripe.fault = lambda _arrival: None
    assert anew.push().tally.accepted == 1
    anew.import_rows([Row(key="late", quantity="1")])
    assert anew.push().tally.accepted == 1
    anew.stripe.counted.append(replace(anew.stripe.counted[-1], body={**anew.stripe.counted[-1].body}))
    anew.import_rows([Row(key="later", quantity="1")])
    assert anew.push().stopped_at_door


def test_usage_that_is_already_billed_is_known(world: World) -> None:
    """A move from an older system: what was told to Stripe and brought as such is no surplus."""
    world.import_rows(ROWS)
    world.push()
    anew = made_anew(world, "anew")
    anew.import_rows(ROWS, already_billed=True)
    anew.import_rows([Row(key="new", quantity="1"), Row(key="new2", at=START - 2 * HOUR)])
    report = anew.push()
    assert (report.tally.accepted, report.foreign_usage) == (2, [])


def test_files_that_come_after_the_first_push_are_compared_too(world: World) -> None:
    """A ledger that is filled again file by file, with pushes between, is stopped at the first sent one."""
    world.import_rows(ROWS)
    world.push()
    world.time.advance(25 * HOUR)
    anew = made_anew(world, "anew")
    anew.import_rows([Row(key="today", at=world.time.clock() - MINUTE)])
    assert anew.push().tally.accepted == 1
    anew.import_rows(ROWS)
    report = anew.push()
    assert report.stopped_at_door
    assert set(world.stripe.counts().values()) == {1}


def test_blocked_usage_is_compared_when_it_may_go(world: World) -> None:
    """Usage that was held back at the first push is looked at when nothing holds it back any more."""
    world.import_rows(ROWS)
    world.push()
    world.time.advance(25 * HOUR)
    anew = made_anew(world, "anew")
    anew.import_rows([*ROWS, Row(key="seat", feature="seats", customer="cus_z")])
    anew.stripe.meters["calls"] = False
    assert anew.push().tally.accepted == 1
    anew.stripe.meters["calls"] = True
    assert anew.push().stopped_at_door
    assert set(world.stripe.counts().values()) == {1}


def test_a_later_push_reads_nothing_more(world: World) -> None:
    """What was compared once is not compared again, and new usage is not compared at all."""
    world.import_rows(ROWS)
    world.push(PushOptions(limit=2))
    reads = len(world.stripe.summary_reads)
    world.time.advance(HOUR)
    world.import_rows([Row(key="new", at=START + 30 * MINUTE)])
    assert world.push().tally.accepted == 4
    assert (reads, len(world.stripe.summary_reads)) == (1, 1)


def test_a_last_meter_is_stopped_by_any_value(world: World) -> None:
    """On a meter that takes the last value, one that the ledger does not know is foreign, however large."""
    world.import_rows([Row(key="s", feature="seats", quantity="3")])
    world.push()
    anew = made_anew(world, "anew")
    anew.import_rows([Row(key="t", feature="seats", quantity="9", at=START - HOUR + SECOND)])
    assert anew.push().stopped_at_door
    assert anew.push(ALLOW).tally.accepted == 1


def test_a_meter_by_the_day_is_compared_by_the_day(tmp_path: Path) -> None:
    """On a meter that is pre-aggregated by the UTC day the whole day is the window."""
    config = CONFIG + '[meters.gauge]\nfeatures = ["gauge"]\nevent_time_window = "day"\n'
    world = World(tmp_path / "w", config)
    world.import_rows([Row(key="g", feature="gauge", at=START - 20 * HOUR)])
    world.push()
    anew = made_anew(world, "anew")
    anew.import_rows([Row(key="h", feature="gauge", at=START - HOUR)])
    (one,) = anew.push().foreign_usage
    assert (one.start, one.end) == (START - DAY, START)


def test_a_count_meter_counts_events(tmp_path: Path) -> None:
    """What is known of a count meter is its events, not their values."""
    config = CONFIG + '[meters.jobs]\nfeatures = ["jobs"]\naggregation = "count"\n'
    world = World(tmp_path / "w", config)
    world.import_rows([Row(key="j", feature="jobs")])
    world.push()
    anew = made_anew(world, "anew")
    anew.import_rows([Row(key="k", feature="jobs")])
    assert anew.push().stopped_at_door
    anew.import_rows([Row(key="billed", feature="jobs", at=START - 50 * MINUTE)], already_billed=True)
    assert anew.push().tally.accepted == 1


def test_reads_that_are_refused_are_told(world: World) -> None:
    """A key that may not read summaries pushes all the same, and says what was not compared."""
    world.stripe.summary_refusal = lambda _customer: Read(
        value=None, warning="a summary could not be read (403)"
    )
    world.import_rows(ROWS)
    report = world.push()
    assert report.tally.accepted == 5
    (warning,) = report.warnings
    assert warning.endswith("for calls of cus_a: a summary could not be read (403)")
    assert world.select("SELECT cause, lanes, not_compared FROM comparisons") == [("first_push", 0, 1)]


def test_a_busy_stripe_is_asked_again(world: World) -> None:
    """A 429 or 500 for now is no refusal: it is asked again, and in the end nothing is sent."""
    busy = [True, True]

    def refusal(_customer: str) -> Read | None:
        return Read(value=None, warning="busy (429)", for_now=True) if busy and busy.pop() else None

    world.stripe.summary_refusal = refusal
    world.import_rows(ROWS[:1])
    assert world.push().tally.accepted == 1
    anew = made_anew(world, "anew")
    anew.import_rows(ROWS[1:])
    anew.stripe.summary_refusal = lambda _customer: Read(value=None, warning="busy (429)", for_now=True)
    with pytest.raises(StripeError, match="nothing was sent"):
        anew.push()
    assert anew.states() == {}


def test_the_largest_customers_are_looked_at_first(world: World) -> None:
    """Reads have a limit: who has the least to send is passed over, and said to be."""
    rows = [Row(key=f"{number}", customer=f"cus_{number:04}") for number in range(MAX_READS + 2)]
    world.import_rows([*rows, Row(key="more", customer="cus_1001"), Row(key="most", customer="cus_1000")])
    report = world.push()
    assert report.tally.accepted == MAX_READS + 4
    assert len(world.stripe.summary_reads) == MAX_READS
    assert {("calls", "cus_1000"), ("calls", "cus_1001")} <= set(world.stripe.summary_reads)
    assert "calls of cus_0998, calls of cus_0999: a push makes at most 1000 reads" in report.warnings[0]


def test_a_long_history_is_read_in_parts(world: World) -> None:
    """Usage of a month is read 100 hours at a time, and only where there is any."""
    world.import_rows([Row(key=f"{day}", at=START - day * DAY) for day in (1, 2, 10, 30)])
    assert world.push().tally.accepted == 4
    assert len(world.stripe.summary_reads) == 3


def test_a_restored_backup_is_noticed(world: World) -> None:
    """A ledger older than its last push says so, and sends nothing that Stripe has."""
    world.import_rows([Row(key="first", at=START - 20 * HOUR)])
    world.push()
    backup = world.path.read_bytes()
    world.import_rows(ROWS)
    world.push()
    world.time.advance(25 * HOUR)
    restore(world, backup)
    world.import_rows(ROWS)
    report = world.push()
    assert report.stopped_at_door
    assert "older than its last push: meterledger.db.head tells of push 2" in report.warnings[0]
    assert set(world.stripe.counts().values()) == {1}


def restore(world: World, backup: bytes) -> None:
    """Put a backup where the ledger is; the head stays."""
    for suffix in ("-wal", "-shm"):
        Path(f"{world.path}{suffix}").unlink(missing_ok=True)
    world.path.write_bytes(backup)


def test_a_push_without_work_does_not_forget_a_restored_backup(world: World) -> None:
    """Usage that comes in again after an empty push is compared all the same."""
    world.import_rows([Row(key="first", at=START - 20 * HOUR)])
    world.push()
    backup = world.path.read_bytes()
    world.import_rows(ROWS)
    world.push()
    world.time.advance(25 * HOUR)
    restore(world, backup)
    assert not world.push().stopped_at_door
    assert world.push().warnings == []
    world.import_rows(ROWS)
    assert world.push().stopped_at_door
    assert set(world.stripe.counts().values()) == {1}


def test_a_backup_taken_during_a_push_is_noticed(world: World) -> None:
    """The head tells that the push ended, and the backup does not."""
    world.import_rows(ROWS)
    backup: list[bytes] = []

    def take(*_unused: object) -> None:
        with world.ledger() as ledger:
            ledger.database.close()
        backup.append(world.path.read_bytes())

    world.push(on_start=take)
    world.time.advance(25 * HOUR)
    restore(world, backup[0])
    world.import_rows(ROWS)
    assert world.push().stopped_at_door


def test_a_head_that_is_missing_is_told_once(world: World) -> None:
    """A ledger that was copied without its head pushes, warns once, and has a head again."""
    world.import_rows(ROWS)
    world.push()
    head = Path(f"{world.path}.head")
    head.unlink()
    (warning,) = world.push().warnings
    assert "no meterledger.db.head beside the ledger" in warning
    assert world.push().warnings == []
    assert head.stat().st_mode & 0o777 == 0o600
    assert json.loads(head.read_text())["push"] == 3


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"push": "x"}', b"[]", b"x" * 5000])
def test_a_damaged_head_counts_as_one_that_is_ahead(world: World, content: bytes) -> None:
    """A head that cannot be read is told, and what is to be sent is compared."""
    world.import_rows(ROWS)
    world.push()
    Path(f"{world.path}.head").write_bytes(content)
    world.import_rows([Row(key="new")])
    reads = len(world.stripe.summary_reads)
    report = world.push()
    assert "damaged" in report.warnings[0]
    assert (report.tally.accepted, len(world.stripe.summary_reads)) == (1, reads + 1)


def test_a_push_that_dies_anywhere_is_no_restored_backup(tmp_path: Path) -> None:
    """Whatever was written when the process died, the head is never ahead of a ledger that is its latest."""
    clean = World(tmp_path / "clean")
    clean.import_rows(ROWS)
    points = CrashPoints()
    clean.push(points=points)
    for at in range(1, len(points.passed) + 1):
        world = World(tmp_path / f"{at}")
        world.import_rows(ROWS)
        with pytest.raises(Crash):
            world.push(points=CrashPoints(at))
        world.time.advance(AFTER_A_CRASH)
        report = world.push()
        assert not any("older than its last push" in warning for warning in report.warnings)
        assert (report.stopped_at_door, set(world.stripe.counts().values())) == (False, {1})
        assert world.push().warnings == []


def test_a_new_ledger_beside_an_old_head_is_told(world: World) -> None:
    """A ledger made anew in the same place meets the head of the one before."""
    world.import_rows(ROWS)
    world.push()
    anew = made_anew(world, "anew", keep_head=True)
    anew.import_rows(ROWS)
    report = anew.push()
    assert report.stopped_at_door
    assert "it knows of no push" in report.warnings[0]


def test_a_person_is_asked_and_may_say_no(world: World) -> None:
    """Before anything is sealed the question names account, host, meter events and customers."""
    world.import_rows([*ROWS, Row(key="b", customer="cus_b")])
    asked: list[AboutToPush] = []

    def refuse(about: AboutToPush) -> bool:
        asked.append(about)
        return False

    report = world.push(PushOptions(confirm=refuse))
    assert report.stopped_at_door
    assert (world.states(), len(world.stripe.arrivals), report.pending) == ({}, 0, 6)
    assert asked == [
        AboutToPush(account="acct_one", mode="test", host="http://127.0.0.1:1", meter_events=6, customers=2)
    ]
    assert world.push(PushOptions(confirm=lambda _about: True)).tally.accepted == 6
