"""Import and usage keys: the same key is a duplicate or a conflict, and nothing counts twice."""

import json
from pathlib import Path

import pytest

from support.importing import CONFIG, HEADER, Importing, counts, row


@pytest.fixture
def ledger(tmp_path: Path) -> Importing:
    """Return an empty ledger with a config beside it."""
    return Importing(tmp_path)


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
