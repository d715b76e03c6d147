"""Subscriptions that end, and prices that change in mid-cycle."""

from typing import Any

import pytest

from meterledger.simulator.billing.grace import parse_grace
from meterledger.simulator.rules import Readings, Rules
from simulator.billing_conversation import DECEMBER, JANUARY, NOVEMBER, BillingConversation, lines
from simulator.conversation import DAY, HOUR, MINUTE

MIDDLE = NOVEMBER + 15 * DAY


def _bill(invoice: Any) -> list[tuple[int, int, str, int]]:
    """Return start, end, quantity and amount of an invoice's lines."""
    return [
        (line["period"]["start"], line["period"]["end"], line["quantity_decimal"], line["amount"])
        for line in lines(invoice)
    ]


def _used(mode: str = "flexible") -> BillingConversation:
    """Subscribe at 5 cents a unit, and use 10 units before the middle of November."""
    talk = BillingConversation()
    talk.subscribe(**{"billing_mode[type]": mode})
    talk.use("10", NOVEMBER + MINUTE)
    talk.go_to(MIDDLE)
    return talk


def _reprice(talk: BillingConversation, price: str, **more: object) -> Any:
    return talk.change("sub_test_1", **{"items[0][id]": "si_test_1", "items[0][price]": price}, **more)


def test_a_subscription_ends_with_its_period() -> None:
    """The last period is billed with grace, then nothing follows, and usage after it is on no invoice."""
    talk = _used()
    changed = talk.change("sub_test_1", cancel_at_period_end="true")
    assert (changed["cancel_at_period_end"], changed["cancel_at"], changed["canceled_at"]) == (
        True,
        DECEMBER,
        MIDDLE,
    )
    talk.go_to(DECEMBER)
    over = talk.subscription("sub_test_1")
    assert (over["status"], over["ended_at"], over["latest_invoice"]) == ("canceled", DECEMBER, "in_test_2")
    talk.use("3", DECEMBER - 1)
    talk.use("4", DECEMBER)
    talk.go_to(JANUARY + DAY)
    assert talk.cycles() == [("open", DECEMBER, ["13"])]
    assert talk.happened()[-3:] == ["invoice.created", "customer.subscription.deleted", "invoice.finalized"]


def test_an_end_within_the_period() -> None:
    """cancel_at cuts the running period short, and its usage is billed by a last invoice."""
    talk = _used()
    end = MIDDLE + 5 * DAY
    changed = talk.change("sub_test_1", cancel_at=end)
    assert changed["items"]["data"][0]["current_period_end"] == end
    talk.go_to(end)
    talk.use("1", end - 1)
    talk.use("50", end)
    talk.go_to(end + HOUR)
    assert _bill(talk.latest()) == [(NOVEMBER, end, "11", 55)]
    assert talk.subscription("sub_test_1")["status"] == "canceled"


def test_an_end_in_a_later_period() -> None:
    """Whole periods are billed until then, and a short one at last; it can be said from the beginning."""
    talk = BillingConversation()
    talk.subscribe(cancel_at=JANUARY + DAY)
    talk.go_to(JANUARY + 40 * DAY)
    assert [row[1] for row in talk.cycles()] == [DECEMBER, JANUARY, JANUARY + DAY]


@pytest.mark.parametrize("asked", [{"cancel_at_period_end": "true"}, {"cancel_at": MIDDLE + DAY}])
@pytest.mark.parametrize("taken_back", [{"cancel_at_period_end": "false"}, {"cancel_at": ""}])
def test_an_end_can_be_taken_back(asked: dict[str, object], taken_back: dict[str, object]) -> None:
    """Then the subscription runs on as if nothing had been said."""
    talk = _used()
    talk.change("sub_test_1", **asked)
    changed = talk.change("sub_test_1", **taken_back)
    assert (changed["cancel_at"], changed["canceled_at"]) == (None, None)
    talk.go_to(JANUARY)
    assert [row[1] for row in talk.cycles()] == [DECEMBER, JANUARY]


def test_canceling_at_once_bills_nothing() -> None:
    """Without invoice_now the usage so far is on no invoice."""
    talk = _used()
    over = talk.cancel("sub_test_1")
    assert (over["status"], over["ended_at"], over["canceled_at"]) == ("canceled", MIDDLE, MIDDLE)
    talk.go_to(JANUARY)
    assert len(talk.invoices()) == 1
    assert talk.happened()[-1] == "customer.subscription.deleted"


def test_canceling_with_an_invoice() -> None:
    """With invoice_now the usage so far is billed at once, and usage after that is not."""
    talk = _used()
    talk.cancel("sub_test_1", invoice_now="true", prorate="false")
    talk.use("7", MIDDLE - 1)
    invoice = talk.latest()
    assert (invoice["status"], invoice["billing_reason"]) == ("open", "subscription_update")
    assert _bill(invoice) == [(NOVEMBER, MIDDLE, "10", 50)]


