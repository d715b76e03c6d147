"""What a push asks again and again is found by an index, however much was accepted before."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from meterledger.ledger import create_ledger
from meterledger.ledger.statements import all_statements


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an empty ledger."""
    path = tmp_path_factory.mktemp("plans") / "meterledger.db"
    create_ledger(path)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "unsent_meter_events",
        "attempts_of_unsent",
        "pending_never_reached",
        "lanes_in_doubt",
        "count_open_meter_events",
        "in_doubt_meter_events",
        "rejected_by_code",
        "usage_of_rejected",
        "unsent_sealed_usage",
        "verify_pending_is_not_sent",
    ],
)
def test_what_is_unsettled_is_found_without_what_is_settled(ledger: Path, name: str) -> None:
    """SQLite takes a partial index only where its condition is repeated in its own words."""
    statement = all_statements()[name]
    plan = _plan(ledger, statement.numbered, *statement.parameters)
    assert any("meter_events_unsettled" in step for step in plan)


def test_usage_is_read_by_what_is_asked_for(ledger: Path) -> None:
    """Some usage events are looked up one by one, and not looked for in all that is unsealed."""
    plan = _plan(ledger, all_statements()["unsealed_by_number"].for_rows((), 3), *range(3))
    assert [step for step in plan if step.startswith("SCAN")] == ["SCAN 3 CONSTANT ROWS", "SCAN given"]


def _plan(ledger: Path, sql: str, *arguments: object) -> list[str]:
    with closing(sqlite3.connect(ledger)) as connection:
        return [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", arguments)]
