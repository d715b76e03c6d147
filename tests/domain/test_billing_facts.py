"""What follows from Stripe's word on subscriptions and invoices: periods, deadlines, price changes."""

import pytest

from meterledger.domain.billing_facts import DELETED, BillingFacts, PulledInvoice, billed_items
from meterledger.domain.dues import NEVER, DeadlineSource, Due, Dues
from meterledger.domain.grace import Grace
from meterledger.domain.instant import HOUR, Instant, to_text
from support.billing_facts import at, draft, facts, final, line, pulled_item

GRACE = Grace(default=3 * HOUR, is_configured=True)


def due(known: BillingFacts, event_time: str) -> Due:
    """Return when a call of the customer is due."""
    return Dues(GRACE, items=billed_items(known)).at("cus_1", None, "calls", at(event_time)).due


def october(invoice: PulledInvoice, *, recorded: str = "11-01T00:10") -> Due:
    """Return when a call of October is due, with its invoice known."""
    return due(facts(("11-01", pulled_item()), invoices=((recorded, invoice),)), "10-15")


def test_a_draft_tells_its_own_deadline() -> None:
    """Stripe's automatically_finalizes_at comes before the configured grace period."""
    found = october(draft())
    assert (found.deadline, found.source) == (at("11-01T01:00"), DeadlineSource.DRAFT_INVOICE)
    assert not found.is_closed(at("11-30"))


def test_without_an_invoice_the_configured_grace_period_counts() -> None:
    """Before the draft is made, the deadline is the period's end and the grace period."""
    found = due(facts(("11-01", pulled_item())), "11-15")
    assert (to_text(found.deadline), found.source) == ("2026-12-01T03:00:00Z", DeadlineSource.CONFIGURED)
    assert found.dates_known


@pytest.mark.parametrize(
    ("invoice", "deadline"),
    [
        (draft(auto_advance=False, finalizes_at=None), NEVER),
        (draft(finalization_error="tax_error"), NEVER),
        (draft(finalizes_at=None), at("11-01T01:00")),
        (final("11-01T07:30"), at("11-01T07:30")),
        (draft(status=DELETED, finalizes_at=None), at("11-01T00:10")),
    ],
    ids=["held-open", "failed", "not-scheduled", "final", "deleted"],
)
def test_the_deadline_of_each_kind_of_invoice(invoice: PulledInvoice, deadline: Instant) -> None:
    """Held open it has none; unscheduled it has Stripe's shortest; final, when it became so."""
    assert october(invoice).deadline == deadline


def test_a_period_is_closed_by_its_cycle_invoice_alone() -> None:
    """Whether an update invoice takes the last word, Stripe does not say: its usage is still sent."""
    assert october(final("11-01T01:00")).is_closed(at("11-01T01:01"))
    assert not october(final("11-01T01:00", billing_reason="subscription_update")).is_closed(at("11-30"))


def test_a_threshold_invoice_does_not_end_the_period() -> None:
    """What it leaves out is billed at the period's end."""
    found = october(final("10-16", billing_reason="subscription_threshold", lines=(line("10-01", "10-16"),)))
    assert found.deadline == at("11-01T03:00")


def test_an_invoice_of_a_part_says_nothing_of_the_rest() -> None:
    """Billed to the 16th by an update: the rest of the month has its own deadline, asked in any order."""
    update = final("10-16", billing_reason="subscription_update", lines=(line("10-01", "10-16"),))
    known = billed_items(facts(("11-01", pulled_item()), invoices=(("10-16", update),)))
    for order in (("10-15", "10-17"), ("10-17", "10-15")):
        dues = Dues(GRACE, items=known)
        found = {day: dues.at("cus_1", None, "calls", at(day)).due.deadline for day in order}
        assert found == {"10-15": at("10-16"), "10-17": at("11-01T03:00")}


def test_two_prices_within_one_period_are_a_change() -> None:
    """Usage of such a period that is reported after its end is on no invoice, draft or not."""
    known = facts(("11-03", pulled_item()), ("11-09", pulled_item(price_id="price_2")))
    assert due(known, "11-20").deadline == at("12-01")
    lines = (line("10-01", "10-12"), line("10-12", "11-01", price="price_2"))
    assert october(draft(lines=lines)).deadline == at("11-01")


def test_two_prices_with_a_periods_end_between_say_nothing() -> None:
    """The price may have changed at the boundary, where grace holds."""
    known = facts(
        ("10-20", pulled_item(period_start=at("10-01"), period_end=at("11-01"))),
        ("11-09", pulled_item(price_id="price_2")),
    )
    assert due(known, "11-20").deadline == at("12-01T03:00")
    assert due(known, "10-25").deadline == at("11-01T03:00")


def test_a_cancelation_cuts_the_period() -> None:
    """After the end of a subscription nothing is billed by it, before it the period ends there."""
    known = facts(("11-01", pulled_item(cancel_at=at("11-20"))))
    assert due(known, "11-19").deadline == at("11-20T03:00")
    assert not due(known, "11-21").dates_known
