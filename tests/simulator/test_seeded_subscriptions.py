"""Subscriptions that a customers file names, as they stand in the middle of a period."""

from datetime import UTC, datetime
from typing import Any

from meterledger.simulator.metering.meters import Formula, MeterSpec
from meterledger.simulator.rules import Rules
from meterledger.simulator.seeds.customers import CustomerSeed, SubscriptionSeed
from simulator.billing_conversation import BillingConversation
from simulator.conversation import DAY, HOUR, START

METERS = tuple(
    MeterSpec(display_name=name, event_name=name, formula=Formula.SUM) for name in ("api_requests", "storage")
)


def seeded(**more: Any) -> BillingConversation:
    """Start with two meters and a customer with one subscription."""
    given = {"id": "sub_own", "metadata": {"plan": "pro"}, "anchor": None, "interval": "month", "count": 1}
    subscription = SubscriptionSeed(**{**given, "status": "active", **more})
    customer = CustomerSeed(id="cus_A", metadata={}, subscriptions=(subscription,))
    return BillingConversation(Rules(seeds=METERS, customer_seeds=(customer,)))


def instants(talk: BillingConversation) -> tuple[int, int]:
    """Return the running period of the first item of the only subscription."""
    (subscription,) = talk.get("/v1/subscriptions").document["data"]
    item = subscription["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def test_a_seeded_subscription_is_billed_at_its_periods_end() -> None:
    """It has its id, a price of every meter, no first invoice, and a draft at the end of its month."""
    talk = seeded()
    (subscription,) = talk.get("/v1/subscriptions", customer="cus_A").document["data"]
    assert (subscription["id"], subscription["status"], subscription["metadata"]) == (
        "sub_own",
        "active",
        {"plan": "pro"},
    )
    assert talk.get("/v1/invoices").document["data"] == []
    talk.use("7", START)
    talk.clock.set(START + 30 * DAY + HOUR)
    (invoice,) = talk.get("/v1/invoices").document["data"]
    assert (invoice["billing_reason"], invoice["status"]) == ("subscription_cycle", "open")
    assert [line["quantity"] for line in invoice["lines"]["data"]] == [7, 0]


def test_the_anchor_and_the_interval_give_the_period() -> None:
    """Three months counted from the 31st of January: the running period ends on a month's last day."""
    anchor = int(datetime(2026, 1, 31, 9, 30, tzinfo=UTC).timestamp())
    start = int(datetime(2026, 10, 31, 9, 30, tzinfo=UTC).timestamp())
    end = int(datetime(2027, 1, 31, 9, 30, tzinfo=UTC).timestamp())
    assert instants(seeded(anchor=anchor, count=3)) == (start, end)


def test_an_anchor_to_come_counts_backwards() -> None:
    """A period is running before the anchor too, and one that begins just now is the new one."""
    assert instants(seeded(anchor=START + 10 * DAY, interval="week")) == (START - 4 * DAY, START + 3 * DAY)
    assert instants(seeded(anchor=START, interval="day")) == (START, START + DAY)


def test_usage_since_the_periods_start_counts() -> None:
    """The simulator was started in mid-period: what was used before that is on the invoice too."""
    talk = seeded(anchor=START - 10 * DAY)
    talk.use("3", START - 9 * DAY)
    talk.use("4", START - 11 * DAY)
    talk.clock.set(START + 21 * DAY + HOUR)
    (invoice,) = talk.get("/v1/invoices").document["data"]
    assert invoice["lines"]["data"][0]["quantity"] == 3


def test_what_has_ended_is_not_made_and_a_missing_id_is_given() -> None:
    """A canceled subscription is left out; one without an id of Stripe's gets the next number."""
    assert seeded(status="canceled").get("/v1/subscriptions", status="all").document["data"] == []
    (subscription,) = seeded(id=None).get("/v1/subscriptions").document["data"]
    assert subscription["id"] == "sub_test_1"


def test_a_known_subscription_stays_whose_it_is() -> None:
    """An id that a customer's subscription has already is not taken over by another customer's."""
    subscription = SubscriptionSeed(
        id="sub_own", metadata={}, anchor=None, interval="month", count=1, status="active"
    )
    customers = tuple(
        CustomerSeed(id=name, metadata={}, subscriptions=(subscription,)) for name in ("cus_A", "cus_B")
    )
    talk = BillingConversation(Rules(seeds=METERS, customer_seeds=customers))
    (listed,) = talk.get("/v1/subscriptions").document["data"]
    assert listed["customer"] == "cus_A"


def test_customers_share_the_seeded_prices() -> None:
    """Of a meter and a length of period there is one price, however many subscribe to it."""
    subscriptions = tuple(
        SubscriptionSeed(id=f"sub_{n}", metadata={}, anchor=None, interval=interval, count=1, status="active")
        for n, interval in enumerate(("month", "month", "year"))
    )
    customers = tuple(
        CustomerSeed(id=f"cus_{place}", metadata={}, subscriptions=(subscription,))
        for place, subscription in enumerate(subscriptions)
    )
    talk = BillingConversation(Rules(seeds=METERS, customer_seeds=customers))
    names = [price["nickname"] for price in talk.get("/v1/prices").document["data"]]
    assert sorted(names) == ["api_requests", "api_requests", "storage", "storage"]
