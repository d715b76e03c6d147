"""Dismiss: refused rows that a person closes are out of every count, and stay on record."""

from pathlib import Path

import pytest

from meterledger.errors import UsageError
from support.importing import row
from support.mending import Mending, mending


@pytest.fixture
def ledger(tmp_path: Path) -> Mending:
    """Return a ledger with a rejection and a conflict: 1 and 2."""
    ledger = mending(tmp_path)
    ledger.run(ledger.write("a.csv", row("r1"), row("r2", "n/a"), row("r1", "2")))
    return ledger


def test_a_dismissed_row_is_closed_with_its_note(ledger: Mending) -> None:
    """The note stays in the ledger, and nothing of the row changes."""
    ledger.dismiss(1, note=" test data ")

    assert ledger.query("SELECT closed_as, closed_note, accepted_as FROM rejects WHERE id = 1") == [
        ("dismissed", "test data", None)
    ]
    assert ledger.open_ids() == [2]


def test_a_kept_conflict_is_closed_and_the_usage_event_stays(ledger: Mending) -> None:
    """Keeping what is stored changes no usage."""
    ledger.dismiss(2, kind="conflict")

    assert ledger.usage() == [("default", "r1", "cus_1", "1")]
    assert ledger.open_ids() == [1]


def test_the_same_row_again_stays_dismissed(ledger: Mending) -> None:
    """A file that is read again opens nothing that a person has closed, and is skipped when all is closed."""
    ledger.dismiss(1)
    ledger.dismiss(2, kind="conflict")
    path = str(ledger.folder / "a.csv")
    skipped = ledger.run(path)
    ledger.run(path, again=True)

    assert skipped.files[0].skipped
    assert ledger.open_ids() == []
    assert [seen for _, _, seen, _ in ledger.rejects()] == [2, 2]


@pytest.mark.parametrize(
    ("ids", "kind", "note", "message"),
    [
        ([9], "rejection", "x", "no refused row 9"),
        ([1, 2], "rejection", "x", "2 is a conflict"),
        ([1], "conflict", "x", "1 is a rejection"),
        ([1], "rejection", "  ", "--note is empty"),
    ],
)
def test_all_are_closed_or_none(ledger: Mending, ids: list[int], kind: str, note: str, message: str) -> None:
    """A number that is wrong among others leaves all of them open."""
    with pytest.raises(UsageError, match=message):
        ledger.dismiss(*ids, note=note, kind=kind)

    assert ledger.open_ids() == [1, 2]


def test_a_closed_row_is_not_closed_again(ledger: Mending) -> None:
    """The first note stands."""
    ledger.dismiss(1, note="first")
    with pytest.raises(UsageError, match="closed already, as dismissed"):
        ledger.dismiss(1, note="second")

    assert ledger.query("SELECT closed_note FROM rejects WHERE id = 1") == [("first",)]
