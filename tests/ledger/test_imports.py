"""The import store: a chunk is whole or not at all, and names keep their numbers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.domain.usage import Reason, Rejection, UsageEvent
from meterledger.errors import LedgerError
from meterledger.ledger import Ledger, open_ledger, usage_writer
from meterledger.ledger.imports import Counts, OpenImport, Provenance
from support.importing import START, Importing, write_chunk


@pytest.fixture
def folder(tmp_path: Path) -> Importing:
    """Return a folder with an empty ledger."""
    return Importing(tmp_path)


@pytest.fixture
def ledger(folder: Importing) -> Iterator[Ledger]:
    """Open that ledger."""
    with open_ledger(folder.ledger_path) as ledger:
        yield ledger


@pytest.fixture
def target(ledger: Ledger) -> OpenImport:
    """Begin an import into it."""
    return begin(ledger, "a.csv")


def begin(ledger: Ledger, file: str, source: str = "default") -> OpenImport:
    """Begin the import of a file."""
    provenance = Provenance(
        source=source,
        file=file,
        sha256="0" * 64,
        size_bytes=1,
        input_format="csv",
        config_digest="c",
        program_version="1",
        backfill=False,
        first_of_source=True,
    )
    return ledger.imports.begin(provenance, START)


def event(request_id: str, customer: str = "cus_1", line: int = 2, scale: int = 0) -> UsageEvent:
    """Return one usage event."""
    return UsageEvent(request_id, customer, None, "api_calls", 1, scale, START, None, line, None)


REJECTION = Rejection(
    line=9, reason=Reason.INVALID_QUANTITY, message="no number", raw="raw", request_id="bad"
)


def test_a_chunk_counts_what_became_of_its_rows(ledger: Ledger, target: OpenImport) -> None:
    """Rows read are the accepted, the duplicates, the conflicts and the rejected, within one chunk too."""
    rows = [event("r1"), event("r1", line=3), event("r1", "cus_2", line=4), event("r2", line=5)]
    written = write_chunk(ledger, target, rows, [REJECTION], START)

    assert written.counts == Counts(rows_read=5, accepted=2, duplicates=1, conflicts=1, rejected=1)
    assert [conflict.line for conflict in written.conflicts] == [4]


def test_the_first_of_a_key_in_file_order_is_accepted(
    folder: Importing, ledger: Ledger, target: OpenImport
) -> None:
    """Rows are sorted for writing, and still the first of a key in the file is the one that counts."""
    write_chunk(
        ledger, target, [event("b", "cus_1", 2), event("a", "cus_1", 3), event("b", "cus_2", 4)], [], START
    )

    assert folder.usage() == [("default", "a", "cus_1", "1"), ("default", "b", "cus_1", "1")]
    assert folder.query("SELECT line FROM rejects") == [(4,)]


def test_a_chunk_that_fails_is_taken_back_whole(
    folder: Importing, ledger: Ledger, target: OpenImport
) -> None:
    """Where one row breaks a rule of the database nothing of its chunk stays, counts included."""
    before = folder.dump()
    with pytest.raises(LedgerError, match="refuses"):
        write_chunk(ledger, target, [event("r1"), event("r2", scale=13, line=3)], [REJECTION], START)

    assert before == folder.dump()


def test_names_numbered_in_a_chunk_that_failed_are_numbered_again(
    folder: Importing, ledger: Ledger, target: OpenImport
) -> None:
    """After a chunk was taken back the next one gives its customers numbers that are there."""
    with pytest.raises(LedgerError):
        write_chunk(ledger, target, [event("r1", "cus_a", scale=13)], [], START)
    write_chunk(ledger, target, [event("r2", "cus_b")], [], START)
    write_chunk(ledger, target, [event("r1", "cus_a", line=3)], [], START)

    assert [(key, customer) for _, key, customer, _ in folder.usage()] == [("r1", "cus_a"), ("r2", "cus_b")]


def test_more_names_than_are_remembered_keep_their_numbers(
    folder: Importing, ledger: Ledger, target: OpenImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many customers come, and come again, each row stays with its own."""
    monkeypatch.setattr(usage_writer, "_NAMES_CACHED", 3)
    expected = []
    for number in range(12):
        rows = [event(f"r{number:02}{one}", f"cus_{(number + one) % 5}", line=1 + one) for one in range(4)]
        write_chunk(ledger, target, rows, [], START)
        expected += [(one.request_id, one.customer_id) for one in rows]

    assert [(key, customer) for _, key, customer, _ in folder.usage()] == sorted(expected)
    assert folder.query("SELECT COUNT(*) FROM customers") == [(5,)]