def test_the_invoice_of_a_cancellation_can_have_grace() -> None:
    """With the reading `grace` it is a draft first, and takes usage for an hour."""
    talk = BillingConversation(Rules(readings=Readings(canceled_invoice="grace")))
    talk.subscribe()
    talk.go_to(MIDDLE)
    talk.cancel("sub_test_1", invoice_now="true")
    talk.use("7", MIDDLE - 1)
    assert talk.latest()["automatically_finalizes_at"] == MIDDLE + HOUR
    talk.go_to(MIDDLE + HOUR)
    assert _bill(talk.latest()) == [(NOVEMBER, MIDDLE, "7", 35)]


def test_what_is_canceled_stays_as_it_is() -> None:
    """A canceled subscription cannot be canceled again or changed, but for its metadata."""
    talk = _used()
    talk.cancel("sub_test_1")
    path = "/v1/subscriptions/sub_test_1"
    assert talk.call("DELETE", path).status == 404
    assert talk.post(path, {"cancel_at_period_end": "true"}).status == 400
    assert talk.change("sub_test_1", **{"metadata[why]": "moved"})["metadata"] == {"why": "moved"}
    preview = talk.post("/v1/invoices/create_preview", {"subscription": "sub_test_1"})
    assert preview.error["code"] == "invoice_upcoming_none"


def test_a_price_change_in_flexible_mode() -> None:
    """Usage before it is billed at the old price, later usage at the new one: two lines."""
    talk = _used()
    _reprice(talk, talk.price(unit_amount=7))
    talk.use("1", MIDDLE - 1)
    talk.use("20", MIDDLE)
    talk.go_to(DECEMBER + HOUR)
    assert _bill(talk.latest()) == [(NOVEMBER, MIDDLE, "11", 55), (MIDDLE, DECEMBER, "20", 140)]
    talk.use("2", DECEMBER + MINUTE)
    talk.go_to(JANUARY + HOUR)
    assert _bill(talk.latest()) == [(DECEMBER, JANUARY, "2", 14)]


def test_a_price_change_in_classic_mode() -> None:
    """Only usage after it is billed."""
    talk = _used("classic")
    _reprice(talk, talk.price(unit_amount=7))
    talk.use("20", MIDDLE)
    talk.go_to(DECEMBER + HOUR)
    assert _bill(talk.latest()) == [(MIDDLE, DECEMBER, "20", 140)]


def test_usage_during_grace_after_a_price_change() -> None:
    """It appears on no invoice, while that of the next period is billed with grace again."""
    talk = _used()
    _reprice(talk, talk.price(unit_amount=7))
    talk.use("20", MIDDLE)
    talk.go_to(DECEMBER)
    talk.use("100", DECEMBER - 1)  # at the very instant of the draft
    talk.go_to(DECEMBER + MINUTE)
    talk.use("100", NOVEMBER + MINUTE)
    assert _bill(talk.latest()) == [(NOVEMBER, MIDDLE, "10", 50), (MIDDLE, DECEMBER, "20", 140)]
    talk.go_to(JANUARY + MINUTE)
    talk.use("3", JANUARY - 1)
    talk.go_to(JANUARY + HOUR)
    assert _bill(talk.latest()) == [(DECEMBER, JANUARY, "3", 21)]
    assert talk.cycles()[0] == ("open", DECEMBER, ["10", "20"])


def test_several_price_changes_in_a_period() -> None:
    """Each price has its line, and the same price again is no change."""
    talk = _used()
    second, third = talk.price(unit_amount=7), talk.price(unit_amount=11)
    _reprice(talk, second)
    talk.use("2", MIDDLE)
    talk.go_to(MIDDLE + DAY)
    _reprice(talk, third)
    talk.go_to(MIDDLE + 2 * DAY)
    _reprice(talk, third)
    talk.use("3", MIDDLE + 2 * DAY)
    talk.go_to(DECEMBER)
    assert _bill(talk.latest()) == [
        (NOVEMBER, MIDDLE, "10", 50),
        (MIDDLE, MIDDLE + DAY, "2", 14),
        (MIDDLE + DAY, DECEMBER, "3", 33),
    ]


@pytest.mark.parametrize("mode", ["flexible", "classic"])
def test_beginning_the_cycle_anew(mode: str) -> None:
    """In both modes the usage so far is billed at the old price, and a period begins."""
    talk = _used(mode)
    changed = _reprice(talk, talk.price(unit_amount=7), billing_cycle_anchor="now")
    assert (changed["billing_cycle_anchor"], changed["latest_invoice"]) == (MIDDLE, "in_test_2")
    first = talk.latest()
    assert (first["status"], first["billing_reason"]) == ("open", "subscription_update")
    assert _bill(first) == [(NOVEMBER, MIDDLE, "10", 50)]
    talk.use("4", MIDDLE)
    talk.go_to(MIDDLE + 30 * DAY + HOUR)
    assert _bill(talk.latest()) == [(MIDDLE, MIDDLE + 30 * DAY, "4", 28)]
    assert [row[1] for row in talk.cycles()] == [MIDDLE + 30 * DAY]


