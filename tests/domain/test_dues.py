"""Dues: the period that usage is billed in and its deadline, by what is best known of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.billing_period import BillingCycle, BillingPeriod
from meterledger.domain.customers import SINCE_EVER, BookEntry, CustomerBook, CustomerStatus, Standing
from meterledger.domain.dues import NEVER, BilledItem, DeadlineSource, Due, Dues, KnownInvoice
from meterledger.domain.grace import Grace, GraceRule
from meterledger.domain.instant import DAY, HOUR, Instant, parse_instant, to_text
from support.properties import steady

GRACE = Grace(default=3 * HOUR, is_configured=True)


def at(text: str) -> Instant:
    """Return an instant of 2026, `10-31T05:00` in UTC."""
    return parse_instant(f"2026-{text}:00Z")


def between(start: str, end: str) -> BillingPeriod:
    """Return a period of 2026 by its days."""
    return BillingPeriod(at(f"{start}T00:00"), at(f"{end}T00:00"))


MONTHLY = BillingCycle(at("01-31T00:00"), "month", 1)


def standing(cycle: BillingCycle | None, subscription_id: str = "", customer: str = "cus_a") -> Standing:
    """Return what a customers file says of an active customer."""
    return Standing(subscription_id, customer, None, CustomerStatus.ACTIVE, cycle)


def item(*invoices: KnownInvoice, **facts: object) -> BilledItem:
    """Return an item that bills from the 10th to the 10th."""
    whole: dict[str, object] = {
        "subscription_id": "sub_1",
        "cycle": BillingCycle(at("03-10T00:00"), "month", 1),
        "current": between("11-10", "12-10"),
        "start": at("03-10T00:00"),
        "invoices": invoices,
    }
    return BilledItem(**(whole | facts))  # type: ignore[arg-type] # any of its fields


def shown(due: Due) -> tuple[str, str, str]:
    """Return the days of a period and the deadline, as text."""
    return to_text(due.period.start)[5:10], to_text(due.period.end)[5:10], to_text(due.deadline)[5:16]


def test_without_any_word_periods_are_assumed_to_be_calendar_months() -> None:
    """The month that the usage took place in, with the grace period of the config."""
    due = Dues(GRACE).at("acme", None, "calls", at("10-31T23:59")).due
    assert shown(due) == ("10-01", "11-01", "11-01T03:00")
    assert due.source is DeadlineSource.CONFIGURED
    assert not due.dates_known


def test_nobody_said_so_is_the_default() -> None:
    """A grace period that is not configured is Stripe's own, and is called so."""
    due = Dues(Grace()).at("acme", None, "calls", at("10-31T23:59")).due
    assert (shown(due)[2], due.source) == ("11-01T01:00", DeadlineSource.DEFAULT)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("02-27T23:59", ("01-31", "02-28", "02-28T03:00")),
        ("02-28T00:00", ("02-28", "03-31", "03-31T03:00")),
        ("03-31T00:00", ("03-31", "04-30", "04-30T03:00")),
    ],
)
def test_an_anchor_on_the_31st_rolls_as_at_stripe(when: str, expected: tuple[str, str, str]) -> None:
    """Counted from the anchor: after a short month the 31st is back."""
    book = CustomerBook([BookEntry("acme", SINCE_EVER, standing(MONTHLY))])
    due = Dues(GRACE, customers=book).at("acme", None, "calls", at(when)).due
    assert shown(due) == expected
    assert due.dates_known


def test_a_config_that_says_calendar_comes_before_the_file() -> None:
    """`anchors = "calendar"` is for certain."""
    book = CustomerBook([BookEntry("acme", SINCE_EVER, standing(MONTHLY))])
    due = Dues(GRACE, customers=book, calendar_known=True).at("acme", None, "calls", at("02-05T00:00")).due
    assert (shown(due)[:2], due.dates_known) == (("02-01", "03-01"), True)


