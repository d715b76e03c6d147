"""Subscriptions: making, showing, listing, and their periods."""

from typing import Any

import pytest

from meterledger.simulator.rules import Rules
from simulator.billing_conversation import (
    DECEMBER,
    JANUARY,
    SUBSCRIPTIONS,
    BillingConversation,
    lines,
)
from simulator.conversation import DAY, HOUR, START

ITEMS = "/v1/subscription_items"
JAN_31 = 1_801_353_600  # 2027-01-31T00:00:00Z
LEAP_DAY = 1_835_395_200  # 2028-02-29T00:00:00Z


def _period(document: Any) -> tuple[int, int]:
    (item,) = document["items"]["data"]
    return item["current_period_start"], item["current_period_end"]


def test_a_subscription_has_its_fields() -> None:
    """A new subscription runs from now for a month, flexible and active, with its first invoice made."""
    talk = BillingConversation()
    document = talk.subscription(
        talk.subscribe(description="All", **{"metadata[a]": "b", "items[0][metadata][c]": "d"})
    )
    (item,) = document["items"]["data"]
    assert {name: document[name] for name in ("object", "status", "customer", "currency", "start_date")} == {
        "object": "subscription",
        "status": "active",
        "customer": "cus_A",
        "currency": "usd",
        "start_date": START,
    }
    assert (document["billing_cycle_anchor"], document["created"]) == (START, START)
    assert document["billing_mode"] == {"type": "flexible"}
    assert (document["cancel_at"], document["cancel_at_period_end"]) == (None, False)
    assert (document["latest_invoice"], document["metadata"]) == ("in_test_1", {"a": "b"})
    assert (item["id"], item["subscription"], item["billed_until"]) == ("si_test_1", document["id"], None)
    assert (item["price"]["id"], item["plan"]["amount"], item["metadata"]) == ("price_test_1", 5, {"c": "d"})
    assert "quantity" not in item
    assert _period(document) == (START, DECEMBER)
    assert "current_period_end" not in document


def test_the_first_invoice_is_final_at_once() -> None:
    """It says subscription_create, bills no usage, and is paid as there is nothing to pay."""
    talk = BillingConversation()
    talk.meter()
    talk.use("9", START)
    talk.subscribe()
    invoice = talk.latest()
    assert (invoice["billing_reason"], invoice["status"], invoice["total"]) == (
        "subscription_create",
        "paid",
        0,
    )
    assert (invoice["automatically_finalizes_at"], invoice["number"]) == (None, "SIMULATED-1")
    assert invoice["status_transitions"]["finalized_at"] == START
    assert talk.happened() == ["invoice.created", "invoice.finalized", "customer.subscription.created"]


def test_an_anchor_ahead_makes_a_short_first_period() -> None:
    """The first period runs to the anchor, and later ones from it."""
    talk = BillingConversation()
    anchor = START + 9 * DAY + 5
    subscription = talk.subscribe(billing_cycle_anchor=anchor)
    assert _period(talk.subscription(subscription)) == (START, anchor)
    talk.go_to(anchor)
    assert _period(talk.subscription(subscription)) == (anchor, anchor + 30 * DAY)
    assert talk.subscription(subscription)["billing_cycle_anchor"] == anchor


def test_anchored_periods_never_drift() -> None:
    """Begun on the 31st of January, periods end on the last of February and the 31st of March."""
    talk = BillingConversation()
    talk.go_to(JAN_31)
    subscription = talk.subscribe()
    ends = [28 * DAY, 59 * DAY, 89 * DAY, 120 * DAY]  # 28 February, 31 March, 30 April, 31 May
    for days in ends:
        assert _period(talk.subscription(subscription))[1] == JAN_31 + days
        talk.go_to(JAN_31 + days)
    assert [row[1] for row in talk.cycles()] == [JAN_31 + days for days in ends]


def test_a_year_from_a_leap_day() -> None:
    """A yearly period from the 29th of February ends on the 28th, and on the 29th four years later."""
    talk = BillingConversation()
    talk.go_to(LEAP_DAY)
    subscription = talk.subscribe(talk.price(**{"recurring[interval]": "year"}))
    assert _period(talk.subscription(subscription)) == (LEAP_DAY, LEAP_DAY + 365 * DAY)
    talk.go_to(LEAP_DAY + 4 * 365 * DAY)
    assert _period(talk.subscription(subscription)) == (LEAP_DAY + 3 * 365 * DAY, LEAP_DAY + 1461 * DAY)


