"""Import: every row is accounted for, nothing counts twice, and a killed import is completed by the next."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger import __version__
from meterledger.ledger import open_ledger
from meterledger.usecases import parsing
from meterledger.usecases.import_usage import ImportReport, Progress
from support.importing import CONFIG, HEADER, START, Importing, Ticking, counts, row, total
from support.properties import quick

SAMPLE = Path(__file__).parents[2] / "sample_data"
SAMPLE_FILES = {"usage-gateway.csv": "gateway", "usage-workers.jsonl": "workers"}
EXPECTED = json.loads((SAMPLE / "expected.json").read_text())


@pytest.fixture
def ledger(tmp_path: Path) -> Importing:
    """Return an empty ledger with a config beside it."""
    return Importing(tmp_path)


class Killed(BaseException):
    """Stands for a signal that ends the process."""


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


def test_what_is_kept_of_an_import(ledger: Importing) -> None:
    """An import keeps its source, file, digest, size, format, config, version and times."""
    path = ledger.write("usage.csv", row("r1"), row("r2", received_at="2026-10-31T12:00:05Z"))
    report = ledger.run(path, source="gateway", backfill=True)
    source = ledger.settings.sources["gateway"]
    (kept,) = ledger.query(
        "SELECT s.name, file, sha256, size_bytes, input_format, config_digest, program_version, "
        "backfill, first_of_source, started_at, finished_at "
        "FROM imports INNER JOIN sources AS s ON s.id = imports.source"
    )
    rows = ledger.query(
        "SELECT request_id, line, import, recorded_at > ?, received_at IS NULL FROM usage_events ORDER BY id",
        START,
    )

    assert kept[:6] == (
        "gateway",
        path,
        report.files[0].sha256,
        Path(path).stat().st_size,
        "csv",
        ledger.settings.import_digest(source),
    )
    assert kept[6:9] == (__version__, 1, 1)
    assert START < kept[9] < kept[10]
    assert rows == [("r1", 2, 1, 1, 1), ("r2", 3, 1, 1, 0)]
    assert report.files[0].id == 1


def test_every_usage_event_waits_to_be_sealed(ledger: Importing) -> None:
    """What is accepted stands in the outbox once, whatever import it came with."""
    ledger.run(ledger.write("a.csv", row("r1"), row("r2")))
    ledger.run(ledger.write("b.csv", row("r2"), row("r3")))

    assert ledger.query("SELECT usage_event FROM unsealed ORDER BY 1") == [(1,), (2,), (3,)]


@pytest.mark.parametrize(
    "other",
    [
        row("r1", "2"),
        row("r1", customer_id="cus_2"),
        row("r1", subscription_id="sub_2"),
        row("r1", feature="api_reads"),
        row("r1", event_time="2026-10-31T12:00:00.000001Z"),
    ],
)
def test_the_same_key_with_other_content_is_a_conflict(ledger: Importing, other: str) -> None:
    """One usage key is one usage event: other content is kept apart with what differs, never put over it."""
    ledger.run(ledger.write("a.csv", row("r1")))
    before = ledger.usage()
    report = ledger.run(ledger.write("b.csv", row("r0"), other))
    ((differences, raw, kind, line),) = ledger.query("SELECT differences, raw, kind, line FROM rejects")
    (refused,) = report.conflicts

    assert counts(report) == (2, 1, 0, 1, 0)
    assert [one for one in ledger.usage() if one[1] == "r1"] == before
    assert (raw, kind, line) == (other, "conflict", 3)
    assert len(json.loads(differences)) == 1
    assert (refused.line, refused.reason) == (3, "conflict")
    assert report.rejections == []


@pytest.mark.parametrize(
    "same",
    [
        row("r1"),
        row(" r1 ", " 1.000 "),
        row("r1", "01"),
        row("r1", event_time="2026-10-31T14:00:00+02:00"),
        row("r1", event_time="1793448000"),
        row("r1", event_time="1793448000000"),
        row("r1", received_at="2026-11-01T00:00:00Z"),
        row("r1", region="eu"),
    ],
)
def test_the_same_content_written_otherwise_is_a_duplicate(ledger: Importing, same: str) -> None:
    """Quantity is compared by value and time by instant; receipt and other columns are no content."""
    ledger.run(ledger.write("a.csv", row("r1")))
    report = ledger.run(ledger.write("b.csv", same))

    assert counts(report) == (1, 0, 1, 0, 0)


def test_the_same_key_of_another_source_is_another_key(ledger: Importing) -> None:
    """A usage key is the source and the request_id: two sources may use the same ids."""
    path = ledger.write("a.csv", row("r1"))
    ledger.run(path, source="gateway")
    report = ledger.run(path, source="other")

    assert counts(report) == (1, 1, 0, 0, 0)
    assert [one[:2] for one in ledger.usage()] == [("gateway", "r1"), ("other", "r1")]


def test_a_composed_key_keeps_features_apart(ledger: Importing) -> None:
    """A source that composes its key has one usage event for each feature of an id."""
    path = ledger.write("a.csv", row("r1"), row("r1", feature="api_reads"), row("r1", "1.0"))
    report = ledger.run(path, source="logs")

    assert counts(report) == (3, 2, 1, 0, 0)
    assert [one[1] for one in ledger.usage()] == ["r1:api_calls", "r1:api_reads"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("decimal_places = 3", "decimal_places = 5", (1, 0, 1, 0, 0)),
        ('dimensions = ["region"]', 'dimensions = ["region", "tier"]', (1, 0, 1, 0, 0)),
        ('dimensions = ["region"]', "dimensions = []", (1, 0, 0, 1, 0)),
    ],
)
def test_content_is_compared_across_a_change_of_config(
    ledger: Importing, before: str, after: str, expected: tuple[int, ...]
) -> None:
    """Finer decimal places and a dimension named since are no difference; a lost dimension is one."""
    egress = row("r1", "1.5", feature="egress_gb", region="eu")
    path = ledger.write("a.csv", f"{egress},gold", header=HEADER + ",tier")
    ledger.run(path)
    ledger.configure(CONFIG.replace(before, after))
    report = ledger.run(path)

    assert not report.files[0].skipped
    assert expected == counts(report)


def test_another_value_of_a_dimension_is_a_conflict(ledger: Importing) -> None:
    """The dimensions that the stored event has are content."""
    ledger.run(ledger.write("a.csv", row("r1", feature="egress_gb", region="eu")))
    report = ledger.run(ledger.write("b.csv", row("r1", feature="egress_gb", region="us")))

    assert counts(report) == (1, 0, 0, 1, 0)
    assert "region eu is now us" in report.conflicts[0].message


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
    """A file with open rejections is read each time, and no longer once all of them are closed."""
    path = ledger.write("a.csv", row("r1"), row("r2", "n/a"))
    ledger.run(path)

    assert not ledger.run(path).files[0].skipped

    ledger.run(ledger.write("mended.csv", row("r2")))
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


def test_a_file_that_cannot_be_read_leaves_no_trace_and_stops_no_other(ledger: Importing) -> None:
    """A missing file, an empty one and a header without a column are reported; the others are imported."""
    files = [
        str(ledger.folder / "none.csv"),
        ledger.write_bytes("empty.csv", b""),
        ledger.write("header.csv", row("r0"), header=HEADER.replace("event_time", "at")),
        ledger.write("good.csv", row("r1")),
    ]
    report = ledger.run(*files)

    assert [
        error.message.split(str(ledger.folder))[1].split(" ")[0].strip(":1") for error in report.failed
    ] == [
        "/none.csv",
        "/empty.csv",
        "/header.csv",
    ]
    assert [Path(one.file).name for one in report.files] == ["good.csv"]
    assert ledger.query("SELECT file FROM imports") == [(files[-1],)]
    assert ledger.usage() == [("default", "r1", "cus_1", "1")]


def test_a_header_alone_is_a_file_of_no_rows(ledger: Importing) -> None:
    """A quiet hour with a header and no rows is imported whole, and skipped the next time."""
    path = ledger.write("a.csv")
    first, second = ledger.run(path), ledger.run(path)

    assert counts(first) == counts(second) == (0, 0, 0, 0, 0)
    assert (first.files[0].complete, first.files[0].skipped) == (True, False)
    assert second.files[0].skipped


def test_a_row_that_no_column_can_hold_is_refused_alone(ledger: Importing) -> None:
    """A NUL written as an escape of JSON costs its own row, not the import."""
    good = {"customer_id": "cus_1", "feature": "api_calls", "quantity": 1, "event_time": 1793448000}
    lines = [{"request_id": key, **good} for key in ("r1", "\0", "r\0" + "2", "r3")]
    path = ledger.write_bytes("a.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    report = ledger.run(path)

    assert counts(report) == (4, 2, 0, 0, 2)
    assert [one[1] for one in ledger.usage()] == ["r1", "r3"]


def test_a_file_name_in_another_encoding_is_imported(ledger: Importing) -> None:
    """A file whose name is no UTF-8 is a file like any other."""
    path = ledger.write("a.csv", row("r1"))
    named = Path(path).rename(ledger.folder / b"us\xe4ge.csv".decode(errors="surrogateescape"))

    assert counts(ledger.run(str(named))) == (1, 1, 0, 0, 0)


def test_of_many_rejections_the_first_hundred_are_listed(ledger: Importing) -> None:
    """A report lists the first hundred rejections in file order; the ledger keeps all of them."""
    rows = [row(f"r{n}", "n/a") for n in range(150)]
    report = ledger.run(ledger.write("a.csv", row("good"), *rows))

    assert counts(report) == (151, 1, 0, 0, 150)
    assert [one.line for one in report.rejections] == list(range(3, 103))
    assert len(ledger.rejects()) == 150


def test_a_sources_first_import_is_marked(ledger: Importing) -> None:
    """Only the imports before anything of a source was accepted whole are its first ones."""
    ledger.run(ledger.write("a.csv", row("r1", "n/a")), source="gateway")
    ledger.run(ledger.write("b.csv", row("r1")), ledger.write("c.csv", row("r2")), source="gateway")
    ledger.run(ledger.write("d.csv", row("r3")), source="gateway")
    ledger.run(ledger.write("e.csv", row("r3")), source="other")
    found = ledger.query("SELECT first_of_source FROM imports ORDER BY id")

    assert found == [(1,), (1,), (1,), (0,), (1,)]


ROWS_OF_A_KILLED_IMPORT = [row("r0", "n/a"), *(row(f"r{n}") for n in range(1, 8)), row("r3", "9"), row("r0")]
CHUNK = 3


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut files into chunks of three rows."""
    monkeypatch.setattr(parsing, "CHUNK_ROWS", CHUNK)


