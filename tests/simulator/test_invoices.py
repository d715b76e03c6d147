"""A month's end: drafts, their deadlines, and what is counted by then."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterledger.simulator.billing.grace import parse_grace
from meterledger.simulator.rules import Readings, Rules
from simulator.billing_conversation import (
    DECEMBER,
    INVOICES,
    JANUARY,
    NOVEMBER,
    BillingConversation,
    lines,
)
from simulator.conversation import DAY, HOUR, METERS, MINUTE, START


def _subscribed(rules: Rules | None = None) -> BillingConversation:
    talk = BillingConversation(rules)
    talk.subscribe()
    return talk


def test_a_months_end() -> None:
    """Usage in time and during grace is billed, late usage is not, and later usage is the next month's."""
    talk = _subscribed()
    talk.use("40", NOVEMBER)  # the period's first second
    talk.go_to(NOVEMBER + 10 * DAY)
    talk.use("0.5", NOVEMBER + 10 * DAY)
    talk.go_to(DECEMBER - 1)
    assert len(talk.invoices()) == 1
    talk.use("100", DECEMBER)  # a second ahead: the next period's
    talk.go_to(DECEMBER)
    draft = talk.latest()
    assert (draft["status"], draft["created"], draft["automatically_finalizes_at"]) == (
        "draft",
        DECEMBER,
        DECEMBER + HOUR,
    )
    assert (lines(draft)[0]["quantity_decimal"], draft["total"]) == ("40.5", 203)  # 202.5 cents
    talk.go_to(DECEMBER + HOUR - 1)
    talk.use("2", DECEMBER - 1)
    assert (lines(talk.latest())[0]["quantity_decimal"], talk.latest()["status"]) == ("42.5", "draft")
    talk.go_to(DECEMBER + HOUR)
    talk.use("1000", DECEMBER - 1)
    final = talk.latest()
    assert (final["status"], final["total"], lines(final)[0]["quantity"]) == ("open", 213, 42)
    assert final["status_transitions"]["finalized_at"] == DECEMBER + HOUR
    assert (final["automatically_finalizes_at"], final["number"]) == (None, "SIMULATED-2")
    talk.go_to(JANUARY + HOUR)
    assert talk.cycles() == [("open", DECEMBER, ["42.5"]), ("open", JANUARY, ["100"])]


def test_the_draft_has_the_fields_an_audit_reads() -> None:
    """The draft of an ended period is shaped like Stripe's."""
    talk = _subscribed()
    talk.use("40", NOVEMBER)
    talk.go_to(DECEMBER)
    draft = talk.latest()
    expected: dict[str, Any] = {
        "id": "in_test_2",
        "object": "invoice",
        "billing_reason": "subscription_cycle",
        "auto_advance": True,
        "period_start": NOVEMBER,
        "period_end": DECEMBER,
        "customer": "cus_A",
        "currency": "usd",
        "amount_due": 200,
        "amount_paid": 0,
        "subtotal": 200,
        "number": None,
        "last_finalization_error": None,
        "webhooks_delivered_at": None,
        "livemode": False,
        "status_transitions": {
            "finalized_at": None,
            "paid_at": None,
            "voided_at": None,
            "marked_uncollectible_at": None,
        },
    }
    assert {name: draft[name] for name in expected} == expected
    assert draft["parent"]["subscription_details"] == {"subscription": "sub_test_1", "metadata": {}}
    (line,) = lines(draft)
    assert (line["id"], line["object"], line["invoice"]) == ("il_test_2_1", "line_item", "in_test_2")
    assert (line["quantity"], line["amount"], line["description"][:4]) == (40, 200, "40 ×")  # noqa: RUF001
    assert line["period"] == {"start": NOVEMBER, "end": DECEMBER}
    assert line["pricing"]["price_details"] == {"price": "price_test_1", "product": "prod_test_1"}
    item = line["parent"]["subscription_item_details"]
    assert (item["subscription_item"], item["subscription"]) == ("si_test_1", "sub_test_1")
    page = talk.get(f"{INVOICES}/in_test_2/lines").document
    assert (page["data"], page["url"]) == ([line], draft["lines"]["url"])


