"""Import of a file for the second time: skipped where reading it could bring nothing new."""

from pathlib import Path

import pytest

from support.importing import CONFIG, Importing, counts, row


@pytest.fixture
def ledger(tmp_path: Path) -> Importing:
    """Return an empty ledger with a config beside it."""
    return Importing(tmp_path)


def test_a_file_imported_whole_is_not_read_again(ledger: Importing) -> None:
    """The same content is skipped, under any name, with the counts that reading it would give."""
    rows = (row("r1"), row("r2"), row("r1"))
    first = ledger.run(ledger.write("a.csv", *rows))
    copy = ledger.write("copy.csv", *rows)
    skipped = ledger.run(copy)
    read = ledger.run(copy, again=True)

    assert counts(first) == (3, 2, 1, 0, 0)
    assert counts(skipped) == counts(skipped, 0) == counts(read) == (3, 0, 3, 0, 0)
    assert (skipped.files[0].skipped, skipped.files[0].complete, skipped.files[0].id) == (True, True, 1)
    assert (read.files[0].skipped, read.files[0].id) == (False, 2)
    assert ledger.query("SELECT COUNT(*) FROM imports") == [(2,)]


def test_a_skipped_file_counts_its_conflicts(ledger: Importing) -> None:
    """A file with conflicts is not read again, and its counts are still those of a full read."""
    path = ledger.write("a.csv", row("r1"), row("r1", "2"), row("r2"))
    ledger.run(path)
    skipped = ledger.run(path)

    assert skipped.files[0].skipped
    assert counts(skipped) == counts(ledger.run(path, again=True)) == (3, 0, 2, 1, 0)


def test_another_source_or_config_reads_the_file(ledger: Importing) -> None:
    """A file is only skipped under the source and the config that it was imported with."""
    path = ledger.write("a.csv", row("r1"))
    ledger.run(path, source="gateway")

    assert not ledger.run(path, source="other").files[0].skipped
    assert ledger.run(path, source="gateway").files[0].skipped

    ledger.configure(CONFIG + "[meters.more]\nfeatures = ['more']\n")

    assert not ledger.run(path, source="gateway").files[0].skipped
    assert ledger.run(path, source="gateway").files[0].skipped


def test_open_rejections_have_the_file_read_again(ledger: Importing) -> None:
    """A file with open rejections is read each time, and once more after all of them are closed."""
    path = ledger.write("a.csv", row("r1"), row("r2", "n/a"))
    ledger.run(path)

    assert not ledger.run(path).files[0].skipped

    ledger.run(ledger.write("mended.csv", row("r2")))
    assert not ledger.run(path).files[0].skipped
    skipped = ledger.run(path)

    assert skipped.files[0].skipped
    assert counts(skipped) == counts(ledger.run(path, again=True)) == (2, 0, 1, 0, 1)


def test_open_rejections_counted_under_an_earlier_file_have_this_one_read_again(ledger: Importing) -> None:
    """A file that grew still has the rejections it had before, and is read again while they are open."""
    ledger.run(ledger.write("a.csv", row("r1"), row("r2", "n/a")))
    grown = ledger.write("a.csv", row("r1"), row("r2", "n/a"), row("r3"))
    ledger.run(grown)
    again = ledger.run(grown)

    assert not again.files[0].skipped
    assert counts(again) == (3, 0, 2, 0, 1)
