"""Which deadlines an audit forecasts, and by which of them usage of the past would have been late."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meterledger.domain.dues import NEVER
from meterledger.domain.grace import GraceRule
from meterledger.domain.instant import DAY, HOUR, MINUTE, parse_instant, to_text
from support.audits import audited
from support.billing_facts import draft, pull, pulled_item
from support.delivered_ledger import LedgerBuilder, ledger_builder

END = parse_instant("2026-11-01T00:00:00Z")
EVERY = 30 * MINUTE


@pytest.fixture
def built(tmp_path: Path) -> Iterator[LedgerBuilder]:
    """Yield an empty ledger to fill."""
    with ledger_builder(tmp_path) as builder:
        yield builder


def hourly(built: LedgerBuilder, delay: int, *customers: str) -> None:
    """Let usage of ten days arrive with a delay, a usage event of each customer in every hour."""
    for number in range(10 * 24):
        at = END - 10 * DAY + number * HOUR
        for customer in customers:
            built.usage(f"{customer}-{number}", to_text(at), recorded=to_text(at + delay), customer=customer)


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-11-01T01:00:00Z", ["2026-11-01T00:00:00Z"]),
        ("2026-11-01T01:00:00.999999Z", ["2026-11-01T00:00:00Z"]),
        ("2026-11-01T01:00:01Z", []),
    ],
)
def test_a_deadline_is_ahead_until_its_second_is_over(
    built: LedgerBuilder, now: str, ends: list[str]
) -> None:
    """As in the audit's figures, which go by whole seconds."""
    built.usage("r1", "2026-10-31T10:00:00Z", recorded="2026-10-31T10:00:00Z")

    forecasts = audited(built, now, as_of=True).forecasts
    assert [to_text(one.closing.period.end) for one in forecasts] == ends


def test_a_draft_that_is_held_open_has_no_forecast(built: LedgerBuilder) -> None:
    """No clock finalizes it, so that nothing can come too late."""
    built.usage("r1", "2026-10-31T10:00:00Z", recorded="2026-10-31T10:00:00Z", customer="cus_1")
    item = pulled_item(event_name="api_requests")
    held = draft(auto_advance=False, finalizes_at=None)
    built.ledger.subscriptions.record(pull(END), [item], [held])
    result = audited(built, "2026-11-01T00:10:00Z", as_of=True)

    assert [entry.deadline for entry in result.entries] == [NEVER]
    assert result.forecasts == []


def test_late_usage_is_found_for_the_shortest_grace_period(built: LedgerBuilder) -> None:
    """One customer's day of grace hides nothing that the other's hour misses."""
    rule = GraceRule(grace_period=DAY, customers=frozenset({"patient"}))
    built.settings = replace(built.settings, invoicing=replace(built.settings.invoicing, grace_rules=(rule,)))
    hourly(built, 3 * HOUR, "patient", "usual")
    result = audited(built, "2026-10-31T23:30:00Z", push_every=EVERY, as_of=True)

    late = {
        (one.closing.deadline - END) // HOUR: one.forecast.late and one.forecast.late.expected.events
        for one in result.forecasts
    }
    # Of the last hours before the end, 23:00 and 22:00 arrive after 01:00.
    assert late == {1: 2, 24: 0}