def test_what_happened_is_recorded() -> None:
    """A month's end leaves its events in order, with the objects as they were."""
    talk = _subscribed()
    talk.use("3", NOVEMBER)
    talk.go_to(DECEMBER + HOUR)
    assert talk.happened() == [
        "invoice.created",
        "customer.subscription.updated",
        "invoice.finalized",
    ]
    (account,) = talk.stripe.accounts.all()
    final, updated, created = account.events.newest_first(0)[:3]
    assert [event.created for event in (created, updated, final)] == [DECEMBER, DECEMBER, DECEMBER + HOUR]
    assert (created.document["status"], final.document["status"]) == ("draft", "open")
    assert final.document == talk.latest()
    assert updated.document["latest_invoice"] == "in_test_2"


def test_a_month_without_usage_is_paid() -> None:
    """An invoice of nothing is paid as soon as it is final."""
    talk = _subscribed()
    talk.go_to(DECEMBER + HOUR)
    final = talk.latest()
    assert (final["status"], final["total"], final["status_transitions"]["paid_at"]) == (
        "paid",
        0,
        DECEMBER + HOUR,
    )


def test_corrections_that_outweigh_usage() -> None:
    """A negative total is billed as nothing."""
    talk = _subscribed()
    talk.use("3", NOVEMBER)
    talk.use("-5", NOVEMBER + MINUTE)
    talk.go_to(DECEMBER + HOUR)
    assert (lines(talk.latest())[0]["quantity_decimal"], talk.latest()["total"]) == ("0", 0)


@pytest.mark.parametrize(
    ("unit", "values", "quantity", "exact", "amount"),
    [
        ("0.025", ["100"], 100, "100", 3),  # 2.5 cents are rounded up
        ("0.024", ["100"], 100, "100", 2),
        ("33.3", ["0.1", "0.2"], 0, "0.3", 10),  # 9.99
        ("1", ["999999999999999"] * 3, 2_999_999_999_999_997, "2999999999999997", 2_999_999_999_999_997),
        ("1.000000000001", ["0.00000000000001"], 0, "0.00000000000001", 0),
    ],
)
def test_amounts_are_exact(unit: str, values: list[str], quantity: int, exact: str, amount: int) -> None:
    """Quantities are exact decimals, cut for Stripe's integer field; amounts are rounded once, at the end."""
    talk = BillingConversation()
    talk.subscribe(talk.price(unit_amount=None, unit_amount_decimal=unit))
    for value in values:
        talk.use(value, NOVEMBER)
    talk.go_to(DECEMBER)
    (line,) = lines(talk.latest())
    assert (line["quantity"], line["quantity_decimal"], line["amount"]) == (quantity, exact, amount)


@pytest.mark.parametrize(("formula", "billed"), [("count", "3"), ("last", "4")])
def test_other_formulas(formula: str, billed: str) -> None:
    """A meter that counts bills the number of events, one that takes the last bills that of the period."""
    talk = BillingConversation()
    talk.meter(formula=formula)
    talk.subscribe()
    talk.use("9", NOVEMBER + 3)
    talk.use("4", NOVEMBER + 5)
    talk.use("7", NOVEMBER + 4)
    talk.go_to(DECEMBER - 1)
    talk.use("8", DECEMBER)
    talk.go_to(DECEMBER)
    assert lines(talk.latest())[0]["quantity_decimal"] == billed


def test_every_item_has_its_line() -> None:
    """Two meters and a licensed price make three lines, and another customer's usage is in none."""
    talk = BillingConversation()
    other = talk.meter("seats", "last")
    talk.subscribe(talk.price(), talk.price(**{"recurring[meter]": other}), talk.licensed())
    talk.use("3", NOVEMBER)
    talk.use("4", NOVEMBER, event_name="seats")
    talk.use("50", NOVEMBER, customer="cus_B")
    talk.go_to(DECEMBER)
    assert [line["quantity"] for line in lines(talk.latest())] == [3, 4, 1]
    page = talk.get(f"{INVOICES}/{talk.latest()['id']}/lines", limit=2).document
    assert (len(page["data"]), page["has_more"]) == (2, True)


