"""Rows that start on one line, as the elements of a compact JSON array do, keep their own texts."""

import json
from pathlib import Path

import pytest

from meterledger.ledger import open_ledger
from meterledger.usecases.accept_as_new import NewUsage, accept_as_new
from meterledger.usecases.explain import explain
from support.importing import Importing, counts


def element(request_id: str, customer: str, quantity: int) -> str:
    """Return one element."""
    return json.dumps(
        {
            "request_id": request_id,
            "customer_id": customer,
            "feature": "api_calls",
            "quantity": quantity,
            "event_time": "2026-10-31T10:00:00Z",
        }
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Importing:
    """Import an array on one line in which two keys stand twice, with other content."""
    ledger = Importing(tmp_path)
    rows = [
        element("r1", "cus_A", 5),
        element("r1", "cus_A", 7),
        element("r2", "cus_B", 1),
        element("r2", "cus_B", 9),
    ]
    report = ledger.run(ledger.write_bytes("a.json", f"[{','.join(rows)}]".encode()))
    assert counts(report) == (4, 2, 0, 2, 0)
    return ledger


def test_a_conflict_has_its_own_text(ledger: Importing) -> None:
    """The text that is kept is that of the row in conflict, not of another row on its line."""
    assert ledger.query("SELECT request_id, raw FROM rejects ORDER BY id") == [
        ("r1", element("r1", "cus_A", 7)),
        ("r2", element("r2", "cus_B", 9)),
    ]


def test_a_conflict_is_accepted_as_what_it_says(ledger: Importing) -> None:
    """Accepted as new, each row is billed to its own customer with its own quantity."""
    with open_ledger(ledger.ledger_path) as opened:
        for reject, name in ((1, "r1-b"), (2, "r2-b")):
            accept_as_new(
                opened, ledger.settings, NewUsage(reject=reject, request_id=name), clock=ledger.clock
            )

    assert ledger.usage() == [
        ("default", "r1", "cus_A", "5"), ("default", "r1-b", "cus_A", "7"),
        ("default", "r2", "cus_B", "1"), ("default", "r2-b", "cus_B", "9"),
    ]  # fmt: skip


def test_explain_shows_no_other_row(ledger: Importing) -> None:
    """Where a line does not tell a row, none is shown, and that is said."""
    with open_ledger(ledger.ledger_path) as opened:
        (usage,) = explain(opened, ledger.settings, "r1", now=ledger.clock()).usage_events

    assert (usage["original_row"], usage["original_row_note"]) == (None, "several rows start on its line")
