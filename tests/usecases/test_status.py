"""Status: counts by state and reason, the oldest pending usage, the next command, and the past."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.domain.blocking import BlockReason
from meterledger.domain.instant import parse_instant
from meterledger.usecases.status import Status, status
from support.delivered_ledger import LedgerBuilder, ledger_builder

NOW = "2026-10-21T00:00:00Z"


@pytest.fixture
def built(tmp_path: Path) -> Iterator[LedgerBuilder]:
    """Yield an empty ledger to fill."""
    with ledger_builder(tmp_path) as builder:
        yield builder


def looked(built: LedgerBuilder, as_of: str | None = None) -> Status:
    """Look at the ledger now, or as of an instant."""
    instant = parse_instant(as_of or NOW)
    return status(built.ledger, built.settings, now=instant, as_of=instant if as_of else None)


def test_an_empty_ledger_asks_for_an_import(built: LedgerBuilder) -> None:
    """A new ledger has nothing, names every state, and says what to do first."""
    found = looked(built)

    assert (found.usage_events, found.unsealed, found.oldest_pending_event_time) == (0, 0, None)
    assert set(found.meter_events.values()) == {0}
    assert "import" in found.next_command


def test_usage_stands_as_unsealed_blocked_or_sealed(built: LedgerBuilder) -> None:
    """Unsealed counts what may go; blocked usage is counted by reason beside it."""
    built.usage("r1", "2026-10-20T05:00:00Z", recorded="2026-10-20T06:00:00Z")
    built.usage("r2", "2026-10-20T04:00:00Z", recorded="2026-10-20T06:00:00Z", customer="acme")
    built.usage("r3", "2026-08-20T04:00:00Z", recorded="2026-10-20T06:00:00Z")
    built.usage("r4", "2026-10-22T04:00:00Z", recorded="2026-10-20T06:00:00Z")
    built.usage("r5", "2026-10-20T03:00:00Z", recorded="2026-10-20T06:00:00Z")
    built.accepted("r5", "2026-10-20T07:00:00Z")
    found = looked(built)

    assert (found.usage_events, found.unsealed) == (5, 1)
    assert found.blocked == {
        BlockReason.UNKNOWN_CUSTOMER: 1,
        BlockReason.TOO_OLD: 1,
        BlockReason.IN_FUTURE: 1,
    }
    assert found.meter_events["accepted"] == 1
    assert found.oldest_pending_event_time == parse_instant("2026-10-20T05:00:00Z")


def test_the_oldest_pending_may_be_sealed_already(built: LedgerBuilder) -> None:
    """A meter event that is still to be sent counts for the oldest pending usage."""
    built.usage("r1", "2026-10-20T01:00:00Z", recorded="2026-10-20T06:00:00Z")
    built.not_sent("r1", "2026-10-20T07:00:00Z")
    built.usage("r2", "2026-10-20T05:00:00Z", recorded="2026-10-20T06:00:00Z")
    found = looked(built)

    assert found.meter_events["pending"] == 1
    assert found.oldest_pending_event_time == parse_instant("2026-10-20T01:00:00Z")
    assert "push" in found.next_command


def test_as_of_tells_the_past(built: LedgerBuilder) -> None:
    """As of an instant, usage, sealing and acceptance after it do not exist yet."""
    built.usage("r1", "2026-10-20T01:00:00Z", recorded="2026-10-20T06:00:00Z")
    built.accepted("r1", "2026-10-20T07:00:00Z")

    assert looked(built, "2026-10-20T05:00:00Z").usage_events == 0
    assert looked(built, "2026-10-20T06:30:00Z").unsealed == 1
    assert looked(built, "2026-10-20T06:30:00Z").meter_events["accepted"] == 0
    assert looked(built, "2026-10-20T07:30:00Z").unsealed == 0
    assert looked(built, "2026-10-20T07:30:00Z").meter_events["accepted"] == 1
