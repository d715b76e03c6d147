"""Retry: after a change of the config, what was refused is read again from the ledger alone."""

from pathlib import Path
from typing import Any

import pytest

from meterledger.domain.usage import Reason, Rejection, UsageEvent
from meterledger.errors import UsageError
from meterledger.usecases import parsing
from meterledger.usecases.reading_again import ReadAgain
from meterledger.usecases.retry_rejects import part_of
from support.importing import CONFIG, counts, row
from support.mending import BUILDS, Mending, mending


@pytest.fixture
def ledger(tmp_path: Path) -> Mending:
    """Return an empty ledger with a config beside it."""
    return mending(tmp_path)


def test_what_the_config_takes_now_is_accepted_with_its_file_and_line(ledger: Mending) -> None:
    """The file is not needed: usage comes in with its own file and line, by an import of its own."""
    path = ledger.write("a.csv", row("r1"), row("r2", "n/a"), row("r3", feature="builds"))
    ledger.run(path, backfill=True)
    Path(path).unlink()
    ledger.configure(BUILDS)
    report = ledger.retry()
    again = ledger.retry()

    assert (report.counts.rows_read, report.counts.accepted, report.counts.rejected) == (2, 1, 1)
    assert [(one.id, one.reason) for one in report.refused] == [(1, "invalid_quantity")]
    assert again.counts.accepted == 0
    assert ledger.query(
        "SELECT u.request_id, i.file, u.line, i.retry_of, i.backfill FROM usage_events AS u "
        "JOIN imports AS i ON i.id = u.import WHERE i.retry_of IS NOT NULL"
    ) == [("r3", path, 4, 1, 1)]
    assert ledger.query("SELECT id, closed_as, accepted_as FROM rejects ORDER BY id") == [
        (1, None, None),
        (2, "accepted", 2),
    ]
    assert ledger.query("SELECT usage_event FROM unsealed") == [(1,), (2,)]
    assert ledger.counts_add_up()


@pytest.mark.parametrize(
    "content",
    [
        b'[{"a":1},,{"b":2}]', b"[,]", b'[{"a":1}', b'[{"a":[1,{"b":2', b'[{"a":"x\n{"b":2}]', b"[1 2,]",
        b'[{"a":1}]{"b":2}', b'[{"a":1}] ,', b"[",  b'[{"a":"\xff\\xff"},"]",[]]', b"[{},\n ",
    ],
)  # fmt: skip
def test_what_is_left_of_an_array_is_refused_as_it_was(ledger: Mending, content: bytes) -> None:
    """Missing elements, and elements and arrays without their end, are one row each for the same reason."""
    ledger.run(ledger.write_bytes("a.json", content))
    rows = "SELECT id, line, reason, message, raw FROM rejects ORDER BY id"
    before = ledger.query(rows)
    report = ledger.retry()

    assert report.counts.rows_read == report.counts.rejected == len(before) > 0
    assert ledger.query(rows) == before
    assert ledger.counts_add_up()


def test_reasons_are_those_of_today(ledger: Mending) -> None:
    """A row that is refused for something else now says so, and stays one refused row."""
    path = ledger.write("a.csv", row("r1", "1.5", feature="builds"))
    ledger.run(path)
    ledger.configure(BUILDS)
    ledger.retry()
    by_retry = ledger.rejects()
    ledger.configure(CONFIG)
    ledger.run(path)

    assert by_retry == [(2, "too_precise", 2, True)]
    assert ledger.rejects() == [(2, "unknown_feature", 3, True)]


def test_a_mapping_that_was_mended_reads_the_key(ledger: Mending) -> None:
    """With a key that can be read now, the row closes and others of its key do too."""
    ledger.configure(CONFIG + "[sources.odd.columns]\nquantity = 'amount'\n")
    header = "request_id,customer_id,feature,quantity,amount,event_time"
    ledger.run(ledger.write("a.csv", "r1,cus_1,api_calls,7,x,1793448000", header=header), source="odd")
    ledger.configure(CONFIG + "[sources.odd]\n")
    report = ledger.retry()

    assert report.counts.accepted == 1
    assert ledger.usage() == [("odd", "r1", "cus_1", "7")]
    assert ledger.open_ids() == []


def test_a_header_that_lacks_a_column_of_today_is_said(ledger: Mending) -> None:
    """A mapping that does not fit the old file leaves its rows open, and names the column."""
    ledger.run(ledger.write("a.csv", row("r1", "n/a")), source="gateway")
    ledger.configure(CONFIG.replace("[sources.gateway]", "[sources.gateway.columns]\nquantity = 'amount'"))
    report = ledger.retry()

    assert report.needs_a_person
    assert [one.ids for one in report.unread] == [(1,)]
    assert "lacks the required column amount" in report.unread[0].because
    assert ledger.open_ids() == [1]


def test_a_row_whose_key_was_taken_meanwhile_is_a_duplicate_or_a_conflict(ledger: Mending) -> None:
    """The same content closes the rejection; other content makes it the conflict that it is."""
    ledger.run(ledger.write("a.csv", row("r1", feature="builds"), row("r2", feature="builds")))
    with ledger._connected() as connection:
        # Only what is read of a rejection can close it by key: this one's was not read.
        connection.execute("UPDATE rejects SET request_id = NULL")
        connection.commit()
    ledger.configure(BUILDS)
    ledger.run(ledger.write("b.csv", row("r1", feature="builds"), row("r2", "5", feature="builds")))
    report = ledger.retry()

    assert (report.counts.duplicates, report.counts.conflicts) == (1, 1)
    assert ledger.query("SELECT kind, reason, closed_as, accepted_as FROM rejects ORDER BY id") == [
        ("rejection", "unknown_feature", "accepted", 1),
        ("conflict", "conflict", None, None),
    ]