@pytest.mark.parametrize(
    ("interval", "count", "seconds"), [("day", 1, DAY), ("day", 10, 10 * DAY), ("week", 2, 14 * DAY)]
)
def test_days_and_weeks(interval: str, count: int, seconds: int) -> None:
    """Periods of so many days or weeks are exactly as long."""
    talk = BillingConversation()
    terms: dict[str, Any] = {"recurring[interval]": interval, "recurring[interval_count]": count}
    price = talk.price(**terms)
    subscription = talk.subscribe(price)
    talk.go_to(START + 3 * seconds)
    assert _period(talk.subscription(subscription)) == (START + 3 * seconds, START + 4 * seconds)


def test_a_licensed_item_is_billed_ahead() -> None:
    """Its quantity is on the first invoice for the first period, and on each later one for the next."""
    talk = BillingConversation()
    three: dict[str, Any] = {"items[0][quantity]": 3}
    subscription = talk.subscribe(talk.licensed(), **three)
    first = talk.latest()
    assert (first["total"], first["status"], first["amount_due"]) == (3000, "open", 3000)
    assert lines(first)[0]["period"] == {"start": START, "end": DECEMBER}
    talk.change(subscription, **{"items[0][id]": "si_test_1", "items[0][quantity]": 2})
    talk.go_to(DECEMBER)
    second = talk.latest()
    assert lines(second)[0]["period"] == {"start": DECEMBER, "end": JANUARY}
    assert (second["status"], second["total"], lines(second)[0]["quantity"]) == ("draft", 2000, 2)
    assert talk.subscription(subscription)["items"]["data"][0]["billed_until"] == JANUARY


def test_backdated_usage_of_a_flexible_subscription() -> None:
    """It is on the first invoice; the running period begins now."""
    talk = BillingConversation()
    price = talk.price()
    talk.use("7", START - 5 * DAY)
    talk.use("1", START - 11 * DAY)
    talk.use("4", START)
    subscription = talk.subscribe(price, backdate_start_date=START - 10 * DAY)
    first = talk.latest()
    assert (first["total"], lines(first)[0]["quantity"]) == (35, 7)
    assert lines(first)[0]["period"] == {"start": START - 10 * DAY, "end": START}
    assert talk.subscription(subscription)["start_date"] == START - 10 * DAY
    assert _period(talk.subscription(subscription)) == (START, DECEMBER)
    talk.go_to(DECEMBER)
    assert lines(talk.latest())[0]["quantity"] == 4


def test_backdated_usage_of_a_classic_subscription() -> None:
    """It waits for the end of the first period, which began at the backdated start."""
    talk = BillingConversation()
    price = talk.price()
    talk.use("7", START - 5 * DAY)
    subscription = talk.subscribe(
        price, backdate_start_date=START - 10 * DAY, **{"billing_mode[type]": "classic"}
    )
    assert talk.latest()["total"] == 0
    assert _period(talk.subscription(subscription)) == (START - 10 * DAY, DECEMBER)
    talk.go_to(DECEMBER)
    assert lines(talk.latest())[0]["quantity"] == 7


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"customer": None}, "customer"),
        ({"customer": "someone"}, "customer"),
        ({"items[0][price]": None}, "items"),
        ({"items[0][price]": None, "items[0][quantity]": 1}, "items[0][price]"),
        ({"items[0][price]": "price_none"}, "items[0][price]"),
        ({"items[1][price]": "price_test_1"}, "items[0][price]"),
        ({"items[20][price]": "price_test_1"}, "items[20][price]"),
        ({"items[0][quantity]": 1}, "items[0][quantity]"),
        ({"items[0][colour]": "red"}, "items[0][colour]"),
        ({"items[0][price]": "price_test_2"}, "items[0][price]"),
        ({"items[1][price]": "price_test_3"}, "items"),
        ({"items[1][price]": "price_test_4"}, "items"),
        ({"currency": "eur"}, "currency"),
        ({"billing_cycle_anchor": START - 1}, "billing_cycle_anchor"),
        ({"billing_cycle_anchor": DECEMBER + 1}, "billing_cycle_anchor"),
        ({"billing_cycle_anchor": "now"}, "billing_cycle_anchor"),
        ({"backdate_start_date": START + 1}, "backdate_start_date"),
        ({"backdate_start_date": -1}, "backdate_start_date"),
        ({"billing_mode[type]": "modern"}, "billing_mode[type]"),
        ({"cancel_at": START}, "cancel_at"),
        ({"cancel_at": START + 1, "cancel_at_period_end": "true"}, "cancel_at"),
        ({"cancel_at_period_end": "yes"}, "cancel_at_period_end"),
        ({"collection_method": "send_invoice"}, "days_until_due"),
        ({"days_until_due": 3}, "days_until_due"),
        ({"collection_method": "send_invoice", "days_until_due": -1}, "days_until_due"),
        ({"proration_behavior": "some"}, "proration_behavior"),
        ({"metadata": "x"}, "metadata"),
        ({"trial_end": START + 1}, "trial_end"),
    ],
)
def test_bad_subscriptions(change: dict[str, object], param: str) -> None:
    """Each bad parameter of a new subscription is a 400 that names it, and nothing is made."""
    talk = BillingConversation()
    price = talk.price()
    talk.made("/v1/prices", {"currency": "usd", "unit_amount": 1, "product": "prod_test_1"})  # paid once
    talk.price(**{"recurring[interval]": "year"})
    talk.price(currency="eur")
    reply = talk.post(SUBSCRIPTIONS, {"customer": "cus_A", "items[0][price]": price, **change})
    assert (reply.status, reply.error["param"]) == (400, param)
    assert talk.get(SUBSCRIPTIONS).document["data"] == talk.invoices() == []