def test_an_import_that_is_finished_takes_no_more_counts(
    folder: Importing, ledger: Ledger, target: OpenImport
) -> None:
    """The counts and the end of an import stand once it is finished."""
    write_chunk(ledger, target, [event("r1")], [], START)
    ledger.imports.finish(target, START + 5)
    ledger.imports.finish(target, START + 9)

    assert folder.query("SELECT rows_read, finished_at FROM imports") == [(1, START + 5)]


def test_only_whole_imports_make_a_source_known(ledger: Ledger, target: OpenImport) -> None:
    """A source stays new until an import of it that accepted something came to its end."""
    ledger.imports.finish(target, START)

    assert ledger.imports.is_first_of("default")

    second = begin(ledger, "b.csv")
    write_chunk(ledger, second, [event("r1")], [], START)

    assert ledger.imports.is_first_of("default")

    ledger.imports.finish(second, START)

    assert not ledger.imports.is_first_of("default")
    assert ledger.imports.is_first_of("other")


def test_a_conflict_keeps_each_difference_as_text(
    folder: Importing, ledger: Ledger, target: OpenImport
) -> None:
    """What differs is kept field by field, quantities and times as people write them."""
    first = event("r1")._replace(dimensions='{"region":"eu"}', scale=2, units=150)
    other = first._replace(
        customer_id="cus_2",
        subscription_id="sub_1",
        units=2,
        scale=0,
        event_time=START + 1,
        dimensions=None,
        line=3,
    )
    write_chunk(ledger, target, [first, other], [], START)

    ((differences,),) = folder.query("SELECT differences FROM rejects")

    assert [(one["field"], one["stored"], one["given"]) for one in json.loads(differences)] == [
        ("customer_id", "cus_1", "cus_2"),
        ("subscription_id", "", "sub_1"),
        ("quantity", "1.5", "2"),
        ("event_time", "2026-11-01T00:00:00Z", "2026-11-01T00:00:00.000001Z"),
        ("region", "eu", ""),
    ]


@pytest.mark.parametrize("count", [1, 99, 400])
def test_rows_of_any_number_are_written_and_compared(
    folder: Importing, ledger: Ledger, target: OpenImport, count: int
) -> None:
    """Rows go in many to a statement, whatever their number, and again they are duplicates or conflicts."""
    rows = [event(f"r{number:03}", f"cus_{number % 3}", line=number + 2) for number in range(count)]
    first = write_chunk(ledger, target, rows, [], START)
    again = write_chunk(ledger, target, [*rows[1:], rows[0]._replace(units=7)], [], START)

    assert (first.counts.accepted, len(folder.usage())) == (count, count)
    assert (again.counts.duplicates, again.counts.conflicts) == (count - 1, 1)


def test_a_key_that_was_taken_back_is_free(folder: Importing, ledger: Ledger, target: OpenImport) -> None:
    """After an import was voided its keys are accepted again, with any content, and once for each."""
    write_chunk(ledger, target, [event("r1"), event("r2", line=3)], [], START)
    folder.execute(
        "INSERT INTO usage_closures (usage_event, state, note, closed_at) "
        "SELECT id, 'voided', '', 9 FROM usage_events"
    )
    second = begin(ledger, "b.csv")
    rows = [
        event("r1", "cus_2"),
        event("r1", "cus_2", line=3),
        event("r1", "cus_3", line=4),
        event("r3", line=5),
    ]
    written = write_chunk(ledger, second, rows, [], START)
    later = write_chunk(ledger, second, [event("r1", "cus_2", line=6), event("r2", line=7)], [], START)

    assert written.counts == Counts(rows_read=4, accepted=2, duplicates=1, conflicts=1)
    assert later.counts == Counts(rows_read=2, accepted=1, duplicates=1)
    assert folder.query("SELECT request_id, generation FROM usage_events WHERE import = 2 ORDER BY id") == [
        ("r3", 0), ("r1", 1), ("r2", 1),
    ]  # fmt: skip
    assert folder.query("SELECT COUNT(*) FROM unsealed") == [(3,)]