def test_grace_by_rules() -> None:
    """The longest matching rule is the deadline of an ended period's draft."""
    grace = parse_grace("2h", ["subscription_cycle=3h", "subscription_cycle+metered_price=12h"])
    talk = BillingConversation(Rules(grace=grace))
    talk.subscribe()
    talk.subscribe(talk.licensed(), customer="cus_B")
    talk.go_to(DECEMBER)
    deadlines = {row["customer"]: row["automatically_finalizes_at"] for row in talk.invoices(status="draft")}
    assert deadlines == {"cus_A": DECEMBER + 12 * HOUR, "cus_B": DECEMBER + 3 * HOUR}
    assert talk.invoices(customer="cus_A")[-1]["status"] == "paid"  # the first one knows no grace


def test_grace_of_a_daily_subscription() -> None:
    """Grace that is as long as the period does not apply."""
    talk = BillingConversation(Rules(grace=parse_grace("30h", [])))
    talk.subscribe(talk.price(**{"recurring[interval]": "day"}))
    talk.go_to(START + DAY)
    assert talk.latest()["automatically_finalizes_at"] == START + DAY + HOUR


def test_what_summaries_show_can_be_what_is_billed() -> None:
    """With the reading `aggregated`, usage received within the lag before the deadline comes too late."""
    for billed_by, quantity in (("received", 3), ("aggregated", 1)):
        readings = Readings(billed_by=billed_by)  # type: ignore[arg-type]
        talk = _subscribed(Rules(readings=readings, lag_seconds=60))
        talk.go_to(DECEMBER + HOUR - MINUTE)
        talk.use("1", DECEMBER - 1)
        talk.go_to(DECEMBER + HOUR - MINUTE + 1)
        talk.use("2", DECEMBER - 1)
        talk.go_to(DECEMBER + HOUR)
        assert lines(talk.latest())[0]["quantity"] == quantity


def test_lists_and_their_filters() -> None:
    """Invoices are listed, the newest first, and cut by customer, subscription, status and instants."""
    talk = _subscribed()
    other = talk.subscribe(customer="cus_B")
    talk.go_to(DECEMBER)

    def listed(**query: object) -> list[str]:
        return [row["id"] for row in talk.invoices(**query)]

    assert listed() == ["in_test_4", "in_test_3", "in_test_2", "in_test_1"]
    assert listed(customer="cus_B") == listed(subscription=other) == ["in_test_4", "in_test_2"]
    assert listed(status="draft") == ["in_test_4", "in_test_3"]
    assert listed(status="draft", subscription=other, customer="cus_B") == ["in_test_4"]
    assert (
        listed(customer="cus_A", subscription=other)
        == listed(customer="cus_C")
        == listed(status="void")
        == []
    )
    ranges = {"created[gte]": DECEMBER}, {"created[gt]": DECEMBER - 1}, {"created": DECEMBER}
    for each in ranges:
        assert [row["id"] for row in talk.get(INVOICES, **each).document["data"]] == [
            "in_test_4",
            "in_test_3",
        ]
    below = talk.get(INVOICES, **{"created[lt]": DECEMBER, "created[lte]": DECEMBER}).document["data"]
    assert [row["id"] for row in below] == ["in_test_2", "in_test_1"]
    page = talk.get(INVOICES, limit=3).document
    assert page["has_more"]
    assert listed(starting_after=page["data"][-1]["id"]) == ["in_test_1"]
    assert talk.get(INVOICES, subscription="sub_none").status == 400
    assert talk.get(f"{INVOICES}/in_none").status == talk.get(f"{INVOICES}/in_none/lines").status == 404


