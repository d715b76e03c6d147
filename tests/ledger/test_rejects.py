"""Refused rows in the ledger: each once, by its place and feature, closed for good."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from meterledger.domain.exported_row import REASON_COLUMNS, RowForm
from meterledger.domain.usage import Reason, Rejection, UsageEvent
from meterledger.domain.usage_columns import UsageColumns
from meterledger.ledger import Ledger, open_ledger
from meterledger.ledger.imports import Provenance
from meterledger.ledger.rejects import RejectFilter
from support.importing import START, row
from support.mending import Mending, mending

STORAGE = Rejection(
    line=2, reason=Reason.INVALID_QUANTITY, message="bad", raw="r1,x,y", request_id="r1", feature="storage"
)
CALLS = replace(STORAGE, feature="calls")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Yield an empty ledger that is open."""
    with open_ledger(mending(tmp_path).ledger_path) as ledger:
        yield ledger


def refuse(
    ledger: Ledger, *rejections: Rejection, events: Sequence[UsageEvent] = (), exported: RowForm | None = None
) -> list[tuple[int, str | None, str, int]]:
    """Import one file of these rows; return id, feature, reason and sightings of all that is open."""
    provenance = Provenance(
        source="default",
        file="e.csv" if exported else "a.csv",
        sha256="0" * 64 if exported is None else "1" * 64,
        size_bytes=1,
        input_format="csv",
        config_digest="x",
        program_version="1",
        exported=exported,
    )
    target = ledger.imports.begin(provenance, START)
    usage = UsageColumns.of(events)
    ledger.imports.write_chunk(target, usage, rejections, lambda _line: EXPORTED, START)
    return [
        (found["id"], found["feature"], found["reason"], found["times_seen"])
        for found in ledger.rejects.matching(RejectFilter())
    ]


def test_a_wide_row_may_be_refused_for_several_features(ledger: Ledger) -> None:
    """Two features of one row are two refused rows, and each is itself when the row comes again."""
    refuse(ledger, STORAGE, CALLS)
    again = refuse(ledger, CALLS)

    assert again == [(1, "storage", "invalid_quantity", 1), (2, "calls", "invalid_quantity", 2)]


def test_a_wide_row_that_could_not_be_read_is_one_row_until_it_can(ledger: Ledger) -> None:
    """What was refused as a whole becomes one of its features; the others are refused rows of their own."""
    whole = replace(STORAGE, reason=Reason.MALFORMED_ROW, request_id=None, feature=None)
    refuse(ledger, whole)
    again = refuse(ledger, STORAGE, CALLS)

    assert again == [(1, "storage", "invalid_quantity", 2), (2, "calls", "invalid_quantity", 1)]


CSV = RowForm(delimiter=",")
EXPORTED = CSV.row(
    dict(zip(REASON_COLUMNS, (1, "invalid_quantity", "bad", "a.csv", 2), strict=True)), "r1,x,y"
)
USAGE = UsageEvent("r1", "cus_1", None, "storage", 1, 0, START, None, 2, None)


def test_a_wide_row_of_an_export_is_each_of_its_features(ledger: Ledger) -> None:
    """One row of the file that names one of them brings both, however often it comes."""
    refuse(ledger, STORAGE, CALLS)
    again = [replace(one, raw=EXPORTED) for one in (CALLS, STORAGE)]
    refuse(ledger, *again, exported=CSV)
    found = refuse(ledger, *again, exported=CSV)

    assert found == [(1, "storage", "invalid_quantity", 3), (2, "calls", "invalid_quantity", 3)]


def test_a_wide_row_of_an_export_closes_when_all_of_it_is_good(ledger: Ledger) -> None:
    """While one feature is refused nothing is closed by the row's name; when none is, all are."""
    refuse(ledger, STORAGE, CALLS)
    half = refuse(ledger, replace(CALLS, raw=EXPORTED), events=[USAGE], exported=CSV)
    whole = refuse(ledger, events=[USAGE, USAGE._replace(request_id="r2", feature="calls")], exported=CSV)

    assert [number for number, *_ in half] == [1, 2]
    assert whole == []


def test_a_row_that_was_accepted_and_is_refused_for_something_new_is_open_again(ledger: Ledger) -> None:
    """A closed rejection hides nothing that is new; a dismissed one was meant for good."""
    refuse(ledger, STORAGE)
    ledger.rejects.close(1, "accepted", START)
    new = refuse(ledger, replace(STORAGE, reason=Reason.TOO_PRECISE))
    ledger.rejects.close(2, "dismissed", START, note="x")
    refuse(ledger, replace(STORAGE, reason=Reason.UNKNOWN_FEATURE))

    assert new == [(2, "storage", "too_precise", 1)]
    assert list(ledger.rejects.matching(RejectFilter())) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (RejectFilter(), [1, 2, 3]),
        (RejectFilter(kind="conflict"), [3]),
        (RejectFilter(source="gateway"), []),
        (RejectFilter(import_id=1), [1, 2, 3]),
        (RejectFilter(import_id=2), [1]),
        (RejectFilter(customer_id="cus_2"), [2]),
        (RejectFilter(feature="builds"), [2]),
        (RejectFilter(since=START), []),
        (RejectFilter(until=START), [1, 2, 3]),
        (RejectFilter(with_closed=True), [1, 2, 3, 4]),
    ],
)
def test_refused_rows_are_found_by_what_they_have_in_common(
    tmp_path: Path, wanted: RejectFilter, expected: list[int]
) -> None:
    """Each filter takes what it says, and nothing else."""
    folder = mending(tmp_path)
    first = row("r1", "n/a")
    folder.run(
        folder.write(
            "a.csv", first, row("r2", feature="builds", customer_id="cus_2"), row("r3"), row("r3", "2")
        )
    )
    folder.run(folder.write("a.csv", first, row("r9", "n/a")))
    folder.dismiss(4)
    with open_ledger(folder.ledger_path) as ledger:
        found = [one["id"] for one in ledger.rejects.matching(wanted)]

    assert found == expected


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a plain connection to a ledger whose refused row 1 is dismissed and 2 is open."""
    folder: Mending = mending(tmp_path)
    folder.run(folder.write("a.csv", row("r1", "n/a"), row("r2", "n/a")))
    folder.dismiss(1)
    with closing(sqlite3.connect(folder.ledger_path, isolation_level=None)) as connection:
        yield connection


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE rejects SET closed_at = NULL, closed_as = NULL WHERE id = 1", "closed for good"),
        ("UPDATE rejects SET closed_as = 'accepted' WHERE id = 1", "closed for good"),
        ("UPDATE rejects SET closed_note = 'other' WHERE id = 1", "closed for good"),
        ("UPDATE rejects SET reason = 'other' WHERE id = 1", "closed for good"),
        ("UPDATE rejects SET raw = 'other' WHERE id = 2", "never changes"),
        ("UPDATE rejects SET line = 9 WHERE id = 2", "never changes"),
        ("DELETE FROM rejects WHERE id = 2", "never deleted"),
    ],
)
def test_the_ledger_refuses(closed: sqlite3.Connection, change: str, message: str) -> None:
    """No program opens what is closed, changes the text of a refused row, or deletes one."""
    with pytest.raises(sqlite3.IntegrityError, match=message):
        closed.execute(change)


def test_the_ledger_counts_a_closed_row_that_is_seen_again(closed: sqlite3.Connection) -> None:
    """How often it was seen may change, and an open one may be refused for something else."""
    closed.execute("UPDATE rejects SET times_seen = 2 WHERE id = 1")
    closed.execute("UPDATE rejects SET reason = 'other' WHERE id = 2")