def test_of_several_subscriptions_the_earliest_deadline_counts() -> None:
    """Usage that names none of them may be billed by any."""
    weekly = BillingCycle(at("01-05T00:00"), "week", 1)
    book = CustomerBook(
        [
            BookEntry("acme", SINCE_EVER, standing(MONTHLY, "sub_m")),
            BookEntry("acme", SINCE_EVER, standing(weekly, "sub_w")),
        ]
    )
    dues = Dues(GRACE, customers=book)
    assert shown(dues.at("acme", None, "calls", at("02-04T00:00")).due)[:2] == ("02-02", "02-09")
    assert shown(dues.at("acme", "sub_m", "calls", at("02-04T00:00")).due)[:2] == ("01-31", "02-28")


def test_one_subscription_without_an_anchor_leaves_it_assumed() -> None:
    """What is known of one says nothing about the other."""
    book = CustomerBook(
        [
            BookEntry("acme", SINCE_EVER, standing(MONTHLY, "sub_m")),
            BookEntry("acme", SINCE_EVER, standing(None, "sub_x")),
        ]
    )
    assert not Dues(GRACE, customers=book).at("acme", None, "calls", at("02-04T00:00")).due.dates_known


def test_a_changed_anchor_holds_from_when_it_was_changed() -> None:
    """Usage before it keeps its period, cut by nothing: the stretch ends where the file changed."""
    book = CustomerBook(
        [
            BookEntry("acme", SINCE_EVER, standing(MONTHLY)),
            BookEntry("acme", at("05-15T00:00"), standing(BillingCycle(at("05-15T00:00"), "month", 1))),
        ]
    )
    dues = Dues(GRACE, customers=book)
    before, after = (dues.at("acme", None, "calls", at(when)) for when in ("05-14T00:00", "05-16T00:00"))
    assert shown(before.due)[:2] == ("04-30", "05-31")
    assert before.end == at("05-15T00:00")
    assert shown(after.due)[:2] == ("05-15", "06-15")


def test_stripes_word_comes_before_all() -> None:
    """Current period and cycle of the item that bills the meter; the grace period while there is no draft."""
    dues = Dues(GRACE, calendar_known=True, items={("cus_a", "calls"): [item()]})
    assert shown(dues.at("cus_a", None, "calls", at("11-20T00:00")).due) == ("11-10", "12-10", "12-10T03:00")
    assert shown(dues.at("cus_a", None, "calls", at("10-20T00:00")).due) == ("10-10", "11-10", "11-10T03:00")
    assert shown(dues.at("cus_a", None, "other", at("10-20T00:00")).due)[:2] == ("10-01", "11-01")


def test_the_draft_says_when_it_finalizes() -> None:
    """Its `automatically_finalizes_at` counts, whatever the config says."""
    draft = KnownInvoice(between("10-10", "11-10"), at("11-11T12:00"))
    due = (
        Dues(GRACE, items={("cus_a", "calls"): [item(draft)]})
        .at("cus_a", None, "calls", at("11-09T23:00"))
        .due
    )
    assert (shown(due)[2], due.source) == ("11-11T12:00", DeadlineSource.DRAFT_INVOICE)


def test_after_a_price_change_in_mid_period_there_is_no_grace() -> None:
    """Usage that is reported after the end of that period is on no invoice."""
    dues = Dues(GRACE, items={("cus_a", "calls"): [item(price_changes=(at("10-20T00:00"),))]})
    assert shown(dues.at("cus_a", None, "calls", at("10-30T00:00")).due)[2] == "11-10T00:00"
    assert shown(dues.at("cus_a", None, "calls", at("11-11T00:00")).due)[2] == "12-10T03:00"


def test_a_subscription_that_ends_ends_its_period() -> None:
    """What took place after it is not billed by it."""
    dues = Dues(GRACE, items={("cus_a", "calls"): [item(end=at("11-20T00:00"))]})
    assert shown(dues.at("cus_a", None, "calls", at("11-19T00:00")).due)[:2] == ("11-10", "11-20")
    assert not dues.at("cus_a", None, "calls", at("11-20T00:00")).due.dates_known


