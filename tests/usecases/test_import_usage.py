"""Import: what is kept of a file, and which files and rows can be imported at all."""

import json
from pathlib import Path

import pytest

from meterledger import __version__
from support.importing import CONFIG, HEADER, START, Importing, counts, row


@pytest.fixture
def ledger(tmp_path: Path) -> Importing:
    """Return an empty ledger with a config beside it."""
    return Importing(tmp_path)


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


def test_a_sources_first_import_is_marked(ledger: Importing) -> None:
    """Only the imports before anything of a source was accepted whole are its first ones."""
    ledger.run(ledger.write("a.csv", row("r1", "n/a")), source="gateway")
    ledger.run(ledger.write("b.csv", row("r1")), ledger.write("c.csv", row("r2")), source="gateway")
    ledger.run(ledger.write("d.csv", row("r3")), source="gateway")
    ledger.run(ledger.write("e.csv", row("r3")), source="other")
    found = ledger.query("SELECT first_of_source FROM imports ORDER BY id")

    assert found == [(1,), (1,), (1,), (0,), (1,)]


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
