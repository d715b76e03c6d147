"""Retry, dismiss and accept-as-new: die at every point, run again, compare with a life without a crash."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from meterledger.errors import UsageError
from meterledger.ledger import open_ledger
from meterledger.ledger.opening import ledger_over
from meterledger.ledger.rejects import RejectFilter
from meterledger.usecases import parsing
from meterledger.usecases.accept_as_new import NewUsage, accept_as_new
from meterledger.usecases.dismiss_rejects import dismiss_rejects
from meterledger.usecases.retry_rejects import retry_rejects
from meterledger.usecases.select_rejects import Selection
from support.crash_points import Crash, CrashPoints, MortalDatabase
from support.importing import row
from support.mending import BUILDS, Mending, mending


def begin(folder: Path) -> Mending:
    """Return a ledger with three mended rows, one bad row and a conflict, of two imports."""
    ledger = mending(folder)
    ledger.run(
        ledger.write("a.csv", row("r1", feature="builds"), row("r2", feature="builds"), row("r3", "n/a"))
    )
    ledger.run(ledger.write("b.csv", row("r4", feature="builds"), row("r5"), row("r5", "2")))
    ledger.configure(BUILDS)
    return ledger


def live(ledger: Mending, points: CrashPoints) -> None:
    """Retry, accept the conflict as new, and dismiss the rest, as one life of the program."""
    (conflict,) = ledger.query("SELECT id FROM rejects WHERE kind = 'conflict'")[0]
    with open_ledger(ledger.ledger_path) as opened:
        crashing = ledger_over(MortalDatabase(opened.database, points), ledger.ledger_path)
        every = Selection(matching=RejectFilter(kind="rejection"))
        retry_rejects(crashing, ledger.settings, every, clock=ledger.clock)
        # Run again after it was done, it says that it is: the conflict is closed.
        with suppress(UsageError):
            wanted = NewUsage(reject=conflict, request_id="r5-b")
            accept_as_new(crashing, ledger.settings, wanted, clock=ledger.clock)
        dismiss_rejects(crashing, every, note="test data", now=ledger.clock())


def end(ledger: Mending) -> list[Any]:
    """Return what has to be the same at the end, whenever it was written and by which import."""
    return [
        ledger.usage(),
        ledger.query("SELECT raw, reason, closed_as, closed_note FROM rejects ORDER BY id"),
        ledger.query(
            "SELECT r.raw, u.request_id FROM rejects AS r "
            "JOIN usage_events AS u ON u.id = r.accepted_as ORDER BY r.id"
        ),
        ledger.query("SELECT COUNT(*) FROM unsealed"),
        ledger.counts_add_up(),
        ledger.open_ids(),
    ]


@pytest.fixture(params=[2, 20_000], ids=["small chunks", "one chunk"])
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Cut what is retried into chunks of this many rows."""
    rows: int = request.param
    monkeypatch.setattr(parsing, "CHUNK_ROWS", rows)
    return rows


@pytest.mark.usefixtures("chunks")
def test_killed_anywhere_and_run_again_it_comes_to_the_same_end(tmp_path: Path) -> None:
    """Each commit is whole: before it nothing has happened, after it nothing happens twice."""
    whole = begin(tmp_path / "whole")
    points = CrashPoints()
    live(whole, points)
    expected = end(whole)

    assert [key for _, key, *_ in expected[0]] == ["r1", "r2", "r4", "r5", "r5-b"]
    assert expected[-2:] == [True, []]
    for at in range(1, len(points.passed) + 1):
        killed = begin(tmp_path / str(at))
        with pytest.raises(Crash):
            live(killed, CrashPoints(at))

        assert killed.counts_add_up()

        live(killed, CrashPoints())

        assert expected == end(killed), f"killed at {at}: {points.passed[at - 1]}"
