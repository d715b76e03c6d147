"""Verify finds what somebody broke behind the program's back, and nothing in a ledger nobody touched."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.ledger import open_ledger
from meterledger.usecases.verify import verify
from support.delivered_ledger import LedgerBuilder, ledger_builder


@pytest.fixture
def built(tmp_path: Path) -> Iterator[LedgerBuilder]:
    """Yield a ledger with usage in several states."""
    with ledger_builder(tmp_path) as builder:
        for name in ("r1", "r2", "r3", "r4"):
            builder.usage(name, "2026-10-20T00:00:01Z", recorded="2026-10-20T00:10:00Z")
        builder.accepted("r1", "2026-10-20T01:00:00Z").unknown("r2", "2026-10-20T01:00:00Z")
        builder.rejected("r3", "2026-10-20T01:00:00Z")
        yield builder


def tampered(built: LedgerBuilder, statement: str) -> dict[str, str]:
    """Change a ledger with its guards taken away, and return the checks that fail then."""
    connection = sqlite3.connect(built.ledger.path, isolation_level=None)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.executescript(statement)
    connection.close()
    with open_ledger(built.ledger.path) as ledger:
        return {check.name: check.detail for check in verify(ledger) if not check.ok}


def test_an_untouched_ledger_holds_every_invariant(built: LedgerBuilder) -> None:
    """All checks are ok on a ledger that only the program has written, apart from its missing binding."""
    failed = [check.name for check in verify(built.ledger) if not check.ok]

    assert failed == ["sent_is_bound"]


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        (
            "UPDATE imports SET rows_read = 5, duplicates = 4 WHERE id = 1; UPDATE imports SET accepted = 0",
            "rows_counted",
        ),
        (
            "INSERT INTO unsealed (usage_event) SELECT MIN(id) FROM usage_events",
            "unsealed_is_what_no_link_carries",
        ),
        ("DELETE FROM unsealed", "unsealed_is_what_no_link_carries"),
        ("DELETE FROM meter_event_usage WHERE id = 1", "links_of_meter_events"),
        (
            """DROP INDEX meter_event_usage_live;
            INSERT INTO meter_event_usage (meter_event, usage_event, linked_at)
            SELECT meter_event, usage_event, linked_at FROM meter_event_usage WHERE id = 1""",
            "one_live_link",
        ),
        (
            "DROP INDEX meter_events_by_identifier; UPDATE meter_events SET identifier = 'same'",
            "identifiers_unique",
        ),
        ("DELETE FROM delivery_attempts WHERE id = 1", "attempts_counted"),
        ("UPDATE delivery_attempts SET outcome = 'not_sent' WHERE id = 1", "accepted_has_proof"),
        ("UPDATE meter_events SET state = 'pending' WHERE state = 'sending'", "pending_is_not_sent"),
        (
            """INSERT INTO delivery_attempts (meter_event, attempt, push, idempotency_key, started_at)
            SELECT meter_event, 2, push, 'k', started_at + 82800000000
            FROM delivery_attempts WHERE outcome = 'unknown'""",
            "within_horizon",
        ),
        ('UPDATE meter_events SET payload = \'{"value":"2"}\' WHERE id = 1', "bodies_follow_from_usage"),
        ("UPDATE usage_events SET quantity = quantity + 1 WHERE id = 1", "bodies_follow_from_usage"),
        ("UPDATE usage_events SET import = 99 WHERE id = 4", "file_intact"),
    ],
)
def test_tampering_is_found(built: LedgerBuilder, statement: str, check: str) -> None:
    """Each invariant that is broken by hand fails the check that is named after it."""
    assert check in tampered(built, statement)