def test_a_preview_shows_usage_so_far_and_keeps_nothing() -> None:
    """The upcoming invoice of a subscription, or of a customer's that ends first, as of now."""
    talk = _subscribed()
    weekly = talk.subscribe(talk.price(unit_amount=7, **{"recurring[interval]": "week"}))
    talk.use("3", NOVEMBER)
    preview = talk.post(f"{INVOICES}/create_preview", {"subscription": "sub_test_1"}).document
    assert (preview["status"], preview["billing_reason"], preview["total"]) == ("draft", "upcoming", 15)
    assert (preview["period_end"], preview["automatically_finalizes_at"]) == (DECEMBER, None)
    first = talk.post(f"{INVOICES}/create_preview", {"customer": "cus_A"}).document
    assert (first["parent"]["subscription_details"]["subscription"], first["total"]) == (weekly, 21)
    assert len(talk.invoices()) == 2
    assert talk.get(f"{INVOICES}/{preview['id']}").status == 404
    assert talk.post(f"{INVOICES}/create_preview", {}).error["param"] == "customer"
    nobody = talk.post(f"{INVOICES}/create_preview", {"customer": "cus_B"})
    assert (nobody.status, nobody.error["code"]) == (404, "invoice_upcoming_none")


def test_sent_invoices_fall_due() -> None:
    """With collection by sending, an invoice is due so many days after it became final."""
    talk = BillingConversation()
    talk.subscribe(collection_method="send_invoice", days_until_due=14)
    talk.go_to(DECEMBER)
    assert talk.latest()["due_date"] is None
    talk.go_to(DECEMBER + HOUR)
    assert talk.latest()["due_date"] == DECEMBER + HOUR + 14 * DAY


def test_a_deactivated_meter_bills_what_it_has_counted() -> None:
    """Usage from before its deactivation stands on the invoice."""
    talk = _subscribed()
    talk.use("3", NOVEMBER)
    talk.post(f"{METERS}/{talk.meter_id()}/deactivate", {})
    talk.go_to(DECEMBER + HOUR)
    assert lines(talk.latest())[0]["quantity"] == 3


@settings(max_examples=25, deadline=None)
@given(
    days=st.lists(st.integers(0, 120), max_size=12),
    stops=st.lists(st.integers(0, 125 * 24), max_size=30),
    start_day=st.integers(0, 30),
)
def test_a_jump_is_like_many_steps(days: list[int], stops: list[int], start_day: int) -> None:
    """However the clock gets to a day, the invoices until then are the same."""
    end = START + 126 * DAY

    def walked(instants: list[int]) -> tuple[Any, list[str]]:
        talk = BillingConversation()
        talk.go_to(START + start_day * DAY)
        talk.subscribe()
        talk.subscribe(talk.price(**{"recurring[interval]": "week"}), customer="cus_B")
        for day in sorted(days):
            at = START + (start_day + day) * DAY + HOUR // 2
            for instant in [stop for stop in sorted(instants) if talk.clock.now() < stop < at]:
                talk.go_to(instant)
                talk.invoices()
            talk.go_to(at)
            talk.use("1.5", at)
            talk.use("2", at - HOUR, customer="cus_B")
        for instant in [stop for stop in sorted(instants) if talk.clock.now() < stop < end + 31 * DAY]:
            talk.go_to(instant)
            talk.invoices()
        talk.go_to(end + 31 * DAY)
        return talk.invoices(), talk.happened()

    assert walked([]) == walked([START + stop * HOUR for stop in stops])


def test_many_subscriptions_pass_a_months_end() -> None:
    """Two thousand customers' invoices are all made and all final after one jump."""
    talk = BillingConversation()
    price = talk.price()
    for number in range(2000):
        talk.subscribe(price, customer=f"cus_{number}")
    talk.go_to(DECEMBER + HOUR)
    assert talk.invoices(status="draft") == []
    assert talk.latest()["id"] == "in_test_4000"
