"""The audit of delays: what they were, and which grace period would have been long enough."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.domain.instant import HOUR
from support.audits import audited, codes, landings
from support.delivered_ledger import LedgerBuilder, ledger_builder

HOUR_SECONDS = 3600


@pytest.fixture
def built(tmp_path: Path) -> Iterator[LedgerBuilder]:
    """Yield an empty ledger to fill."""
    with ledger_builder(tmp_path) as builder:
        yield builder


def test_delays_are_rounded_up_and_by_nearest_rank(built: LedgerBuilder) -> None:
    """Import delay runs from event to receipt, delivery from there to acceptance, ingestion over both."""
    for number in range(1, 11):
        name = f"r{number}"
        built.usage(
            name,
            "2026-10-20T10:00:00Z",
            received=f"2026-10-20T10:00:{number:02d}.000001Z",
            recorded="2026-10-20T10:30:00Z",
        )
        built.accepted(name, "2026-10-20T10:01:00Z")
    lines = {line.kind: line.summary for line in audited(built, "2026-10-21T00:00:00Z").delays}

    assert [
        lines["import"].p50,
        lines["import"].p90,
        lines["import"].p99,
        lines["import"].max,
    ] == [2 + 4, 2 + 8, 11, 11]
    assert lines["delivery"].max == 59
    assert (lines["ingestion"].p50, lines["ingestion"].max) == (60, 60)
    assert lines["import"].count == 10


def test_recorded_at_stands_in_where_there_is_no_received_at(built: LedgerBuilder) -> None:
    """Without received_at the import delay runs to when the ledger recorded it."""
    built.usage("r1", "2026-10-20T10:00:00Z", recorded="2026-10-20T10:30:00Z")
    (line,) = audited(built, "2026-10-21T00:00:00Z").delays

    assert (line.kind, line.summary.max) == ("import", 1800)


def test_backfill_and_first_imports_are_counted_beside_the_delays(built: LedgerBuilder) -> None:
    """A bulk load says nothing about delays: it is left out of them, and counted."""
    built.usage("r1", "2026-10-20T10:00:00Z", recorded="2026-10-28T10:30:00Z", backfill=True)
    built.usage("r2", "2026-10-20T10:00:00Z", recorded="2026-10-28T10:30:01Z", first=True)
    built.usage(
        "r3",
        "2026-10-20T10:00:00Z",
        recorded="2026-10-28T10:30:02Z",
        first=True,
        received="2026-10-20T10:00:09Z",
    )
    result = audited(built, "2026-10-29T00:00:00Z")

    assert dict(result.left_out) == {"backfill": 1, "first_import": 1}
    assert [(line.kind, line.summary.count) for line in result.delays] == [("import", 1)]
    assert landings(result) == {"open": 3}


def test_what_if_counts_what_each_grace_period_would_have_missed(built: LedgerBuilder) -> None:
    """Of ended periods, usage accepted later than end plus grace is missed; unsent counts as now."""
    built.usage("r1", "2026-10-31T23:00:00Z", recorded="2026-11-01T00:00:00Z", quantity=100)
    built.accepted("r1", "2026-11-01T01:00:00Z")
    built.usage("r2", "2026-10-31T23:00:00Z", recorded="2026-11-01T00:00:00Z", quantity=250)
    built.accepted("r2", "2026-11-01T01:00:01Z")
    built.usage("r3", "2026-10-31T23:00:00Z", recorded="2026-11-01T00:00:00Z", quantity=400)
    result = audited(built, "2026-11-02T12:00:00Z")

    assert [
        (line.grace_period // HOUR_SECONDS, line.missed.events, str(line.missed.quantity))
        for line in result.what_if
    ] == [
        (1, 2, "6.5"),
        (3, 1, "4"),
        (6, 1, "4"),
        (12, 1, "4"),
        (24, 1, "4"),
        (48, 0, "0"),
        (72, 0, "0"),
    ]


def test_a_period_that_has_not_ended_is_no_what_if(built: LedgerBuilder) -> None:
    """What-if speaks of ended periods only."""
    built.usage("r1", "2026-10-30T23:00:00Z", recorded="2026-10-31T00:00:00Z")

    assert audited(built, "2026-10-31T12:00:00Z").what_if == []


def test_a_daily_batch_at_two_needs_three_hours(built: LedgerBuilder) -> None:
    """Delays of up to 26 h, yet the recommendation is 3 h: only what comes after a boundary counts."""
    for day in range(1, 23):
        built.usage(f"r{day}", f"2026-10-{day:02d}T00:30:00Z", recorded=f"2026-10-{day + 1:02d}T02:00:00Z")
        built.accepted(f"r{day}", f"2026-10-{day + 1:02d}T02:00:00Z")
    result = audited(built, "2026-10-25T00:00:00Z")

    assert result.rehearsed_lateness == 2 * HOUR_SECONDS
    assert result.recommended_grace_period == 3 * HOUR_SECONDS
    assert result.deciding_sources == ["default"]


def test_retry_time_and_margin_are_part_of_the_recommendation(built: LedgerBuilder) -> None:
    """Forty minutes late, plus 15 to retry and 5 of margin, is an hour; one second more is three."""
    for number in range(20):
        built.usage(f"r{number}", "2026-10-10T23:00:00Z", recorded="2026-10-11T00:40:00Z")
        built.accepted(f"r{number}", "2026-10-11T00:40:00Z")

    assert audited(built, "2026-10-12T12:00:00Z").recommended_grace_period == HOUR_SECONDS

    built.usage("late", "2026-10-11T23:00:00Z", recorded="2026-10-12T00:40:01Z")
    built.accepted("late", "2026-10-12T00:40:01Z")

    assert audited(built, "2026-10-12T12:00:00Z").recommended_grace_period == 3 * HOUR_SECONDS


def test_nothing_is_recommended_from_too_little_history(built: LedgerBuilder) -> None:
    """Under 20 samples there is no recommendation, and a finding says so."""
    built.usage("r1", "2026-10-10T23:00:00Z", recorded="2026-10-10T23:10:00Z")
    result = audited(built, "2026-10-12T12:00:00Z")

    assert result.recommended_grace_period is None
    assert "too_little_history" in codes(result)


def test_no_grace_period_is_long_enough_for_usage_that_never_came(built: LedgerBuilder) -> None:
    """Usage that is not accepted counts as still coming in: four days late fits no grace period."""
    for number in range(20):
        built.usage(f"r{number}", "2026-10-10T23:00:00Z", recorded="2026-10-10T23:10:00Z")

    assert audited(built, "2026-10-15T00:00:00Z").recommended_grace_period is None


def test_a_longer_grace_period_never_misses_more(built: LedgerBuilder) -> None:
    """From one grace period to the next longer one, missed usage only falls."""
    for number in range(30):
        accepted = f"2026-11-{1 + number // 12:02d}T{number * 2 % 24:02d}:30:00Z"
        built.usage(f"r{number}", "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z")
        built.accepted(f"r{number}", accepted)
    missed = [
        landings(audited(built, "2026-11-10T00:00:00Z", grace_period=hours * HOUR)).get("missed", 0)
        for hours in (1, 3, 6, 12, 24, 48, 72)
    ]

    assert sorted(missed, reverse=True) == missed
    assert missed[0] > missed[-1]
