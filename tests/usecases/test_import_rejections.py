"""Import and refused rows: each is kept once, listed, and closed when its key is accepted."""

from pathlib import Path

import pytest

from support.importing import CONFIG, Importing, counts, row


@pytest.fixture
def ledger(tmp_path: Path) -> Importing:
    """Return an empty ledger with a config beside it."""
    return Importing(tmp_path)


def test_a_config_that_learns_a_feature_mends_its_rejections(ledger: Importing) -> None:
    """After the config was mended the same file brings in what was refused, and the rejections close."""
    path = ledger.write("a.csv", row("r1"), row("r2", feature="builds"))
    first = ledger.run(path)
    ledger.configure(CONFIG + "[meters.builds]\nfeatures = ['builds']\n")
    second = ledger.run(path)

    assert counts(first) == (2, 1, 0, 0, 1)
    assert counts(second) == (2, 1, 1, 0, 0)
    assert ledger.rejects() == [(3, "unknown_feature", 1, False)]


@pytest.mark.parametrize("second", ["a.csv", "copy.csv"])
def test_identical_rejections_are_counted_not_stored_twice(ledger: Importing, second: str) -> None:
    """The same refused row of the same file, or of a copy of it, is one rejection seen twice."""
    rows = (row("r1"), row("r2", "n/a"))
    ledger.run(ledger.write("a.csv", *rows))
    ledger.run(ledger.write(second, *rows))

    assert ledger.rejects() == [(3, "invalid_quantity", 2, True)]


def test_a_file_that_grew_counts_its_old_rejections_again(ledger: Importing) -> None:
    """A log that is imported as it grows keeps one rejection for each refused row."""
    ledger.run(ledger.write("a.csv", row("r1", "n/a")))
    report = ledger.run(ledger.write("a.csv", row("r1", "n/a"), row("r2", "n/a"), row("r3")))

    assert counts(report) == (3, 1, 0, 0, 2)
    assert ledger.rejects() == [(2, "invalid_quantity", 2, True), (3, "invalid_quantity", 1, True)]


def test_the_same_text_on_another_line_is_another_rejection(ledger: Importing) -> None:
    """Two refused rows of one file are two, even where they read the same."""
    bad = row("", "1")
    report = ledger.run(ledger.write("a.csv", bad, bad))

    assert counts(report) == (2, 0, 0, 0, 2)
    assert ledger.rejects() == [(2, "missing_field", 1, True), (3, "missing_field", 1, True)]


def test_a_repeated_conflict_is_counted(ledger: Importing) -> None:
    """The same conflict of the same file is one, however often the file is read."""
    path = ledger.write("a.csv", row("r1"), row("r1", "2"))
    ledger.run(path)
    ledger.run(path, again=True)

    assert ledger.rejects() == [(3, "conflict", 2, True)]


def test_a_rejection_closes_when_its_key_is_accepted_later(ledger: Importing) -> None:
    """A mended row closes the rejection of its key, by another file or further down the same one."""
    ledger.run(ledger.write("a.csv", row("r1", "n/a"), row("r2", "n/a"), row("r2"), row("r3", "n/a")))
    ledger.run(ledger.write("b.csv", row("r1")))
    closed = ledger.query("SELECT request_id, closed_as FROM rejects ORDER BY id")

    assert closed == [("r1", "accepted"), ("r2", "accepted"), ("r3", None)]


@pytest.mark.parametrize(
    ("rejected", "accepted", "source"),
    [
        (row("r1", "n/a"), row("r2"), "default"),
        (row("r1", "n/a"), row("r1"), "other"),
        (row("", "1"), row("r1"), "default"),
        (row("r" * 256), row("r" * 255), "default"),
    ],
    ids=["another key", "another source", "no key", "a key too long"],
)
def test_a_rejection_stays_open_while_its_own_key_is_not_accepted(
    ledger: Importing, rejected: str, accepted: str, source: str
) -> None:
    """Only the very usage key of a rejection closes it: nothing that was refused is forgotten."""
    ledger.run(ledger.write("a.csv", rejected))
    report = ledger.run(ledger.write("b.csv", accepted), source=source)
    ledger.run(ledger.write("c.csv", row("r9")))

    assert report.counts.accepted == 1
    assert [is_open for *_, is_open in ledger.rejects()] == [True]


def test_a_conflict_is_not_closed_by_its_own_key(ledger: Importing) -> None:
    """The key of a conflict is accepted by its nature, and only a person settles the conflict."""
    ledger.run(ledger.write("a.csv", row("r1"), row("r1", "2")))
    ledger.run(ledger.write("b.csv", row("r1"), row("r9")))

    assert ledger.rejects() == [(3, "conflict", 1, True)]


def test_of_many_rejections_the_first_hundred_are_listed(ledger: Importing) -> None:
    """A report lists the first hundred rejections in file order; the ledger keeps all of them."""
    rows = [row(f"r{n}", "n/a") for n in range(150)]
    report = ledger.run(ledger.write("a.csv", row("good"), *rows))

    assert counts(report) == (151, 1, 0, 0, 150)
    assert [one.line for one in report.rejections] == list(range(3, 103))
    assert len(ledger.rejects()) == 150
