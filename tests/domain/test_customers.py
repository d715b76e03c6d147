"""The book of customers: what held of whom, at which instant."""

import pickle
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.blocking import BlockReason, BlockRules, stripe_customer
from meterledger.domain.customers import (
    SINCE_EVER,
    BookEntry,
    CustomerBook,
    CustomerStatus,
    Standing,
)
from meterledger.domain.meter import Catalogue
from support.properties import steady

NOVEMBER = 1_793_491_200_000_000


def entry(
    customer_id: str,
    stripe_customer_id: str,
    subscription_id: str = "",
    *,
    since: int = SINCE_EVER,
    plan: str | None = None,
    status: str = "active",
) -> BookEntry:
    """Return one state."""
    standing = Standing(subscription_id, stripe_customer_id, plan, CustomerStatus(status))
    return BookEntry(customer_id, since, standing)


def billed(
    book: CustomerBook, customer_id: str, subscription_id: str | None = None, at: int = NOVEMBER
) -> str:
    """Return the Stripe customer of usage, or the reason that there is not exactly one."""
    rules = BlockRules(catalogue=Catalogue(()), now=NOVEMBER, customers=book)
    return str(stripe_customer(rules, customer_id, subscription_id, at))


TWO = CustomerBook([entry("acme", "cus_A", "sub_1"), entry("acme", "cus_B", "sub_2")])


def test_the_first_known_state_holds_for_all_time() -> None:
    """Usage from before the first import is billed to whom it says."""
    book = CustomerBook([entry("acme", "cus_A")])

    assert billed(book, "acme", at=0) == billed(book, "acme", at=2**60) == "cus_A"


def test_what_held_at_event_time_counts() -> None:
    """A later state holds from its first microsecond, and not before."""
    book = CustomerBook([entry("acme", "cus_A"), entry("acme", "cus_B", since=NOVEMBER)])

    assert billed(book, "acme", at=NOVEMBER - 1) == "cus_A"
    assert billed(book, "acme", at=NOVEMBER) == "cus_B"


def test_of_two_that_begin_at_once_the_later_record_counts() -> None:
    """A record that was wrong is corrected by another from the same instant."""
    book = CustomerBook(
        [entry("acme", "cus_A"), entry("acme", "cus_B", since=5), entry("acme", "cus_C", since=5)]
    )

    assert billed(book, "acme", at=5) == "cus_C"


def test_a_customer_is_unknown_before_it_began() -> None:
    """A state with a beginning of its own says nothing of the time before it."""
    book = CustomerBook([entry("acme", "cus_A", since=NOVEMBER)])

    assert billed(book, "acme", at=NOVEMBER - 1) == BlockReason.UNKNOWN_CUSTOMER


@pytest.mark.parametrize(
    ("subscription_id", "expected"),
    [
        ("sub_1", "cus_A"),
        ("sub_2", "cus_B"),
        ("sub_3", BlockReason.UNKNOWN_CUSTOMER),
        (None, BlockReason.AMBIGUOUS_CUSTOMER),
    ],
)
def test_two_stripe_customers_need_the_subscription(subscription_id: str | None, expected: str) -> None:
    """Where a customer has two Stripe customers the row has to name the subscription, and a known one."""
    assert billed(TWO, "acme", subscription_id) == expected


def test_two_subscriptions_of_one_stripe_customer_need_none() -> None:
    """Where all subscriptions lead to one Stripe customer there is nothing to choose."""
    book = CustomerBook([entry("acme", "cus_A", "sub_1"), entry("acme", "cus_A", "sub_2")])

    assert billed(book, "acme") == "cus_A"


def test_a_row_without_subscription_is_for_usage_without_one() -> None:
    """A file may say who is billed where usage names no subscription."""
    book = CustomerBook(
        [entry("acme", "cus_A", "sub_1"), entry("acme", "cus_B", "sub_2"), entry("acme", "cus_B")]
    )

    assert billed(book, "acme") == "cus_B"
    assert billed(book, "acme", "sub_1") == "cus_A"
    assert billed(book, "acme", "sub_9") == BlockReason.UNKNOWN_CUSTOMER


@pytest.mark.parametrize("since", [SINCE_EVER, 5])
def test_a_customer_without_subscriptions_takes_any(since: int) -> None:
    """A file that names no subscription of a customer says who is billed for all of them."""
    book = CustomerBook([entry("acme", "cus_A", since=since)])

    assert billed(book, "acme", "sub_whatever") == "cus_A"


def test_a_canceled_subscription_is_not_meant_while_another_lives() -> None:
    """After one of two was canceled, usage without a subscription is the other's; before, it is either's."""
    book = CustomerBook(
        [
            entry("acme", "cus_A", "sub_1"),
            entry("acme", "cus_B", "sub_2"),
            entry("acme", "cus_A", "sub_1", since=NOVEMBER, status="canceled"),
        ]
    )

    assert billed(book, "acme", at=NOVEMBER) == "cus_B"
    assert billed(book, "acme", at=NOVEMBER - 1) == BlockReason.AMBIGUOUS_CUSTOMER
    assert billed(book, "acme", "sub_1", at=NOVEMBER) == "cus_A"


