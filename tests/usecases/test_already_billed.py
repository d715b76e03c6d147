"""Usage that an older system told Stripe of: it counts, and is never sent."""

from pathlib import Path

import pytest

from meterledger.domain.instant import parse_instant
from meterledger.ledger import open_ledger
from meterledger.usecases.audit import AuditOptions, audit
from meterledger.usecases.explain import explain
from meterledger.usecases.import_usage import Progress
from meterledger.usecases.status import status
from meterledger.usecases.verify import verify
from meterledger.usecases.void_import import void_import
from support.audits import landings
from support.importing import CONFIG, SECOND, START, Importing, counts, row
from support.pushing import DAY, Row, World


@pytest.fixture
def ledger(tmp_path: Path) -> Importing:
    """Return an empty ledger with a config beside it."""
    return Importing(tmp_path)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a ledger with two usage events that were billed before, one of which would be blocked twice."""
    world = World(tmp_path / "w")
    world.import_rows(
        [Row(key="o1"), Row(key="o2", customer="acme", at=START - 100 * DAY)], already_billed=True
    )
    return world


def test_nothing_of_it_is_sent(world: World) -> None:
    """Push and preview leave it out, blocked or not, and what waits beside it goes."""
    assert world.preview()[0] == []
    report = world.push()

    assert (report.tally.accepted, report.pending, report.blocked) == (0, 0, {})
    assert world.stripe.arrivals == []


def test_it_lands_in_the_audit_and_says_nothing_of_delays(world: World) -> None:
    """Section 6: already billed is landed, whenever it came in; before it came in, nothing is known of it."""
    with world.ledger() as opened:
        found = audit(opened, world.settings, AuditOptions(periods=12), now=world.time.clock())
        before = audit(
            opened, world.settings, AuditOptions(as_of=True, periods=12), now=world.time.clock() - SECOND
        )

    assert (landings(found), found.verdict) == ({"landed": 2}, "ok")
    assert dict(found.left_out) == {"already_billed": 2}
    assert found.delays == []
    assert found.rehearsed_lateness == 0
    assert landings(before) == {}


def test_it_has_a_state_of_its_own(world: World) -> None:
    """Status counts it, explain names it, and verify finds nothing wrong with it."""
    with world.ledger() as opened:
        now = world.time.clock()
        counted = status(opened, world.settings, now=now)
        told = explain(opened, world.settings, "o2", now=now).usage_events[0]
        broken = [check.name for check in verify(opened) if not check.ok]

    assert (counted.usage_events, counted.unsealed, counted.blocked) == (2, 0, {})
    assert counted.closed == {"already_billed": 2, "written_off": 0, "voided": 0}
    assert (told["state"], told["blocked_reason"], told["identifier"]) == ("already_billed", None, None)
    assert told["closed_at"] == told["recorded_at"]
    assert broken == []


def test_a_file_that_waits_to_be_sent_is_refused(ledger: Importing) -> None:
    """Skipping it would look as if it were adopted: the contradiction is said, and other files go on."""
    path = ledger.write("a.csv", row("r1"))
    other = ledger.write("b.csv", row("r2"))
    ledger.run(path)
    report = ledger.run(path, other, already_billed=True)

    assert [file.file for file in report.files] == [other]
    [error] = report.failed
    assert error.exit_code == 2
    assert "import 1" in error.message
    assert "imports void 1" in error.hint
    assert ledger.query("SELECT request_id, state FROM usage_events_readable ORDER BY 1") == [
        ("r1", "unsealed"),
        ("r2", "already_billed"),
    ]


@pytest.mark.parametrize("how", ["again", "another config", "cut off", "known as duplicates"])
def test_no_way_of_reading_it_again_adopts_what_waits_to_be_sent(ledger: Importing, how: str) -> None:
    """The content decides, not whether its file would be skipped: nothing would be adopted."""
    path = ledger.write("a.csv", row("r1"), row("r2", "bad"))
    ledger.run(path)
    if how == "another config":
        ledger.configure(CONFIG + "[meters.more]\nfeatures = ['more']\n")
    if how == "cut off":
        ledger.execute("UPDATE imports SET finished_at = NULL")
    if how == "known as duplicates":
        ledger.run(path, again=True)
    report = ledger.run(path, already_billed=True, again=how != "another config")

    assert [error.exit_code for error in report.failed] == [2]
    assert "imports void 1" in report.failed[0].hint
    assert report.files == []
    with open_ledger(ledger.ledger_path) as opened:
        void_import(opened, 1, note="billed before", clock=ledger.clock)
    assert counts(ledger.run(path, already_billed=True)) == (2, 1, 0, 0, 1)
    assert ledger.query("SELECT COUNT(*) FROM unsealed") == [(0,)]


def test_a_plain_import_of_what_was_adopted_stands_in_nobodys_way(ledger: Importing) -> None:
    """It brought no usage of its own: the file can be adopted again, and is skipped."""
    path = ledger.write("a.csv", row("r1"))
    ledger.run(path, already_billed=True)
    ledger.run(path, again=True)
    again = ledger.run(path, already_billed=True)

    assert again.failed == []
    assert counts(again) == (1, 0, 1, 0, 0)
    assert again.warnings == []
    assert ledger.run(path, already_billed=True).files[0].skipped


def test_a_file_of_nothing_but_duplicates_is_not_skipped_as_adopted(ledger: Importing) -> None:
    """All its rows wait to be sent by another file: skipping it would look as if it were adopted."""
    ledger.run(ledger.write("all.csv", row("r1"), row("r2")))
    path = ledger.write("a.csv", row("r1"))
    ledger.run(path)
    report = ledger.run(path, already_billed=True)

    assert (report.files[0].skipped, counts(report)) == (False, (1, 0, 1, 0, 0))
    assert "1 of its rows" in report.warnings[0]


def test_rows_that_wait_to_be_sent_are_named(ledger: Importing) -> None:
    """Rows that are in the ledger stay what they are: who calls them billed hears that they will be sent."""
    ledger.run(ledger.write("a.csv", row("r1")))
    warned: list[str] = []
    report = ledger.run(
        ledger.write("b.csv", row("r1"), row("r2")),
        already_billed=True,
        progress=Progress(warn=warned.append),
    )

    assert counts(report) == (2, 1, 1, 0, 0)
    assert warned == report.warnings
    assert "1 of its rows" in warned[0]


def test_adopting_again_is_no_contradiction(ledger: Importing) -> None:
    """An adopted file is skipped with or without the option, and never becomes usage to be sent."""
    path = ledger.write("a.csv", row("r1"))
    ledger.run(path, already_billed=True)
    said: list[str] = []
    again = ledger.run(path, already_billed=True)
    plain = ledger.run(path, progress=Progress(notice=said.append))
    read = ledger.run(path, again=True)

    assert again.files[0].skipped
    assert plain.files[0].skipped
    assert "as already billed" in said[0]
    assert counts(read) == (1, 0, 1, 0, 0)
    assert again.warnings == read.warnings == []
    assert ledger.query("SELECT COUNT(*) FROM unsealed") == [(0,)]


def test_the_clock_of_the_question_decides(ledger: Importing) -> None:
    """As of an instant before the import, nothing is closed and nothing is there."""
    ledger.run(ledger.write("a.csv", row("r1")), already_billed=True)
    with open_ledger(ledger.ledger_path) as opened:
        before = status(opened, ledger.settings, now=START, as_of=START)
        after = status(
            opened, ledger.settings, now=parse_instant("2027-01-01T00:00:00Z"), as_of=ledger.clock()
        )

    assert (before.usage_events, sum(before.closed.values())) == (0, 0)
    assert (after.usage_events, after.closed["already_billed"], after.blocked) == (1, 1, {})
