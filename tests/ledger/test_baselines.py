"""Comparisons and baselines are kept for good; the head is written whole, or not at all."""

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from meterledger.domain.foreign_usage import ForeignUsage
from meterledger.errors import LedgerError
from meterledger.ledger.baselines import Compared
from meterledger.ledger.head import Head, HeadFile
from meterledger.usecases.holder import this_process
from support.pushing import HOUR, START, World

FOREIGN = ForeignUsage(
    event_name="calls",
    stripe_customer_id="cus_a",
    start=START,
    end=START + HOUR,
    ledger=Decimal("0.5"),
    stripe=Decimal("3.0"),
)

INVERTED = (
    "INSERT INTO baselines SELECT NULL, comparison, event_name, stripe_customer_id, window_end, "
    "window_start, '0', '1', '1', 0 FROM baselines"
)


def test_what_was_recorded_never_changes(tmp_path: Path) -> None:
    """Neither UPDATE nor DELETE nor REPLACE gets through, whoever tries; an inverted window neither."""
    world = World(tmp_path / "w")
    with world.ledger() as ledger:
        token = ledger.lease.take(this_process(), None, START)
        compared = Compared(cause="first_push", unknown_before=START, compared_up_to=7)
        ledger.baselines.record(compared, [FOREIGN], token, START)
        assert ledger.baselines.latest() == compared
        (known,) = ledger.baselines.known(("calls", "cus_a"), (START, START + HOUR), HOUR)
        assert (known.start, known.quantity) == (START, Decimal("2.5"))
    connection = sqlite3.connect(world.path)
    for statement in (
        "UPDATE comparisons SET compared_up_to = 0",
        "DELETE FROM comparisons",
        "INSERT OR REPLACE INTO comparisons SELECT * FROM comparisons",
        "UPDATE baselines SET surplus = '0'",
        "DELETE FROM baselines",
        "INSERT OR REPLACE INTO baselines SELECT * FROM baselines",
        INVERTED,
    ):
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)
    connection.close()


def test_a_comparison_needs_the_lease(tmp_path: Path) -> None:
    """Who lost the lease records nothing."""
    with World(tmp_path / "w").ledger() as ledger:
        token = ledger.lease.take(this_process(), None, START)
        with pytest.raises(LedgerError):
            ledger.baselines.record(
                Compared(cause="restored", unknown_before=START, compared_up_to=0), [], token + 1, START
            )
        assert ledger.baselines.latest() is None


def test_a_head_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Through a link to the ledger too; nothing unfinished stays."""
    ledger = tmp_path / "real.db"
    ledger.touch()
    link = tmp_path / "link.db"
    link.symlink_to(ledger)
    assert HeadFile(link).read() is None
    head = Head(push=3, started_at=START, finished_at=None)
    HeadFile(link).write(head)
    assert HeadFile(ledger).read() == head
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.db", "real.db", "real.db.head"]


def test_a_head_that_cannot_be_written_is_an_error_of_the_ledger(tmp_path: Path) -> None:
    """Exit code 4 with a hint; what stood there stays."""
    file = HeadFile(tmp_path / "a.db")
    file.path.mkdir()
    with pytest.raises(LedgerError, match="head"):
        file.write(Head(push=1, started_at=START))
    assert [one.name for one in tmp_path.iterdir()] == ["a.db.head"]
