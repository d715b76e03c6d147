"""What the audit knows of the past: what was learnt later is hidden, and nothing that was known then."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.audits import audited, codes, landings
from support.delivered_ledger import LedgerBuilder, ledger_builder


@pytest.fixture
def built(tmp_path: Path) -> Iterator[LedgerBuilder]:
    """Yield a ledger with one usage event, of the last hour of October."""
    with ledger_builder(tmp_path) as builder:
        yield builder.usage("r1", "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z")


@pytest.mark.parametrize("sent", [True, False])
def test_what_was_in_doubt_then_was_in_doubt_whatever_was_said_later(
    built: LedgerBuilder, *, sent: bool
) -> None:
    """A person settled it at 02:00; before that, also after the deadline, it was at risk."""
    built.in_doubt("r1", "2026-10-31T23:20:00Z")
    before = landings(audited(built, "2026-11-01T01:30:00Z", as_of=True))
    built.resolved("r1", "2026-11-01T02:00:00Z", sent=sent)

    assert before == {"at_risk": 1}
    assert landings(audited(built, "2026-11-01T01:30:00Z", as_of=True)) == before


def test_an_outcome_past_the_horizon_hides_none_that_nears_it(built: LedgerBuilder) -> None:
    """Of two unknown outcomes one is 24 hours old, too old to be sent again; the other, of 21, is named."""
    built.usage("r2", "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z")
    built.unknown("r1", "2026-11-01T00:00:00Z").unknown("r2", "2026-11-01T03:00:00Z")

    assert "nearing_horizon" in codes(audited(built, "2026-11-02T00:00:00Z", as_of=True))