def test_another_interval_begins_the_cycle_anew() -> None:
    """A weekly price instead of a monthly one ends the running month at once."""
    talk = _used()
    changed = _reprice(talk, talk.price(**{"recurring[interval]": "week"}))
    assert changed["items"]["data"][0]["current_period_end"] == MIDDLE + 7 * DAY
    assert _bill(talk.latest()) == [(NOVEMBER, MIDDLE, "10", 50)]
    talk.go_to(MIDDLE + 14 * DAY)
    assert [row[1] for row in talk.cycles()] == [MIDDLE + 7 * DAY, MIDDLE + 14 * DAY]


def test_a_metered_item_can_become_a_licensed_one() -> None:
    """Usage until then is billed with the period, and the quantity from the next period on."""
    talk = _used()
    changed = _reprice(talk, talk.licensed())
    assert changed["items"]["data"][0]["quantity"] == 1
    talk.go_to(DECEMBER)
    assert _bill(talk.latest()) == [(NOVEMBER, MIDDLE, "10", 50), (DECEMBER, JANUARY, "1", 1000)]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"items[0][price]": "price_test_1"}, "items[0][id]"),
        ({"items[0][id]": "si_none"}, "items[0][id]"),
        ({"items[0][id]": "si_test_1", "items[0][price]": "price_none"}, "items[0][price]"),
        ({"items[0][id]": "si_test_1", "items[0][quantity]": 2}, "items[0][quantity]"),
        ({"billing_cycle_anchor": DECEMBER}, "billing_cycle_anchor"),
        ({"cancel_at": MIDDLE}, "cancel_at"),
        ({"customer": "cus_B"}, "customer"),
        ({"items[0][deleted]": "true"}, "items[0][deleted]"),
    ],
)
def test_bad_changes(change: dict[str, object], param: str) -> None:
    """Each bad parameter of a change is a 400 that names it, and nothing changes."""
    talk = _used()
    before = talk.subscription("sub_test_1")
    reply = talk.post("/v1/subscriptions/sub_test_1", change)
    assert (reply.status, reply.error["param"]) == (400, param)
    assert talk.subscription("sub_test_1") == before


def test_nothing_is_dropped_where_the_cycle_begins_anew() -> None:
    """What a classic subscription used before is billed then, and the ledger says so."""
    talk = _used("classic")
    _reprice(talk, talk.price(unit_amount=7), billing_cycle_anchor="now")
    periods, _, unbilled = talk.billing_ledger()
    assert [(row["start"], row["state"], row["billed"], row["late"]) for row in periods] == [
        (NOVEMBER, "final", "10", "0"),
        (MIDDLE, "running", "0", "0"),
    ]
    assert unbilled == []


def test_licensed_items_at_the_edges() -> None:
    """A short first period bills none of them, and with the end nothing is billed ahead any more."""
    talk = BillingConversation()
    subscription = talk.subscribe(talk.licensed(), billing_cycle_anchor=MIDDLE)
    assert talk.subscription(subscription)["latest_invoice"] is None
    talk.go_to(MIDDLE)
    assert _bill(talk.latest()) == [(MIDDLE, MIDDLE + 30 * DAY, "1", 1000)]
    talk.change(subscription, cancel_at_period_end="true")
    preview = talk.post("/v1/invoices/create_preview", {"subscription": subscription}).document
    assert (lines(preview), preview["total"]) == ([], 0)
    talk.go_to(MIDDLE + 60 * DAY)
    assert len(talk.invoices()) == 1
    assert talk.subscription(subscription)["status"] == "canceled"


def test_a_price_change_in_the_periods_first_second() -> None:
    """It changes nothing in mid-cycle, so usage during grace still counts."""
    talk = BillingConversation()
    talk.subscribe()
    _reprice(talk, talk.price(unit_amount=7))
    talk.go_to(DECEMBER)
    talk.use("3", NOVEMBER)
    assert _bill(talk.latest()) == [(NOVEMBER, DECEMBER, "3", 21)]


def test_two_price_changes_in_one_second() -> None:
    """The first of them was one in mid-cycle, so usage during grace counts on no invoice."""
    talk = _used("classic")
    second, third = talk.price(unit_amount=7), talk.price(unit_amount=11)
    _reprice(talk, second)
    _reprice(talk, third)
    talk.use("2", MIDDLE)
    talk.go_to(DECEMBER)
    talk.use("3", MIDDLE)
    assert _bill(talk.latest()) == [(MIDDLE, DECEMBER, "2", 22)]


def test_the_invoice_of_a_cancellation_is_not_of_a_cycle() -> None:
    """Where it has grace at all, rules for subscription cycles do not match it."""
    grace = parse_grace("2h", ["subscription_cycle=12h"])
    talk = BillingConversation(Rules(grace=grace, readings=Readings(canceled_invoice="grace")))
    talk.subscribe()
    talk.go_to(MIDDLE)
    talk.cancel("sub_test_1", invoice_now="true")
    assert talk.latest()["automatically_finalizes_at"] == MIDDLE + 2 * HOUR
