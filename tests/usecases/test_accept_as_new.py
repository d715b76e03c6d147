"""Accept as new: the row of a conflict becomes usage of its own, beside what is stored."""

from pathlib import Path

import pytest

from meterledger.errors import UsageError
from support.importing import CONFIG, row
from support.mending import Mending, mending


@pytest.fixture
def ledger(tmp_path: Path) -> Mending:
    """Return a ledger with a rejection, 1, and a conflict, 2."""
    ledger = mending(tmp_path)
    ledger.run(ledger.write("a.csv", row("r1"), row("r1", "2"), row("r2", "n/a")))
    return ledger


def test_the_given_row_is_accepted_under_another_request_id(ledger: Mending) -> None:
    """Both are billed; the new one has the file and line of the row, and the conflict leads to it."""
    done = ledger.accept(2, " r1-b ")

    assert (done.event.request_id, done.event.units) == ("r1-b", 2)
    assert ledger.query(
        "SELECT u.request_id, u.quantity, u.line, i.retry_of, i.rows_read FROM usage_events AS u "
        "JOIN imports AS i ON i.id = u.import ORDER BY u.id"
    ) == [("r1", 1, 2, None, 3), ("r1-b", 2, 3, 1, 1)]
    assert ledger.query("SELECT closed_as, closed_note, accepted_as FROM rejects WHERE id = 2") == [
        ("accepted", "said so", 2)
    ]
    assert ledger.open_ids() == [1]
    assert ledger.counts_add_up()


def test_a_dry_run_keeps_nothing(ledger: Mending) -> None:
    """What would be billed can be seen before."""
    before = ledger.dump()
    done = ledger.accept(2, "r1-b", dry_run=True)

    assert done.event.units == 2
    assert before == ledger.dump()


@pytest.mark.parametrize(
    ("reject", "request_id", "message"),
    [
        (2, "r1", "has a usage event 'r1' already"),
        (2, "  ", "has 0 characters"),
        (2, "x" * 256, "has 256 characters"),
        (1, "r9", "1 is a rejection"),
        (7, "r9", "no refused row 7"),
    ],
)
def test_what_is_wrong_changes_nothing(ledger: Mending, reject: int, request_id: str, message: str) -> None:
    """A key that exists, a rejection or an unknown number is refused."""
    before = ledger.dump()
    with pytest.raises(UsageError, match=message):
        ledger.accept(reject, request_id)

    assert before == ledger.dump()


def test_a_request_id_that_is_an_identifier_has_to_fit_stripe(ledger: Mending) -> None:
    """Where identifiers are kept verbatim, the new one has at most 100 characters."""
    with ledger._connected() as connection:
        connection.execute("UPDATE imports SET keeps_identifier = 1")
        connection.commit()
    with pytest.raises(UsageError, match="which takes 100"):
        ledger.accept(2, "x" * 101)

    assert ledger.accept(2, "x" * 100).event.units == 2


def test_a_conflict_is_settled_once(ledger: Mending) -> None:
    """The same row is not billed a second time under a third key."""
    ledger.accept(2, "r1-b")
    with pytest.raises(UsageError, match="closed already, as accepted"):
        ledger.accept(2, "r1-c")


def test_a_row_that_is_not_good_today_is_not_accepted(ledger: Mending) -> None:
    """The row is read by today's config, and what it refuses stays refused."""
    ledger.configure(CONFIG.replace('features = ["api_calls", "api_reads"]', 'features = ["api_reads"]'))
    with pytest.raises(UsageError, match="not good by today's config: feature 'api_calls'"):
        ledger.accept(2, "r1-b")


def test_what_is_stored_already_is_not_billed_twice(tmp_path: Path) -> None:
    """A conflict that today's config reads as a duplicate is none."""
    ledger = mending(tmp_path)
    header = "request_id,customer_id,feature,quantity,amount,event_time"
    ledger.configure(CONFIG + "[sources.odd.columns]\nquantity = 'amount'\n")
    rows = ["r1,cus_1,api_calls,1,1,1793448000", "r1,cus_1,api_calls,1,2,1793448000"]
    ledger.run(ledger.write("a.csv", *rows, header=header), source="odd")
    ledger.configure(CONFIG + "[sources.odd]\n")
    with pytest.raises(UsageError, match="no conflict any more"):
        ledger.accept(1, "r1-b")
    report = ledger.retry(1)

    assert report.counts.duplicates == 1
    assert ledger.open_ids() == []