def test_a_stripe_customer_is_known_by_its_own_id() -> None:
    """Usage may name the Stripe customer that the file knows, as long as the file maps to it."""
    book = CustomerBook([entry("acme", "cus_A"), entry("acme", "cus_B", since=NOVEMBER)])

    assert billed(book, "cus_A", at=NOVEMBER - 1) == "cus_A"
    assert billed(book, "cus_A", at=NOVEMBER) == BlockReason.UNKNOWN_CUSTOMER
    assert billed(book, "cus_B", at=NOVEMBER) == "cus_B"
    assert billed(TWO, "cus_A") == "cus_A"
    assert billed(TWO, "cus_A", "sub_2") == BlockReason.UNKNOWN_CUSTOMER
    assert billed(TWO, "cus_Z") == BlockReason.UNKNOWN_CUSTOMER


def test_the_products_id_comes_before_stripes() -> None:
    """An id that is one customer's own and another's Stripe customer means the first."""
    book = CustomerBook([entry("cus_A", "cus_B"), entry("acme", "cus_A")])

    assert billed(book, "cus_A") == "cus_B"


def test_subscriptions_are_listed_for_a_message() -> None:
    """What a customer has is told in order; a customer that is not there has nothing to tell."""
    assert TWO.subscriptions_of("acme") == ["sub_1", "sub_2"]
    assert TWO.subscriptions_of("cus_B") == ["sub_2"]
    assert TWO.subscriptions_of("beta") is None


def test_the_book_travels() -> None:
    """What arrives in another process answers as what was sent, and is small for its customers."""
    many = [entry(f"c{n}", f"cus_{n}", plan="pro") for n in range(1_000)]
    book = CustomerBook([*many, entry("acme", "cus_A", "sub_1"), entry("acme", "cus_B", "sub_2", since=5)])
    sent = pickle.dumps(book)
    arrived = pickle.loads(sent)  # noqa: S301 # made above

    for name in ("c1", "c999", "cus_500", "acme", "cus_B", "nobody"):
        for at in (0, 5):
            assert arrived.held(name, None, at) == book.held(name, None, at)
    assert len(sent) < 100 * 1_000


@dataclass(frozen=True)
class Said:
    """One record of the naive model."""

    customer: str
    subscription: str
    stripe: str
    since: int
    ended: bool


SAID = st.builds(
    Said,
    customer=st.sampled_from(["a", "b", "cus_1"]),
    subscription=st.sampled_from(["", "s1", "s2"]),
    stripe=st.sampled_from(["cus_1", "cus_2", "cus_3"]),
    since=st.sampled_from([SINCE_EVER, 10, 20, 30]),
    ended=st.booleans(),
)


def modelled(said: list[Said], customer: str, subscription: str | None, at: int) -> str:
    """Answer by looking through everything that was ever said, in order."""
    holding: dict[tuple[str, str], Said] = {}
    for one in sorted(said, key=lambda one: one.since):
        if one.since <= at:
            holding[one.customer, one.subscription] = one
    by_own_id = any(one.customer == customer for one in said)
    mine = [one for one in holding.values() if customer == (one.customer if by_own_id else one.stripe)]
    if subscription and any(one.subscription for one in mine):
        mine = [one for one in mine if one.subscription == subscription]
    elif not subscription:
        without = [one for one in mine if not one.subscription]
        if any(not one.ended for one in without):
            mine = without
        elif not any(not one.ended for one in mine):
            mine = without or mine
    mine = [one for one in mine if not one.ended] or mine
    found = {one.stripe for one in mine}
    if not found:
        return BlockReason.UNKNOWN_CUSTOMER
    return found.pop() if len(found) == 1 else BlockReason.AMBIGUOUS_CUSTOMER


@steady
@given(
    said=st.lists(SAID, max_size=8),
    customer=st.sampled_from(["a", "b", "cus_1", "cus_2", "cus_3"]),
    subscription=st.sampled_from([None, "s1", "s2", "s3"]),
    at=st.sampled_from([0, 9, 10, 25, 30]),
)
def test_the_book_answers_as_the_naive_model(
    said: list[Said], customer: str, subscription: str | None, at: int
) -> None:
    """Whatever was said of whom in which order, the book finds what a look through all of it finds."""
    book = CustomerBook(
        entry(
            one.customer,
            one.stripe,
            one.subscription,
            since=one.since,
            status="canceled" if one.ended else "active",
        )
        for one in said
    )

    assert billed(book, customer, subscription, at) == modelled(said, customer, subscription, at)