def killing_clock(at: int) -> Iterator[int]:
    """Yield a few instants, then kill."""
    ticking = Ticking()
    for _ in range(at):
        yield ticking()
    raise Killed


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("at", range(6))
def test_an_import_killed_between_chunks_is_completed_by_the_next(tmp_path: Path, at: int) -> None:
    """Wherever an import is cut off its chunks are whole, and the same command brings it to the same end."""
    killed, whole = Importing(_made(tmp_path / "killed")), Importing(_made(tmp_path / "whole"))
    clock = killing_clock(at)
    with pytest.raises(Killed):
        killed.run(killed.write("a.csv", *ROWS_OF_A_KILLED_IMPORT), clock=lambda: next(clock))
    chunks = max(0, at - 1)
    kept = killed.query("SELECT rows_read, finished_at FROM imports")

    assert kept == ([] if at == 0 else [(min(chunks * CHUNK, 10), None)])
    assert killed.query("SELECT accepted + conflicts + rejected FROM imports") == killed.query(
        "SELECT (SELECT COUNT(*) FROM usage_events) + (SELECT COUNT(*) FROM rejects) FROM imports"
    )

    again = killed.run(killed.write("a.csv", *ROWS_OF_A_KILLED_IMPORT))
    whole.run(whole.write("a.csv", *ROWS_OF_A_KILLED_IMPORT))
    ends = [
        (
            one.usage(),
            [reject[:2] + reject[3:] for reject in one.rejects()],
            one.query("SELECT * FROM unsealed"),
        )
        for one in (killed, whole)
    ]

    assert not again.files[0].skipped
    assert again.files[0].complete
    assert again.counts.rows_read == 10
    assert ends[0] == ends[1]


