"""After an import was taken back its file, mended or not, is imported as if it had never been."""

from pathlib import Path

import pytest

from meterledger.ledger import open_ledger
from meterledger.usecases.verify import verify
from meterledger.usecases.void_import import void_import
from support.importing import counts, row
from support.mending import BUILDS, Mending


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


def test_a_row_whose_mended_form_was_taken_back_is_open_again(ledger: Mending) -> None:
    """At once, and its file is read again; what mends it closes it again."""
    path = str(ledger.folder / "a.csv")
    mended = ledger.write("mended.csv", row("r3", "3"))
    ledger.run(mended)
    assert ledger.open_ids() == []
    void(ledger, 3)
    assert ledger.open_ids() == [2]
    assert counts(ledger.run(path)) == (3, 0, 2, 0, 1)
    assert ledger.rejects() == [(4, "invalid_quantity", 1, False), (4, "invalid_quantity", 2, True)]

    assert counts(ledger.run(mended)) == (1, 1, 0, 0, 0)
    assert ledger.open_ids() == []
    assert counts(ledger.run(path)) == (3, 0, 2, 0, 1)
    assert ledger.run(path).files[0].skipped
    assert ledger.open_ids() == []
    assert is_sound(ledger)


def test_a_row_whose_retry_was_taken_back_is_open_again(tmp_path: Path) -> None:
    """It can be retried again, and its file gives it too."""
    ledger = Mending(tmp_path)
    path = ledger.write("a.csv", row("b1", feature="builds"))
    ledger.run(path)
    ledger.configure(BUILDS)
    ledger.retry()
    void(ledger, 2)
    assert ledger.open_ids() == [2]
    assert ledger.retry().counts.accepted == 1
    assert effective(ledger) == [("b1", 1, 1)]
    void(ledger, 3)
    assert ledger.open_ids() == [3]

    assert counts(ledger.run(path)) == (1, 1, 0, 0, 0)
    assert effective(ledger) == [("b1", 1, 2)]
    assert ledger.open_ids() == []
    assert is_sound(ledger)


def test_attempts_to_mend_a_row_are_one_row_when_all_is_taken_back(ledger: Mending) -> None:
    """Its first form is open again, and closes with the same mended file as before."""
    exported, _ = ledger.export()
    ledger.run(ledger.write_bytes("half.csv", exported.replace(b"bad", b"worse")))
    again, _ = ledger.export()
    whole = ledger.write_bytes("whole.csv", again.replace(b"worse", b"3").replace(b"bad", b"3"))
    ledger.run(whole)
    assert ledger.open_ids() == []
    void(ledger, 4)
    assert ledger.open_ids() == [3]

    ledger.run(whole)
    assert ledger.open_ids() == []
    assert is_sound(ledger)


def test_a_row_is_open_again_though_the_import_that_brought_it_is_gone(ledger: Mending) -> None:
    """Its file, imported again after both it and its mended form were taken back, refuses it anew."""
    ledger.run(ledger.write("mended.csv", row("r3", "3")))
    void(ledger, 2)
    void(ledger, 3)
    assert ledger.open_ids() == []
    assert counts(ledger.run(str(ledger.folder / "a.csv"))) == (3, 2, 0, 0, 1)

    assert ledger.open_ids() == [2]
    assert is_sound(ledger)


def test_a_conflict_whose_row_was_taken_as_new_is_open_again_when_that_is_taken_back(ledger: Mending) -> None:
    """What it became is gone, and the conflict with what is stored is not: a person decides again."""
    ledger.run(ledger.write("late.csv", row("r1", "7")))
    ledger.accept(2, "r1-second")
    void(ledger, 4)

    assert ledger.query("SELECT kind, import FROM rejects WHERE closed_at IS NULL ORDER BY id") == [
        ("rejection", 2),
        ("conflict", 3),
    ]
    assert ledger.query("SELECT COUNT(*) FROM reject_sightings WHERE reject = 3") == [(1,)]
    assert is_sound(ledger)
