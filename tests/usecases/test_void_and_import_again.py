"""After an import was taken back its file, mended or not, is imported as if it had never been."""

from pathlib import Path

import pytest

from meterledger.ledger import open_ledger
from meterledger.usecases.verify import verify
from meterledger.usecases.void_import import void_import
from support.importing import counts, row
from support.mending import Mending


@pytest.fixture
def ledger(tmp_path: Path) -> Mending:
    """Make a ledger that holds one file, and more of the same source."""
    ledger = Mending(tmp_path)
    ledger.run(ledger.write("other.csv", row("r0")))
    ledger.run(ledger.write("a.csv", row("r1"), row("r2", "2"), row("r3", "bad")))
    return ledger


def void(ledger: Mending, number: int) -> None:
    """Take an import back."""
    with open_ledger(ledger.ledger_path) as opened:
        void_import(opened, number, note="wrong file", clock=ledger.clock)


def effective(ledger: Mending) -> list[tuple[object, ...]]:
    """Return key, quantity and generation of the usage that waits to be sent."""
    return ledger.query(
        "SELECT u.request_id, u.quantity, u.generation FROM unsealed AS q "
        "INNER JOIN usage_events AS u ON u.id = q.usage_event ORDER BY u.request_id"
    )


def is_sound(ledger: Mending) -> bool:
    """Tell whether every invariant holds."""
    with open_ledger(ledger.ledger_path) as opened:
        return all(check.ok for check in verify(opened))


def test_the_same_file_is_accepted_again(ledger: Mending) -> None:
    """It is not skipped, its usage counts once, and its bad row is refused again."""
    void(ledger, 2)
    assert effective(ledger) == [("r0", 1, 0)]
    report = ledger.run(str(ledger.folder / "a.csv"))

    assert counts(report) == (3, 2, 0, 0, 1)
    assert effective(ledger) == [("r0", 1, 0), ("r1", 1, 1), ("r2", 2, 1)]
    assert counts(ledger.run(str(ledger.folder / "a.csv"), again=True)) == (3, 0, 2, 0, 1)
    assert is_sound(ledger)


def test_a_mended_file_is_accepted_with_its_new_content(ledger: Mending) -> None:
    """Other quantities under the old keys are no conflict any more, however often that happens."""
    for generation in range(1, 4):
        void(ledger, 1 + generation)
        mended = ledger.write("mended.csv", row("r1", str(generation * 10)), row("r2", "5"))
        assert counts(ledger.run(mended)) == (2, 2, 0, 0, 0)
        assert effective(ledger)[1:] == [("r1", generation * 10, generation), ("r2", 5, generation)]
    conflicting = ledger.write("late.csv", row("r1", "7"), row("r0"))
    assert counts(ledger.run(conflicting)) == (2, 0, 1, 1, 0)
    assert is_sound(ledger)


def test_what_another_import_brought_is_not_taken_back(ledger: Mending) -> None:
    """Voiding an import whose rows were duplicates leaves the usage of the import that brought them."""
    again = ledger.run(ledger.write("copy.csv", row("r0"), row("r9")))
    void(ledger, again.files[0].id or 0)

    assert effective(ledger) == [("r0", 1, 0), ("r1", 1, 0), ("r2", 2, 0)]
    assert counts(ledger.run(ledger.write("later.csv", row("r9", "4")))) == (1, 1, 0, 0, 0)
    assert is_sound(ledger)


def test_a_conflict_with_usage_that_was_taken_back_has_its_file_read_again(ledger: Mending) -> None:
    """The key that a row was in conflict over is free: the row is usage now."""
    conflicting = ledger.write("late.csv", row("r1", "7"), row("r9"))
    assert counts(ledger.run(conflicting)) == (2, 1, 0, 1, 0)
    void(ledger, 2)

    assert counts(ledger.run(conflicting)) == (2, 1, 1, 0, 0)
    assert effective(ledger) == [("r0", 1, 0), ("r1", 7, 1), ("r9", 1, 0)]
    assert ledger.run(conflicting).files[0].skipped
    assert is_sound(ledger)


def test_a_row_that_was_dismissed_with_its_import_is_open_again(ledger: Mending) -> None:
    """The same file refuses it anew: it is listed, counted, and can be retried."""
    path = str(ledger.folder / "a.csv")
    void(ledger, 2)
    assert ledger.rejects() == [(4, "invalid_quantity", 1, False)]
    assert ledger.run(path).counts.rejected == ledger.run(path).counts.rejected == 1

    assert ledger.rejects() == [(4, "invalid_quantity", 1, False), (4, "invalid_quantity", 2, True)]
    assert ledger.retry(2).counts.rejected == 1
    for again in (3, 4, 5):
        void(ledger, again)
    assert ledger.open_ids() == []
    ledger.run(path)
    assert ledger.open_ids() == [3]
    assert is_sound(ledger)


def test_a_row_that_a_person_dismissed_stays_dismissed(ledger: Mending) -> None:
    """Taking its import back and importing the file again opens nothing that was settled before."""
    ledger.dismiss(1)
    void(ledger, 2)
    assert counts(ledger.run(str(ledger.folder / "a.csv"))) == (3, 2, 0, 0, 1)

    assert ledger.rejects() == [(4, "invalid_quantity", 2, False)]


def test_an_exported_row_of_an_import_that_was_taken_back_is_open_again(ledger: Mending) -> None:
    """It comes back as bad as it was: the refused row that it names is closed, so it is one of its own."""
    exported, _ = ledger.export()
    void(ledger, 2)
    path = ledger.write_bytes("refused.csv", exported)
    assert counts(ledger.run(path)) == counts(ledger.run(path)) == (1, 0, 0, 0, 1)

    assert ledger.open_ids() == [2]
