"""Import of the sample data: every row comes out as the sample data says."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from meterledger.ledger import open_ledger
from meterledger.usecases.import_usage import ImportReport
from support.importing import Importing, counts

SAMPLE = Path(__file__).parents[2] / "sample_data"
SAMPLE_FILES = {"usage-gateway.csv": "gateway", "usage-workers.jsonl": "workers"}
EXPECTED = json.loads((SAMPLE / "expected.json").read_text())


def import_sample(folder: Importing, **options: Any) -> list[ImportReport]:
    """Import both files of the sample data in their order."""
    return [folder.run(str(SAMPLE / name), source=source, **options) for name, source in SAMPLE_FILES.items()]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Importing, list[ImportReport]]:
    """Import the sample data once, for tests that only look at it."""
    folder = Importing(tmp_path_factory.mktemp("sample"), (SAMPLE / "meterledger.toml").read_text())
    return folder, import_sample(folder)


def expected_counts(name: str) -> tuple[int, ...]:
    """Return what a file of the sample data has to count."""
    return tuple(
        EXPECTED[name][key] for key in ("rows_read", "accepted", "duplicates", "conflicts", "rejected")
    )


@pytest.mark.parametrize("number", [0, 1])
def test_the_sample_counts_what_it_says(sample: tuple[Importing, list[ImportReport]], number: int) -> None:
    """Both files of the sample data are read whole, with the counts that stand beside them."""
    report = sample[1][number]
    name = list(SAMPLE_FILES)[number]

    assert expected_counts(name) == counts(report) == counts(report, 0)
    assert report.committed
    assert report.files[0].complete
    assert not report.files[0].skipped


@pytest.mark.parametrize("name", SAMPLE_FILES)
def test_every_irregularity_of_the_sample_comes_out_as_it_should(
    sample: tuple[Importing, list[ImportReport]], name: str
) -> None:
    """Each line that the sample data lists ends as it says there: accepted, refused for its reason, none."""
    folder, _ = sample
    where = "FROM %s INNER JOIN imports AS i ON i.id = import WHERE i.file LIKE ?"
    accepted = {line for (line,) in folder.query(f"SELECT line {where % 'usage_events'}", f"%{name}")}
    refused = dict(folder.query(f"SELECT line, reason {where % 'rejects'}", f"%{name}"))
    found = {
        line: refused.get(line, "accepted" if line in accepted else "no row of its own")
        for one in EXPECTED[name]["irregularities"]
        for line in one["lines"]
    }
    expected = {
        line: "no row of its own" if one["outcome"] in ("blank", "duplicate") else one["outcome"]
        for one in EXPECTED[name]["irregularities"]
        for line in one["lines"]
    }
    reasons = Counter(reason for reason in refused.values() if reason != "conflict")

    assert expected == found
    assert EXPECTED[name]["rejected_by_reason"] == dict(reasons)


def test_importing_the_sample_twice_adds_nothing(tmp_path: Path) -> None:
    """Read again, what was accepted is a duplicate, and what was refused is refused and counted again."""
    folder = Importing(tmp_path, (SAMPLE / "meterledger.toml").read_text())
    import_sample(folder)
    before = folder.usage()
    rejects = folder.query("SELECT line, reason, raw FROM rejects ORDER BY id")
    again = import_sample(folder)

    for name, report in zip(SAMPLE_FILES, again, strict=True):
        rows, accepted, duplicates, conflicts, rejected = expected_counts(name)
        assert counts(report) == (rows, 0, accepted + duplicates, conflicts, rejected)
    assert before == folder.usage()
    assert rejects == folder.query("SELECT line, reason, raw FROM rejects ORDER BY id")
    assert folder.query("SELECT DISTINCT times_seen FROM rejects") == [(2,)]


def test_the_ledger_of_an_import_is_sound(sample: tuple[Importing, list[ImportReport]]) -> None:
    """After an import the database finds nothing wrong with its file, and every count adds up."""
    folder, _ = sample
    with open_ledger(folder.ledger_path) as opened:
        assert opened.database.check_integrity() == []
    assert folder.query("SELECT SUM(accepted) FROM imports") == folder.query(
        "SELECT COUNT(*) FROM usage_events"
    )
    assert folder.query("SELECT SUM(rejected + conflicts) FROM imports") == folder.query(
        "SELECT COUNT(*) FROM rejects"
    )
