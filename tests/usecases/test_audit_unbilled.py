"""Usage that lands and is on no invoice, because no subscription bills it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.audits import audited, codes, landings
from support.billing_facts import at, pull, pulled_item
from support.delivered_ledger import LedgerBuilder, ledger_builder

NOW = "2026-10-31T12:00:00Z"


@pytest.fixture
def built(tmp_path: Path) -> Iterator[LedgerBuilder]:
    """Yield a ledger of usage of two customers, and of a subscription of one that ends on October 20."""
    with ledger_builder(tmp_path) as builder:
        for customer in ("cus_1", "cus_2"):
            for day in (10, 25):
                time = f"2026-10-{day}T00:00:00Z"
                name = f"{customer}-{day}"
                builder.usage(name, time, recorded=time, customer=customer).accepted(name, time)
        item = pulled_item(event_name="api_requests", ended_at=at("10-20"), status="canceled")
        builder.ledger.subscriptions.record(pull(at("10-21")), [item], [])
        yield builder


def test_usage_after_the_last_subscription_is_named(built: LedgerBuilder) -> None:
    """It counts as landed, as Stripe took it in time; the finding says that nobody is billed for it."""
    result = audited(built, NOW)
    (found,) = (one for one in result.findings if one.code == "no_subscription")

    assert found.details == {"usage_events": 1, "customers": 1, "event_names": ["api_requests"]}
    assert landings(result) == {"landed": 4}


def test_usage_of_another_meter_than_the_subscriptions_is_named(built: LedgerBuilder) -> None:
    """A subscription to one meter bills no other."""
    time = "2026-10-10T00:00:00Z"
    built.usage("s1", time, recorded=time, customer="cus_1", feature="seats").accepted("s1", time)
    (found,) = (one for one in audited(built, NOW, meter="seats").findings if one.code == "no_subscription")

    assert found.details == {"usage_events": 1, "customers": 1, "event_names": ["seats"]}


def test_a_customer_of_whom_stripe_said_nothing_is_not_named(built: LedgerBuilder) -> None:
    """What was not pulled is not known to be missing; nor was it before the pull."""
    assert "no_subscription" not in codes(audited(built, NOW, customer="cus_2"))
    assert "no_subscription" not in codes(audited(built, "2026-10-20T12:00:00Z", as_of=True))
