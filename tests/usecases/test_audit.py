"""The audit against hand-computed cases: October 2026, grace 1 h, margin 5 min, retry 15 min."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.domain.instant import HOUR, parse_instant
from meterledger.domain.lateness import Landing
from meterledger.errors import LedgerError, UsageError
from support.audits import audited, codes, landings
from support.delivered_ledger import LedgerBuilder, ledger_builder


@pytest.fixture
def built(tmp_path: Path) -> Iterator[LedgerBuilder]:
    """Yield an empty ledger to fill."""
    with ledger_builder(tmp_path) as builder:
        yield builder


# October's deadline is 2026-11-01T01:00:00Z; usage is safe until 00:55:00.
@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("2026-10-31T23:59:59Z", Landing.LANDED),
        ("2026-11-01T00:55:00Z", Landing.LANDED),
        ("2026-11-01T00:55:01Z", Landing.AT_RISK),
        ("2026-11-01T01:00:00Z", Landing.AT_RISK),
        ("2026-11-01T01:00:01Z", Landing.MISSED),
    ],
)
def test_accepted_usage_is_judged_by_deadline_and_margin(
    built: LedgerBuilder, accepted: str, expected: Landing
) -> None:
    """Accepted usage has landed up to deadline minus margin, is at risk up to the deadline, then missed."""
    built.usage("r1", "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z").accepted("r1", accepted)

    assert {expected.value: 1} == landings(audited(built, "2026-11-02T00:00:00Z"))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-01T00:40:00Z", Landing.OPEN),
        ("2026-11-01T00:40:01Z", Landing.AT_RISK),
        ("2026-11-01T01:00:00Z", Landing.AT_RISK),
        ("2026-11-01T01:00:01Z", Landing.MISSED),
    ],
)
@pytest.mark.parametrize("sealed", [False, True])
def test_waiting_usage_is_open_while_a_push_would_still_make_it(
    built: LedgerBuilder, now: str, expected: Landing, *, sealed: bool
) -> None:
    """Unsent usage is open until now plus retry time passes deadline minus margin; past it, missed."""
    built.usage("r1", "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z")
    if sealed:
        built.not_sent("r1", "2026-10-31T23:20:00Z")

    assert {expected.value: 1} == landings(audited(built, now))


def test_expected_delivery_delay_of_source_and_meter_counts(built: LedgerBuilder) -> None:
    """With 20 deliveries of ten minutes each, waiting usage is at risk ten minutes earlier."""
    for number in range(20):
        name = f"past{number}"
        built.usage(name, "2026-10-31T20:00:00Z", recorded="2026-10-31T20:00:00Z")
        built.accepted(name, "2026-10-31T20:10:00Z")
    built.usage("r1", "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z")

    assert landings(audited(built, "2026-11-01T00:30:00Z")) == {"landed": 20, "open": 1}
    assert landings(audited(built, "2026-11-01T00:30:01Z")) == {"landed": 20, "at_risk": 1}


def test_nineteen_deliveries_say_nothing_about_the_next(built: LedgerBuilder) -> None:
    """Under 20 samples the expected delivery delay is zero."""
    for number in range(19):
        name = f"past{number}"
        built.usage(name, "2026-10-31T20:00:00Z", recorded="2026-10-31T20:00:00Z")
        built.accepted(name, "2026-10-31T20:10:00Z")
    built.usage("r1", "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z")

    assert landings(audited(built, "2026-11-01T00:40:00Z")) == {"landed": 19, "open": 1}


def test_unknown_outcomes_are_at_risk_whenever(built: LedgerBuilder) -> None:
    """An unknown outcome is at risk before and after the deadline: Stripe may have it."""
    built.usage("r1", "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z")
    built.unknown("r1", "2026-10-31T23:20:00Z")

    assert landings(audited(built, "2026-10-31T23:30:00Z")) == {"at_risk": 1}
    assert landings(audited(built, "2026-11-05T00:00:00Z")) == {"at_risk": 1}


@pytest.mark.parametrize(
    ("sent", "again", "expected"),
    [
        ("2026-11-01T00:50:00Z", "2026-11-01T00:54:00Z", Landing.LANDED),
        ("2026-11-01T00:50:00Z", "2026-11-01T00:56:00Z", Landing.LANDED),
        ("2026-11-01T00:56:00Z", "2026-11-01T02:00:00Z", Landing.AT_RISK),
        ("2026-11-01T01:01:00Z", "2026-11-01T02:00:00Z", Landing.MISSED),
    ],
)
def test_duplicate_answers_are_judged_by_what_the_attempts_allow(
    built: LedgerBuilder, sent: str, again: str, expected: Landing
) -> None:
    """After a duplicate answer the acceptance lies within the unknown attempt, not at the answer."""
    built.usage("r1", "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z")
    built.found_duplicate("r1", sent, again)

    assert {expected.value: 1} == landings(audited(built, "2026-11-02T00:00:00Z"))


@pytest.mark.parametrize(
    ("now", "expected"), [("2026-11-01T01:00:00Z", "at_risk"), ("2026-11-01T01:00:01Z", "missed")]
)
def test_rejected_and_blocked_usage_is_at_risk_until_the_deadline(
    built: LedgerBuilder, now: str, expected: str
) -> None:
    """What Stripe refused and what is blocked will not go by itself: at risk, then missed."""
    built.usage("r1", "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z")
    built.rejected("r1", "2026-10-31T23:20:00Z")
    built.usage("r2", "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z", customer="acme")

    assert {expected: 2} == landings(audited(built, now))


def test_entries_add_up_by_period_and_meter(built: LedgerBuilder) -> None:
    """One entry for each period and meter holds counts, exact quantities and the number of customers."""
    built.usage("r1", "2026-10-31T23:59:59.999999Z", recorded="2026-11-01T00:00:00Z", quantity=150)
    built.usage("r2", "2026-10-01T00:00:00Z", recorded="2026-11-01T00:00:00Z", quantity=75, customer="cus_b")
    built.usage("r3", "2026-11-01T00:00:00Z", recorded="2026-11-01T00:00:00Z", quantity=1)
    built.usage("r4", "2026-10-31T12:00:00Z", recorded="2026-11-01T00:00:00Z", quantity=7, feature="seats")
    result = audited(built, "2026-11-01T00:10:00Z")

    assert [
        (
            f"2026-{'10' if entry.period.start < parse_instant('2026-11-01T00:00:00Z') else '11'}",
            entry.event_name,
            entry.customers,
            str(entry.amounts[Landing.OPEN].quantity),
        )
        for entry in result.entries
    ] == [
        ("2026-10", "api_requests", 2, "2.25"),
        ("2026-10", "seats", 1, "7"),
        ("2026-11", "api_requests", 1, "0.01"),
    ]
    assert parse_instant("2026-11-01T01:00:00Z") == result.entries[0].deadline


def test_by_customer_gives_the_same_entries_for_each_customer(built: LedgerBuilder) -> None:
    """With --by customer each customer of a period and meter has an entry of its own."""
    built.usage("r1", "2026-10-31T20:00:00Z", recorded="2026-10-31T21:00:00Z", customer="cus_b")
    built.usage("r2", "2026-10-31T20:00:00Z", recorded="2026-10-31T21:00:00Z", customer="cus_a")
    result = audited(built, "2026-10-31T22:00:00Z", by_customer=True)

    assert [(entry.customer_id, entry.customers) for entry in result.entries] == [("cus_a", 1), ("cus_b", 1)]


def test_scope_is_current_ahead_closed_as_asked_and_unsettled(built: LedgerBuilder) -> None:
    """Settled periods further back than asked are left out; periods with unsent usage never are."""
    for month in ("07", "08", "09", "10", "11"):
        built.usage(f"r{month}", f"2026-{month}-15T00:00:01Z", recorded=f"2026-{month}-15T01:00:00Z")
    for month in ("08", "09", "10", "11"):
        built.accepted(f"r{month}", f"2026-{month}-15T02:00:00Z")

    def months(now: str, periods: int) -> list[int]:
        result = audited(built, now, periods=periods)
        return [
            round((entry.period.start - parse_instant("2026-01-01T00:00:00Z")) / HOUR / 24 / 30.5) + 1
            for entry in result.entries
        ]

    assert months("2026-11-20T00:00:00Z", 1) == [7, 10, 11]
    assert months("2026-11-20T00:00:00Z", 0) == [7, 11]
    assert months("2026-11-20T00:00:00Z", 2) == [7, 9, 10, 11]


def test_a_period_whose_deadline_is_ahead_is_no_closed_one(built: LedgerBuilder) -> None:
    """Within the grace period the last month is in scope besides the closed ones asked for."""
    for month in ("09", "10"):
        built.usage(f"r{month}", f"2026-{month}-15T00:00:01Z", recorded=f"2026-{month}-15T01:00:00Z")
        built.accepted(f"r{month}", f"2026-{month}-15T02:00:00Z")

    assert len(audited(built, "2026-11-01T00:30:00Z", periods=1).entries) == 2
    assert len(audited(built, "2026-11-01T02:00:00Z", periods=1).entries) == 1


@pytest.mark.parametrize(
    ("now", "entries"), [("2026-11-01T01:00:00.999999Z", 1), ("2026-11-01T01:00:01Z", 0)]
)
def test_a_deadline_is_ahead_until_its_second_is_over(built: LedgerBuilder, now: str, entries: int) -> None:
    """The scope goes by whole seconds, as what stands against the deadline does."""
    built.usage("r1", "2026-10-15T00:00:00Z", recorded="2026-10-15T00:10:00Z")
    built.accepted("r1", "2026-10-15T00:20:00Z")

    assert len(audited(built, now, periods=0).entries) == entries


@pytest.mark.parametrize(
    ("now", "verdict"), [("2026-11-01T00:59:00Z", "at_risk"), ("2026-11-01T01:00:01Z", "missed")]
)
def test_open_rejections_make_the_verdict(built: LedgerBuilder, now: str, verdict: str) -> None:
    """Refused usage of a period is at least at risk before its deadline, and missed after it."""
    built.rejection("2026-10-31T20:00:00Z", recorded="2026-10-31T21:00:00Z")
    result = audited(built, now)

    assert result.verdict == verdict
    assert "open_rejections" in codes(result)


def test_a_rejection_without_a_readable_time_is_no_finding(built: LedgerBuilder) -> None:
    """Nobody knows which period it would belong to."""
    built.rejection(None, recorded="2026-10-31T21:00:00Z")

    assert audited(built, "2026-11-05T00:00:00Z").verdict == "ok"


def test_as_of_hides_what_was_learnt_later(built: LedgerBuilder) -> None:
    """Asked about the past, the audit knows neither later imports nor later acceptances."""
    built.usage("r1", "2026-10-31T20:00:00Z", recorded="2026-10-31T21:00:00Z")
    built.accepted("r1", "2026-10-31T22:00:00Z")
    built.usage("r2", "2026-10-31T20:00:00Z", recorded="2026-10-31T23:00:00Z")

    assert landings(audited(built, "2026-10-31T20:30:00Z", as_of=True)) == {}
    assert landings(audited(built, "2026-10-31T21:30:00Z", as_of=True)) == {"open": 1}
    assert landings(audited(built, "2026-10-31T22:30:00Z", as_of=True)) == {"landed": 1}
    assert landings(audited(built, "2026-10-31T23:30:00Z", as_of=True)) == {"landed": 1, "open": 1}

    with pytest.raises(LedgerError, match="clock"):
        audited(built, "2026-10-31T20:30:00Z")


def test_findings_name_assumed_periods_boundaries_and_old_usage(built: LedgerBuilder, tmp_path: Path) -> None:
    """Assumed periods, usage stamped on a boundary and usage that grows too old are said."""
    built.usage("r1", "2026-11-01T00:00:00Z", recorded="2026-11-01T00:10:00Z")
    result = audited(built, "2026-12-04T00:00:00Z")

    assert {"period_assumed", "stamped_on_boundary", "nearing_too_old"} <= codes(result)

    (tmp_path / "calendar").mkdir()
    with ledger_builder(tmp_path / "calendar", anchors="calendar") as certain:
        certain.usage("r1", "2026-11-02T00:00:00Z", recorded="2026-11-02T00:10:00Z")

        assert "period_assumed" not in codes(audited(certain, "2026-11-03T00:00:00Z"))


def test_unknown_outcomes_nearing_the_horizon_are_a_finding(built: LedgerBuilder) -> None:
    """From 20 hours on, an unknown outcome is named before it can no longer be sent again."""
    built.usage("r1", "2026-10-20T00:00:00Z", recorded="2026-10-20T00:10:00Z")
    built.unknown("r1", "2026-10-20T01:00:00Z")

    assert "nearing_horizon" not in codes(audited(built, "2026-10-20T20:59:00Z"))
    assert "nearing_horizon" in codes(audited(built, "2026-10-20T21:00:00Z"))


def test_filters_leave_one_customer_or_meter(built: LedgerBuilder) -> None:
    """--customer and --meter restrict every figure."""
    built.usage("r1", "2026-10-20T00:00:01Z", recorded="2026-10-20T00:10:00Z")
    built.usage("r2", "2026-10-20T00:00:01Z", recorded="2026-10-20T00:10:00Z", customer="cus_b")
    built.usage("r3", "2026-10-20T00:00:01Z", recorded="2026-10-20T00:10:00Z", feature="seats")

    assert landings(audited(built, "2026-10-21T00:00:00Z", customer="cus_b")) == {"open": 1}
    assert landings(audited(built, "2026-10-21T00:00:00Z", meter="api_requests")) == {"open": 2}


def test_a_misspelt_filter_is_no_ok(built: LedgerBuilder) -> None:
    """A customer or meter that nothing is known of is an error: nothing to judge would be ok."""
    built.usage("r1", "2026-10-20T00:00:01Z", recorded="2026-10-20T00:10:00Z")

    for options in ({"customer": "cus_none"}, {"meter": "api_request"}):
        with pytest.raises(UsageError):
            audited(built, "2026-10-21T00:00:00Z", **options)
