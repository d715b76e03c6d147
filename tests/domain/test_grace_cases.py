"""What grace periods do not cover, one case at a time."""

import pytest

from meterledger.domain.billing_facts import DELETED, BillingFacts
from meterledger.domain.grace_cases import CaseFound, GraceCase, GraceQuestion, grace_cases
from meterledger.domain.instant import DAY, HOUR
from support.billing_facts import at, draft, facts, final, line, pulled_item

NOVEMBER = ("11-01", pulled_item())


def cases(known: BillingFacts, *, grace: int = HOUR, invoices_read: bool = True) -> list[CaseFound]:
    """Return the cases on 10 November."""
    question = GraceQuestion(
        facts=known, configured=lambda _event, _customer: grace, now=at("11-10"), invoices_read=invoices_read
    )
    return grace_cases(question)


def test_as_configured_there_is_nothing_to_say() -> None:
    """A draft that waits for as long as the config says is no case; some seconds do not matter."""
    late = draft(created=at("11-01") + 20_000_000)
    assert cases(facts(NOVEMBER, invoices=(("11-01", draft()),))) == []
    assert cases(facts(NOVEMBER, invoices=(("11-01", late),))) == []


def test_a_mismatch_has_both_figures() -> None:
    """Three hours are configured, Stripe waits one."""
    (found,) = cases(facts(NOVEMBER, invoices=(("11-01", draft()),)), grace=3 * HOUR)
    assert (found.case, found.billing_reason) == (GraceCase.GRACE_MISMATCH, "subscription_cycle")
    assert (found.observed_seconds, found.configured_seconds) == (3600, 10_800)
    assert found.invoices == ("in_1",)


def test_grace_is_learnt_from_the_first_sight_of_a_draft() -> None:
    """A deadline that was moved later is no mismatch, and is said to be moved."""
    moved = draft(finalizes_at=at("11-01T07:00"))
    (found,) = cases(facts(NOVEMBER, invoices=(("11-01", draft()), ("11-02", moved))))
    assert (found.case, found.invoices) == (GraceCase.DEADLINE_MOVED, ("in_1",))


def test_one_that_waits_otherwise_than_the_others_was_moved() -> None:
    """What most drafts have is Stripe's setting; the odd one has a deadline of its own."""
    others = [("11-01", draft(invoice_id=f"in_{number}")) for number in (2, 3)]
    odd = draft(finalizes_at=at("11-04"))
    (found,) = cases(facts(NOVEMBER, invoices=(("11-01", odd), *others)))
    assert (found.case, found.invoices) == (GraceCase.DEADLINE_MOVED, ("in_1",))


def test_kinds_of_invoices_are_learnt_apart() -> None:
    """Stripe's rules tell cycle invoices from others."""
    other = draft(invoice_id="in_2", billing_reason="subscription_update", finalizes_at=at("11-01T05:00"))
    (found,) = cases(facts(NOVEMBER, invoices=(("11-01", draft()), ("11-01", other))))
    assert (found.billing_reason, found.observed_seconds) == ("subscription_update", 5 * 3600)


@pytest.mark.parametrize(
    ("known", "case"),
    [
        (
            facts(NOVEMBER, invoices=(("11-01", final("11-01", billing_reason="subscription_create")),)),
            GraceCase.FIRST_INVOICE,
        ),
        (
            facts(NOVEMBER, invoices=(("11-01", final("11-01", billing_reason="subscription_threshold")),)),
            GraceCase.THRESHOLD_INVOICE,
        ),
        (facts(("11-01", pulled_item(has_thresholds=True))), GraceCase.THRESHOLD_INVOICE),
        (facts(NOVEMBER, ("11-05", pulled_item(price_id="price_2"))), GraceCase.PRICE_CHANGED),
        (facts(("11-01", pulled_item(has_pending_update=True))), GraceCase.PRICE_CHANGE_PENDING),
        (facts(("11-05", pulled_item(ended_at=at("11-05")))), GraceCase.CANCELED_UNINVOICED),
        (
            facts(NOVEMBER, invoices=(("11-01", draft(auto_advance=False, finalizes_at=None)),)),
            GraceCase.DRAFT_HELD_OPEN,
        ),
        (
            facts(NOVEMBER, invoices=(("11-01", draft(finalization_error="tax", finalizes_at=None)),)),
            GraceCase.DRAFT_HELD_OPEN,
        ),
        (
            facts(NOVEMBER, invoices=(("11-01", draft(status=DELETED, finalizes_at=None)),)),
            GraceCase.DRAFT_DELETED,
        ),
    ],
)
def test_each_case_is_found_and_alone(known: BillingFacts, case: GraceCase) -> None:
    """One fact, one case, with the subscription that it is of."""
    (found,) = cases(known)
    assert (found.case, found.subscriptions) == (case, ("sub_1",))


def test_a_grace_period_as_long_as_the_billing_period_does_not_hold() -> None:
    """Stripe takes only a shorter one: a day for a daily subscription is none."""
    daily = pulled_item(interval_unit="day", period_start=at("11-10"), period_end=at("11-11"))
    assert [one.case for one in cases(facts(("11-10", daily)), grace=DAY)] == [GraceCase.GRACE_NOT_SHORTER]
    assert cases(facts(("11-10", daily)), grace=DAY - 1) == []


def test_what_ended_with_an_invoice_is_billed() -> None:
    """A last invoice up to the end is there; and where invoices were not read, none is missed."""
    ended = ("11-05", pulled_item(ended_at=at("11-05")))
    last = final("11-05", billing_reason="subscription_update", lines=(line("11-01", "11-05"),))
    assert cases(facts(ended, invoices=(("11-05", last),))) == []
    assert cases(facts(ended), invoices_read=False) == []


def test_what_is_long_ago_is_not_told() -> None:
    """Usage that old is not taken any more."""
    old = final("09-01", created=at("09-01"), billing_reason="subscription_create")
    ended = pulled_item(item_id="si_2", ended_at=at("09-02"))
    assert cases(facts(NOVEMBER, ("09-02", ended), invoices=(("09-01", old),))) == []
