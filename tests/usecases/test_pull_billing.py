"""Pulling: what Stripe says is kept, what it will not say is a warning, and no other account comes in."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meterledger.config import load_settings
from meterledger.domain.billing_facts import DELETED
from meterledger.domain.dues import DeadlineSource
from meterledger.errors import StripeError, UsageError
from meterledger.ledger import Ledger, create_ledger, open_ledger
from meterledger.ledger.lease import Binding
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.billing import Refusal
from meterledger.usecases.grace_findings import grace_findings
from meterledger.usecases.known_dues import known_dues
from meterledger.usecases.pull_billing import PullReport, pull_billing, pulled_customers
from support.billing_facts import at, draft, final, line, pulled_item
from support.draft_stripe import ACCESS, DraftStripe

CONFIG = '[meters.calls]\nfeatures = ["calls"]\n[invoicing]\ngrace_period = "3h"\n'


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Return an empty ledger."""
    create_ledger(tmp_path / "usage.db")
    with open_ledger(tmp_path / "usage.db") as opened:
        yield opened


@pytest.fixture
def stripe() -> DraftStripe:
    """Return a Stripe with one subscription and the draft of October, ten minutes after its end."""
    made = DraftStripe(now=at("11-01T00:10"))
    made.billed.items = [pulled_item()]
    made.billed.invoices_by_id = {"in_1": draft()}
    return made


def pulled(ledger: Ledger, stripe: DraftStripe, access: StripeAccess = ACCESS) -> PullReport:
    """Pull once."""
    return asyncio.run(
        pull_billing(ledger, stripe, access, paced=stripe.paced(), server_date=lambda: stripe.now)
    )


def test_the_draft_of_stripe_comes_before_the_config(ledger: Ledger, stripe: DraftStripe) -> None:
    """What was pulled decides when usage is due, and the config's other grace period is a finding."""
    settings = load_settings(None, folder=ledger.path.parent)
    report = pulled(ledger, stripe)
    assert (report.items, report.invoices, report.drafts, report.warnings) == (1, 1, 1, [])
    due = known_dues(ledger, settings).at("cus_1", None, "calls", at("10-15")).due
    assert (due.deadline, due.source) == (at("11-01T01:00"), DeadlineSource.DRAFT_INVOICE)
    assert (
        not known_dues(ledger, settings, at("11-01")).at("cus_1", None, "calls", at("10-15")).due.dates_known
    )


def test_findings_name_both_grace_periods(ledger: Ledger, stripe: DraftStripe, tmp_path: Path) -> None:
    """Nothing was pulled: nothing is said. After it the mismatch is, with both figures."""
    config = tmp_path / "meterledger.toml"
    config.write_text(CONFIG)
    settings = load_settings(config, folder=tmp_path)
    assert list(grace_findings(ledger, settings, stripe.now)) == []
    pulled(ledger, stripe)
    (finding,) = grace_findings(ledger, settings, stripe.now)
    figures = finding.as_dict()
    assert (figures["code"], figures["observed_seconds"], figures["configured_seconds"]) == (
        "grace_mismatch",
        3600,
        10_800,
    )
    assert list(grace_findings(ledger, settings, at("11-01"))) == []


def test_invoices_that_may_not_be_read_are_a_warning(ledger: Ledger, stripe: DraftStripe) -> None:
    """A restricted key: subscriptions are kept, what was known of invoices stays."""
    pulled(ledger, stripe)
    stripe.billed.refusals["invoices"] = Refusal(warning="invoices could not be read (403)")
    report = pulled(ledger, stripe)
    assert report.warnings == ["invoices could not be read (403)"]
    assert (report.pull.subscriptions_read, report.pull.invoices_read) == (True, False)
    assert ledger.subscriptions.facts().invoices["in_1"].invoice.is_draft


@pytest.mark.parametrize("refused", ["subscriptions", "meters"])
def test_subscriptions_that_may_not_be_read_end_nothing(
    ledger: Ledger, stripe: DraftStripe, refused: str
) -> None:
    """A list that was refused does not say that its items are gone."""
    pulled(ledger, stripe)
    if refused == "meters":
        stripe.meters = None
    else:
        stripe.billed.refusals["subscriptions"] = Refusal(warning="subscriptions could not be read (403)")
    assert "403" in pulled(ledger, stripe).warnings[0]
    assert ledger.subscriptions.facts().latest()[0].ended_at is None


def test_stripe_in_trouble_stops_and_keeps_what_was_known(ledger: Ledger, stripe: DraftStripe) -> None:
    """After some tries the run ends; nothing half-read is recorded."""
    stripe.billed.refusals["invoices"] = Refusal(warning="invoices could not be read (500)", for_now=True)
    with pytest.raises(StripeError, match="500"):
        pulled(ledger, stripe)
    assert ledger.subscriptions.latest_pull() is None


def test_a_draft_that_no_list_shows_is_looked_at(ledger: Ledger, stripe: DraftStripe) -> None:
    """An old draft that was finalized since is out of both lists; one that is gone was deleted."""
    stripe.billed.invoices_by_id = {
        name: draft(invoice_id=name, created=at("03-01"), lines=(line("02-01", "03-01"),))
        for name in ("in_1", "in_2")
    }
    pulled(ledger, stripe)
    stripe.billed.invoices_by_id = {
        "in_1": final("11-01", created=at("03-01"), lines=(line("02-01", "03-01"),))
    }
    pulled(ledger, stripe)
    known = ledger.subscriptions.facts().invoices
    assert [known[name].invoice.status for name in ("in_1", "in_2")] == ["open", DELETED]


def test_lines_of_other_items_are_left_out(ledger: Ledger, stripe: DraftStripe) -> None:
    """An invoice without a metered line says nothing of usage."""
    stripe.billed.invoices_by_id["in_2"] = draft(
        invoice_id="in_2", lines=(line("10-01", "11-01", item="si_licensed"),)
    )
    assert pulled(ledger, stripe).invoices == 1


def test_another_account_is_refused(ledger: Ledger, stripe: DraftStripe) -> None:
    """Periods of two accounts would be mixed up: by the pulls before, and by what the ledger is bound to."""
    pulled(ledger, stripe)
    with pytest.raises(UsageError, match="has pulled from"):
        pulled(ledger, stripe, replace(ACCESS, base="http://127.0.0.1:9"))
    stripe.account = "acct_2"
    with pytest.raises(UsageError, match="has pulled from"):
        pulled(ledger, stripe)
    ledger.lease.bind(
        Binding(account_id="acct_1", stripe_account="", mode="test", host=ACCESS.base), stripe.now
    )
    with pytest.raises(UsageError, match="bound to the account"):
        pulled(ledger, stripe)


def test_a_clock_far_from_stripes_stops(ledger: Ledger, stripe: DraftStripe) -> None:
    """What was known when is told by the clock: a wrong one would mix it up."""
    with pytest.raises(StripeError, match="clock"):
        asyncio.run(
            pull_billing(ledger, stripe, ACCESS, paced=stripe.paced(), server_date=lambda: at("11-02"))
        )


def test_without_a_file_a_customer_is_called_as_stripe_does(ledger: Ledger, stripe: DraftStripe) -> None:
    """Nothing is guessed from metadata: the Stripe customer stands for itself."""
    pulled(ledger, stripe)
    (row,) = pulled_customers(ledger)
    assert (row["customer_id"], row["stripe_customer_id"], row["ends_at"]) == ("cus_1", "cus_1", None)