@pytest.mark.usefixtures("small_chunks")
def test_an_import_killed_after_a_commit_keeps_that_chunk(ledger: Importing) -> None:
    """What was reported as read is in the ledger, even if the process dies at the next breath."""
    reported: list[int] = []

    def advance(_bytes: int, rows: int) -> None:
        reported.append(rows)
        if len(reported) == 2:
            raise Killed

    path = ledger.write("a.csv", *ROWS_OF_A_KILLED_IMPORT)
    with pytest.raises(Killed):
        ledger.run(path, progress=Progress(advance=advance))

    assert ledger.query("SELECT rows_read FROM imports") == [(sum(reported),)]
    assert len(ledger.usage()) == 5


@pytest.mark.usefixtures("small_chunks")
def test_a_strict_import_that_is_killed_keeps_nothing(ledger: Importing) -> None:
    """All or nothing holds for a strict import that never came to its end, too."""
    before = ledger.dump()
    clock = killing_clock(3)
    path = ledger.write("a.csv", *(row(f"r{n}") for n in range(9)))
    with pytest.raises(Killed):
        ledger.run(path, strict=True, clock=lambda: next(clock))

    assert before == ledger.dump()


@pytest.mark.usefixtures("small_chunks")
def test_the_size_of_chunks_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Duplicates and conflicts are found alike within a chunk and across chunks."""
    rows = [row(f"r{n % 4}", str(n % 3), region=str(n)) for n in range(17)] + [row("x", "n/a")]
    ends = []
    for size in (1, 2, 5, 100):
        monkeypatch.setattr(parsing, "CHUNK_ROWS", size)
        folder = Importing(_made(tmp_path / str(size)))
        report = folder.run(folder.write("a.csv", *rows))
        ends.append((counts(report), folder.usage(), sorted(folder.rejects())))

    assert [ends[0]] * 4 == ends


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a generated file; a bad one is refused whatever it says."""

    key: str
    customer: str
    quantity: int
    second: int
    spelling: int
    bad: str | None

    @property
    def content(self) -> tuple[str, int, int]:
        """What makes it the same usage."""
        return self.customer, self.quantity, self.second

    def text(self) -> str:
        """Write it, in one of the ways in which it can be written."""
        fields = {
            "customer_id": self.customer,
            "event_time": (f"2026-10-31T12:00:0{self.second}Z", str(1_793_448_000 + self.second))[
                self.spelling % 2
            ],
            "received_at": ("", "2026-11-01T00:00:00Z")[self.spelling // 2],
        }
        quantity = (str(self.quantity), f"{self.quantity}.00")[self.spelling % 2]
        match self.bad:
            case None:
                return row(self.key, quantity, **fields)
            case "cut":
                return f"{self.key},{self.customer}"
            case "stray quote":
                return row(self.key, quantity, **fields | {"customer_id": f'"{self.customer}'})
            case "foreign bytes":
                return row(self.key, quantity, **fields | {"region": "\udce9"})
            case wrong:
                return row(self.key, wrong, **fields)


LINES = st.builds(
    Line,
    key=st.sampled_from(["r1", "r2", "r3", "r4"]),
    customer=st.sampled_from(["cus_1", "cus_2"]),
    quantity=st.integers(0, 1),
    second=st.integers(0, 1),
    spelling=st.integers(0, 3),
    bad=st.sampled_from([None] * 8 + ["cut", "stray quote", "foreign bytes", "n/a", "-1"]),
)


@quick
@given(
    files=st.lists(st.lists(LINES, max_size=8), min_size=1, max_size=3),
    order=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["default", "other"]), st.booleans()),
        min_size=1,
        max_size=5,
    ),
    chunk=st.integers(1, 4),
)
def test_counts_and_content_are_those_of_a_dictionary(
    files: list[list[Line]], order: list[tuple[int, str, bool]], chunk: int
) -> None:
    """Over any imports of overlapping files the ledger is what a dictionary by usage key would hold."""
    model: dict[tuple[str, str], tuple[str, int, int]] = {}
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patched:
        patched.setattr(parsing, "CHUNK_ROWS", chunk)
        folder = Importing(Path(temporary))
        for number, source, again in order:
            lines = files[number % len(files)]
            text = "".join(f"{line}\n" for line in (HEADER, *(one.text() for one in lines)))
            path = folder.write_bytes(f"{number % len(files)}.csv", text.encode(errors="surrogateescape"))
            report = folder.run(path, source=source, again=again)
            found = Counter(_outcome(model, source, one) for one in lines)
            expected = (
                len(lines), found["accepted"], found["duplicate"], found["conflict"], found["rejected"],
            )  # fmt: skip

            assert expected == counts(report)
        stored = folder.query(
            "SELECT source, request_id, customer_id, quantity, event_time FROM usage_events_readable"
        )
        kept = folder.query("SELECT rows_read, accepted, duplicates, conflicts, rejected FROM imports")

    assert {(source, key): content for (source, key), content in model.items()} == {
        (source, key): (customer, int(quantity), int(at[-3:-1]))
        for source, key, customer, quantity, at in stored
    }
    assert all(rows == sum(parts) for rows, *parts in kept)
    assert total(kept)[1] == len(model)


