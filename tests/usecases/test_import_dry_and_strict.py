"""Import on trial: a dry run keeps nothing, a strict import everything or nothing."""

from pathlib import Path

import pytest

from meterledger.ledger import open_ledger
from support.importing import Importing, counts, row


@pytest.fixture
def ledger(tmp_path: Path) -> Importing:
    """Return an empty ledger with a config beside it."""
    return Importing(tmp_path)


def test_a_dry_run_keeps_nothing(ledger: Importing) -> None:
    """A dry run says what would happen to every file of the command, and leaves the ledger as it was."""
    ledger.run(ledger.write("a.csv", row("r0")))
    before = ledger.dump()
    files = (ledger.write("b.csv", row("r1"), row("r0")), ledger.write("c.csv", row("r1"), row("r2", "n/a")))
    report = ledger.run(*files, dry_run=True)

    assert counts(report) == (4, 1, 2, 0, 1)
    assert counts(report, 1) == (2, 0, 1, 0, 1)
    assert not report.committed
    assert [one.id for one in report.files] == [None, None]
    assert [one.reason for one in report.rejections] == ["invalid_quantity"]
    assert before == ledger.dump()


def test_a_dry_run_leaves_nothing_in_memory(ledger: Importing) -> None:
    """What a dry run numbered is forgotten: an import after it gives each row its own customer."""
    first = ledger.write("a.csv", row("r1", customer_id="cus_a"), row("r2", customer_id="cus_b"))
    second = ledger.write("b.csv", row("r2", customer_id="cus_b"))
    with open_ledger(ledger.ledger_path) as opened:
        ledger.run_in(opened, first, dry_run=True)
        ledger.run_in(opened, second)
        ledger.run_in(opened, first)

    assert [one[1:3] for one in ledger.usage()] == [("r1", "cus_a"), ("r2", "cus_b")]


def test_strict_imports_everything_when_nothing_is_refused(ledger: Importing) -> None:
    """Without a refusal --strict imports as ever; duplicates are none."""
    report = ledger.run(
        ledger.write("a.csv", row("r1")), ledger.write("b.csv", row("r1"), row("r2")), strict=True
    )

    assert counts(report) == (3, 2, 1, 0, 0)
    assert report.committed
    assert len(ledger.usage()) == 2


@pytest.mark.parametrize(
    "bad", [row("r2", "n/a"), row("r1", "2"), row("r2", "1,1")], ids=["rejection", "conflict", "malformed"]
)
def test_strict_imports_nothing_when_any_row_of_any_file_is_refused(ledger: Importing, bad: str) -> None:
    """One refused row in one of the files, and nothing of any of them is kept."""
    before = ledger.dump()
    files = [ledger.write("a.csv", row("r1")), ledger.write("b.csv", bad), ledger.write("c.csv", row("r3"))]
    report = ledger.run(*files, strict=True)

    assert report.counts.rows_read == 3
    assert report.counts.rejected + report.counts.conflicts == 1
    assert not report.committed
    assert before == ledger.dump()


def test_strict_imports_nothing_when_a_file_cannot_be_read(ledger: Importing) -> None:
    """A file that is missing counts as a refusal of the whole command."""
    before = ledger.dump()
    report = ledger.run(ledger.write("a.csv", row("r1")), str(ledger.folder / "none.csv"), strict=True)

    assert not report.committed
    assert len(report.failed) == 1
    assert before == ledger.dump()
