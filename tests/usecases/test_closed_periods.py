"""Closed for certain: by the dates that are known of each customer, and in every report alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.domain.blocking import BlockReason
from meterledger.domain.instant import parse_instant
from meterledger.usecases.planning import Planner
from meterledger.usecases.preview import Preview, preview
from meterledger.usecases.standing import stand
from support.customers import import_anchors
from support.delivered_ledger import LedgerBuilder, ledger_builder


@pytest.fixture
def built(tmp_path: Path) -> Iterator[LedgerBuilder]:
    """Yield a ledger with usage of the last hour of a period that ends on 5 November at noon."""
    with ledger_builder(tmp_path) as builder:
        builder.usage("r1", "2026-11-05T11:30:00Z", recorded="2026-11-05T11:40:00Z")
        yield builder


@pytest.mark.parametrize(
    ("now", "blocked"), [("2026-11-08T11:59:59Z", False), ("2026-11-08T12:00:00Z", True)]
)
@pytest.mark.parametrize("known", [False, True])
def test_a_known_period_closes_72_hours_after_its_end(
    built: LedgerBuilder, tmp_path: Path, now: str, *, blocked: bool, known: bool
) -> None:
    """Status, preview and push hold its usage back then; where dates are assumed it is sent."""
    if known:
        import_anchors(built.ledger, built.settings, tmp_path, cus_a="2026-01-05T12:00:00Z")
    planner = Planner(built.ledger, built.settings, parse_instant(now))
    expected = {BlockReason.CLOSED_PERIOD: 1} if blocked and known else {}
    shown = Preview()
    events = list(preview(planner, shown))

    assert stand(planner).blocked == expected
    assert dict(shown.blocked) == expected
    assert len(events) == (0 if expected else 1)
    assert stand(planner).assumes_periods is not known
    including = Planner(built.ledger, built.settings, parse_instant(now), include_closed=True)
    assert len(list(preview(including, Preview()))) == 1


def test_period_assumed_is_about_usage_that_is_assumed(built: LedgerBuilder, tmp_path: Path) -> None:
    """A customers file that knows everybody in question leaves nothing to assume."""
    import_anchors(built.ledger, built.settings, tmp_path, cus_a="2026-01-05T12:00:00Z")
    planner = Planner(built.ledger, built.settings, parse_instant("2026-11-06T00:00:00Z"))
    shown = Preview()
    list(preview(planner, shown))

    assert [finding.code for finding in shown.findings] == ["past_deadline"]