def _outcome(model: dict[tuple[str, str], tuple[str, int, int]], source: str, line: Line) -> str:
    """Put one line into the model, and return what becomes of it."""
    if line.bad is not None:
        return "rejected"
    key = (source, line.key)
    if key not in model:
        model[key] = line.content
        return "accepted"
    return "duplicate" if model[key] == line.content else "conflict"


def test_a_source_reads_its_own_names_times_and_zone(tmp_path: Path) -> None:
    """Columns, time zone and key of a source decide how its files are read."""
    folder = Importing(
        tmp_path,
        CONFIG + '[sources.berlin]\ntime_zone = "Europe/Berlin"\n'
        '[sources.berlin.columns]\nrequest_id = "id"\nevent_time = "ts"\n',
    )
    text = (
        '{"id":7,"customer_id":"cus_1","feature":"api_calls","quantity":2,"ts":"2026-10-31T13:00:00"}\n'
        '{"id":8,"customer_id":"cus_1","feature":"api_calls","quantity":2,"ts":"2026-10-25T02:30:00"}\n'
    )
    report = folder.run(folder.write_bytes("a.jsonl", text.encode()), source="berlin")
    found = folder.query("SELECT request_id, event_time FROM usage_events_readable")

    assert counts(report) == (2, 1, 0, 0, 1)
    assert found == [("7", "2026-10-31T12:00:00Z")]


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