def test_a_dry_run_says_the_same_and_keeps_nothing(ledger: Mending) -> None:
    """What a retry would do can be seen before."""
    ledger.run(ledger.write("a.csv", row("r2", "n/a"), row("r3", feature="builds")))
    ledger.configure(BUILDS)
    before = ledger.dump()
    dry = ledger.retry(dry_run=True)
    after = ledger.dump()
    wet = ledger.retry()

    assert before == after
    assert not dry.committed
    assert [one.id for one in dry.imports] == [None]
    assert (dry.counts, dry.closed, dry.refused) == (wet.counts, wet.closed, wet.refused)


def test_rows_that_cannot_be_read_again_are_said(ledger: Mending) -> None:
    """A cut row, a closed one and one without a header stay as they are, each with its reason."""
    ledger.run(ledger.write("a.csv", row("r1", "n/a", region="x" * 70_000), row("r2", "n/a")))
    ledger.dismiss(2)
    ledger.run(ledger.write("b.csv", row("r3", "n/a")))
    with ledger._connected() as connection:
        connection.execute("UPDATE imports SET header = NULL WHERE id = 2")
        connection.commit()
    report = ledger.retry(1, 2, 3)

    assert report.imports == []
    assert [(one.ids, one.because.split(":")[0]) for one in report.unread] == [
        ((1,), "only the first 64 KiB of the row are kept"),
        ((2,), "it is closed already, as dismissed"),
        ((3,), "the header of its file is not on record"),
    ]


def test_an_unknown_number_is_refused(ledger: Mending) -> None:
    """A number that was misread changes nothing."""
    with pytest.raises(UsageError, match="no refused row 7"):
        ledger.retry(7)


def test_bytes_that_are_no_utf8_are_refused_again(ledger: Mending) -> None:
    r"""What is kept as ``\xff`` is never taken for text."""
    content = b"request_id,customer_id,feature,quantity,event_time\nr1,cus_\xe91,api_calls,1,1793448000\n"
    ledger.run(ledger.write_bytes("b.csv", content))
    report = ledger.retry()

    assert [one.reason for one in report.refused] == ["not_utf8"]
    assert ledger.usage() == []


def test_rows_of_several_lines_and_with_quotes_are_read_again(ledger: Mending) -> None:
    """The kept text is a row as CSV has it, and JSON too."""
    ledger.run(ledger.write("a.csv", row("r1", customer_id='"a\n""b"', feature="builds"), row("r2", "n/a")))
    ledger.run(
        ledger.write_bytes(
            "b.jsonl",
            b'{"request_id":"r3","customer_id":"c","feature":"builds","quantity":2,"event_time":1793448000}\n',
        )
    )
    ledger.configure(BUILDS)
    report = ledger.retry()

    assert [one.counts.accepted for one in report.imports] == [1, 1]
    assert ledger.usage() == [("default", "r1", 'a\n"b', "1"), ("default", "r3", "c", "2")]


def test_many_rows_of_one_import_are_taken_in_chunks(
    ledger: Mending, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each chunk is an import of its own that is whole."""
    ledger.run(ledger.write("a.csv", *(row(f"r{n}", feature="builds") for n in range(7))))
    monkeypatch.setattr(parsing, "CHUNK_ROWS", 3)
    ledger.configure(BUILDS)
    report = ledger.retry()

    assert [one.counts.accepted for one in report.imports] == [3, 3, 1]
    assert ledger.open_ids() == []
    assert ledger.counts_add_up()


def test_the_file_of_a_retried_import_counts_as_imported_whole(ledger: Mending) -> None:
    """When all is mended the file is skipped by the counts of its own import, not of the retry."""
    path = ledger.write("a.csv", row("r1"), row("r2", feature="builds"))
    ledger.configure(BUILDS)
    ledger.run(path)
    ledger.configure(CONFIG)
    ledger.configure(BUILDS)
    report = ledger.run(path)

    assert report.files[0].skipped
    assert counts(report) == (2, 0, 2, 0, 0)


STORED = UsageEvent("r1:storage", "cus_1", None, "storage", 1, 0, 1, None, 2, None)
CALLED = STORED._replace(request_id="r1:calls", feature="calls")
REFUSED = Rejection(line=2, reason=Reason.INVALID_QUANTITY, message="bad", raw="raw", feature="calls")


@pytest.mark.parametrize(
    ("feature", "read", "expected"),
    [
        ("storage", ReadAgain([STORED, CALLED]), ReadAgain([STORED])),
        ("calls", ReadAgain([STORED], [REFUSED]), ReadAgain([], [REFUSED])),
        ("storage", ReadAgain([STORED], [REFUSED]), ReadAgain([STORED])),
        ("gone", ReadAgain([STORED, CALLED]), None),
        ("gone", ReadAgain([STORED]), None),
        ("gone", ReadAgain([], [REFUSED]), ReadAgain([], [REFUSED])),
        (None, ReadAgain([STORED, CALLED]), ReadAgain([STORED, CALLED])),
    ],
)
def test_of_a_wide_row_only_what_was_refused_is_taken(
    feature: str | None, read: ReadAgain, expected: ReadAgain | None
) -> None:
    """Its other features were accepted, refused or dismissed for themselves, and are no answer here."""
    row: Any = {"request_id": None, "feature": feature}

    assert part_of(row, read) == expected