@pytest.mark.parametrize(
    ("due", "closed_from"),
    [
        (Due(between("10-01", "11-01"), at("11-01T03:00"), DeadlineSource.DEFAULT, dates_known=False), None),
        (
            Due(between("10-01", "11-01"), at("11-01T03:00"), DeadlineSource.DEFAULT, dates_known=True),
            "11-04T00:00",
        ),
    ],
)
def test_without_an_invoice_a_known_period_closes_after_stripes_longest_grace(
    due: Due, closed_from: str | None
) -> None:
    """72 hours after its end; one that is only assumed never does."""
    if closed_from is None:
        assert not due.is_closed(at("12-31T00:00"))
    else:
        assert (due.is_closed(at(closed_from) - 1), due.is_closed(at(closed_from))) == (False, True)


def test_an_invoice_closes_its_period_when_it_is_final_and_not_before() -> None:
    """A draft that is held open keeps it open; one that is final closes it at that instant."""
    period = between("10-01", "11-01")
    held = Due(
        period, NEVER, DeadlineSource.DRAFT_INVOICE, dates_known=True, invoice=KnownInvoice(period, NEVER)
    )
    final = KnownInvoice(period, at("11-01T02:00"), is_final=True)
    closed = Due(period, final.deadline, DeadlineSource.DRAFT_INVOICE, dates_known=True, invoice=final)
    assert not held.is_closed(at("12-31T00:00"))
    assert closed.is_closed(at("11-01T02:00"))
    assert not closed.is_closed(at("11-01T01:59"))


CYCLES = st.builds(
    BillingCycle,
    st.integers(0, 400).map(lambda day: at("01-01T00:00") + day * DAY),
    st.sampled_from(["day", "week", "month"]),
    st.integers(1, 3),
)


@given(
    st.lists(st.tuples(st.integers(0, 500), CYCLES), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 500 * 24), st.sampled_from([None, "s0", "s1"])), max_size=12),
    st.sampled_from([0, 1]),
)
@steady
def test_what_was_found_before_changes_no_answer(
    said: list[tuple[int, BillingCycle]], asked: list[tuple[int, str | None]], rules: int
) -> None:
    """In whatever order it is asked, the answer is that of asking anew, and lies in its own stretch."""
    base = at("01-01T00:00")
    book = CustomerBook(
        [
            BookEntry("acme", base + day * DAY if number else SINCE_EVER, standing(cycle, f"s{number % 2}"))
            for number, (day, cycle) in enumerate(said)
        ]
    )
    rule = GraceRule(grace_period=HOUR, customers=frozenset({"cus_a"}))
    grace = Grace(default=3 * HOUR, rules=(rule,) * rules)
    dues = Dues(grace, customers=book)
    for hours, subscription_id in asked:
        instant = base + hours * HOUR
        found = dues.at("acme", subscription_id, "calls", instant)
        assert found.start <= instant < found.end
        assert found.due == Dues(grace, customers=book).at("acme", subscription_id, "calls", instant).due


def test_usage_is_closed_only_when_all_that_may_bill_it_is() -> None:
    """Of two subscriptions the earlier deadline is the due; while the other may bill it, it is not closed."""
    weekly = BillingCycle(at("01-05T00:00"), "week", 1)
    book = CustomerBook(
        [
            BookEntry("acme", SINCE_EVER, standing(MONTHLY, "sub_m")),
            BookEntry("acme", SINCE_EVER, standing(weekly, "sub_w")),
        ]
    )
    stretch = Dues(GRACE, customers=book).at("acme", None, "calls", at("02-04T00:00"))
    assert stretch.due.closes_at == at("02-12T00:00")
    assert stretch.closes_at == at("03-03T00:00")