def test_only_known_customers() -> None:
    """Where customers have to be made first, others cannot subscribe."""
    talk = BillingConversation(Rules(known_customers_only=True))
    price = talk.price()
    reply = talk.post(SUBSCRIPTIONS, {"customer": "cus_A", "items[0][price]": price})
    assert (reply.status, reply.error["param"]) == (400, "customer")
    known = talk.made("/v1/customers", {})
    assert talk.subscribe(price, customer=known) == "sub_test_1"


def test_deleting_a_customer_ends_its_subscriptions() -> None:
    """They are canceled without an invoice, and others run on."""
    talk = BillingConversation()
    customer = talk.made("/v1/customers", {})
    gone, stays = talk.subscribe(customer=customer), talk.subscribe()
    talk.call("DELETE", f"/v1/customers/{customer}")
    assert [talk.subscription(each)["status"] for each in (gone, stays)] == ["canceled", "active"]


def test_lists_and_their_filters() -> None:
    """Canceled ones are left out unless asked for; customer, price and instants cut the list."""
    talk = BillingConversation()
    price = talk.price()
    first = talk.subscribe(price)
    talk.go_to(START + HOUR)
    second = talk.subscribe(customer="cus_B")
    canceled = talk.subscribe(customer="cus_C")
    talk.cancel(canceled)

    def listed(**query: object) -> list[str]:
        return [row["id"] for row in talk.get(SUBSCRIPTIONS, **query).document["data"]]

    assert listed() == listed(status="active") == [second, first]
    assert listed(status="all") == [canceled, second, first]
    assert listed(status="canceled") == listed(status="ended") == [canceled]
    assert listed(status="trialing") == listed(customer="cus_C") == []
    assert listed(price=price) == listed(customer="cus_A") == [first]
    assert talk.get(SUBSCRIPTIONS, **{"created[gte]": START + 1}).document["data"][0]["id"] == second
    page = talk.get(SUBSCRIPTIONS, limit=1, status="all").document
    assert ([row["id"] for row in page["data"]], page["has_more"]) == ([canceled], True)
    assert listed(limit=1, starting_after=canceled, status="all") == [second]
    assert talk.get(SUBSCRIPTIONS, status="dormant").error["param"] == "status"


def test_items_are_shown_by_themselves() -> None:
    """A subscription's items are listed, and each can be read."""
    talk = BillingConversation()
    subscription = talk.subscribe(talk.price(), talk.licensed())
    page = talk.get(ITEMS, subscription=subscription).document
    assert [item["id"] for item in page["data"]] == ["si_test_1", "si_test_2"]
    assert page["data"] == talk.subscription(subscription)["items"]["data"]
    assert talk.get(f"{ITEMS}/si_test_2").document == page["data"][1]
    assert page["data"][1]["quantity"] == 1
    assert talk.get(ITEMS).error["param"] == "subscription"
    assert talk.get(ITEMS, subscription="sub_none").status == 400
    assert talk.get(f"{ITEMS}/si_none").status == talk.get(f"{SUBSCRIPTIONS}/sub_none").status == 404


def test_the_same_key_makes_one_subscription() -> None:
    """A repeated call with its idempotency key is answered again, not carried out again."""
    talk = BillingConversation()
    fields = {"customer": "cus_A", "items[0][price]": talk.price()}
    first = talk.post(SUBSCRIPTIONS, fields, Idempotency_Key="once")
    again = talk.post(SUBSCRIPTIONS, fields, Idempotency_Key="once")
    assert (again.document, again.headers["Idempotent-Replayed"]) == (first.document, "true")
    assert len(talk.invoices()) == 1
