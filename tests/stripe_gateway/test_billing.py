"""Reads of subscriptions and invoices: whole, bounded, and unmoved by what is no Stripe."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from meterledger.domain.billing_facts import PulledInvoice, PulledItem
from meterledger.domain.instant import DAY, SECOND
from meterledger.errors import StripeError
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.billing import Billing, Page, Refusal
from meterledger.stripe_gateway.gateway import open_gateway
from support.scripted_calls import HTML, KEY, NOW, error
from support.scripted_calls import ignore_date as _ignore
from support.scripted_server import Answer, Request, ScriptedServer, answer
from support.sdk_billing import billed, metered_price
from support.sdk_desk import KEY as DESK_KEY
from support.sdk_desk import START, SdkDesk

METERS = {"mtr_1": "calls"}
ITEM: dict[str, Any] = {
    "id": "si_1",
    "created": 100,
    "current_period_start": 1000,
    "current_period_end": 2000,
    "price": {"id": "price_1", "recurring": {"meter": "mtr_1", "interval": "month", "interval_count": 1}},
}
SUBSCRIPTION: dict[str, Any] = {
    "id": "sub_1",
    "object": "subscription",
    "customer": "cus_1",
    "status": "active",
    "billing_cycle_anchor": 1000,
    "start_date": 90,
    "created": 100,
    "items": {"object": "list", "has_more": False, "data": [ITEM]},
}
INVOICE: dict[str, Any] = {
    "id": "in_1",
    "object": "invoice",
    "customer": "cus_1",
    "status": "draft",
    "billing_reason": "subscription_cycle",
    "created": 2000,
    "auto_advance": True,
    "automatically_finalizes_at": 5600,
    "parent": {"subscription_details": {"subscription": "sub_1"}},
    "lines": {"object": "list", "has_more": False, "data": []},
}
Found = Page | Refusal | PulledInvoice | None


def listed(*rows: object, has_more: bool = False) -> Answer:
    """Return a page of a list."""
    return answer(200, {"object": "list", "data": list(rows), "has_more": has_more, "url": "/v1/x"})


def ask(what: str, *script: Answer) -> tuple[Found, list[Request]]:
    """Make one read of a scripted server; return what it brought and what the server got."""

    async def read() -> tuple[Found, list[Request]]:
        async with ScriptedServer(list(script)) as server:
            access = StripeAccess(key=KEY, mode="test", base=server.url)
            async with open_gateway(access, lambda: NOW, concurrency=1, on_date=_ignore) as gateway:
                return await _read(gateway.billing, what), server.requests

    return asyncio.run(read())


async def _read(billing: Billing, what: str) -> Found:
    match what:
        case "subscriptions":
            return await billing.subscriptions(METERS, None)
        case "invoices":
            return await billing.invoices(created_since=1_793_491_200 * SECOND, status="draft", after="in_0")
        case _:
            return await billing.invoice("in_1")


def rows(found: Found) -> tuple[Any, ...]:
    """Return the rows of a page."""
    assert isinstance(found, Page)
    return found.rows


READS = ("subscriptions", "invoices", "invoice")


@pytest.mark.parametrize("what", READS)
@pytest.mark.parametrize(("status", "for_now"), [(403, False), (404, False), (429, True), (500, True)])
def test_a_refusal_is_a_warning(what: str, status: int, *, for_now: bool) -> None:
    """A restricted key may not read everything; what may come later is told apart."""
    found, _ = ask(what, answer(status, error(message="no")))
    assert isinstance(found, Refusal)
    assert (str(status) in found.warning, found.for_now) == (True, for_now)


@pytest.mark.parametrize("what", READS)
def test_a_refused_key_stops(what: str) -> None:
    """401 ends the run and does not show the key."""
    with pytest.raises(StripeError, match="401") as caught:
        ask(what, answer(401, error(message=f"Invalid API Key provided: {KEY}")))
    assert KEY not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("what", READS)
def test_a_host_that_cannot_be_reached_stops(what: str) -> None:
    """Without a connection there is no run."""
    with pytest.raises(StripeError, match="cannot be reached"):
        ask(what, Answer(reset=True))


@pytest.mark.parametrize("what", READS)
@pytest.mark.parametrize(
    "body",
    [{}, [], "hello", HTML, b"", {"data": 7}, {"object": "list", "data": [], "has_more": True}],
    ids=str,
)
def test_nonsense_is_a_warning(what: str, body: object) -> None:
    """A 200 without what was asked for is no value, and no crash."""
    found, _ = ask(what, answer(200, body))
    assert isinstance(found, Refusal)


def _every(count: object, unit: object) -> dict[str, object]:
    """Return how often a price of the meter recurs, whatever that means."""
    return {"meter": "mtr_1", "interval": unit, "interval_count": count}


HOSTILE = [
    {"id": "../../v1/account"},
    {"id": 7},
    {"customer": None},
    {"billing_cycle_anchor": 10**30},
    {"billing_cycle_anchor": 253_402_300_799},
    {"items": {"data": [{**ITEM, "current_period_end": 253_402_300_799}]}},
    {"items": {"data": [{**ITEM, "price": {**ITEM["price"], "recurring": _every(1200, "year")}}]}},
    {"items": {"data": [{**ITEM, "price": {**ITEM["price"], "recurring": _every(1, "fortnight")}}]}},
    {"items": {"data": [{**ITEM, "price": {**ITEM["price"], "recurring": _every(1, ["day"])}}]}},
    {
        "items": {
            "data": [{**ITEM, "price": {**ITEM["price"], "recurring": _every(count=True, unit="month")}}]
        }
    },
    {"start_date": True},
    {"status": "active\x1b[2J"},
    {"items": {"data": [{**ITEM, "id": "a/b"}]}},
    {"items": {"data": [{**ITEM, "current_period_end": 1000}]}},
    {"items": {"data": [{**ITEM, "price": {"id": "p", "recurring": {"meter": "mtr_9"}}}]}},
    {"items": {"data": [{**ITEM, "price": {**ITEM["price"], "recurring": {"meter": "mtr_1"}}}]}},
]


@pytest.mark.parametrize("changes", HOSTILE, ids=str)
def test_a_subscription_of_another_form_is_counted_and_left_out(changes: dict[str, Any]) -> None:
    """One bad row spoils no other; and it is said that it was there."""
    found, _ = ask("subscriptions", listed({**SUBSCRIPTION, **changes}, SUBSCRIPTION))
    assert isinstance(found, Page)
    assert found.unreadable == 1
    assert [[item.item_id for item in items] for items in found.rows] == [["si_1"]]


@pytest.mark.parametrize(
    "changes",
    [{"id": "in/1"}, {"customer": {}}, {"created": "now"}, {"status": None}, {"object": "x"}],
    ids=str,
)
def test_an_invoice_of_another_form_is_counted_and_left_out(changes: dict[str, Any]) -> None:
    """The same for invoices, and it is said which one, and what is wrong with it."""
    found, _ = ask("invoices", listed({**INVOICE, "id": "in_9", **changes}, INVOICE))
    assert isinstance(found, Page)
    assert (found.unreadable, [one.invoice_id for one in found.rows]) == (1, ["in_1"])
    (key,) = changes
    name = "an invoice without a readable id" if key == "id" else "in_9"
    assert found.odd == (f"{name} could not be read: {key} not as Stripe writes it",)
    alone, _ = ask("invoice", answer(200, {**INVOICE, **changes}))
    assert isinstance(alone, Refusal)
    assert alone.is_odd


def test_an_invoice_whose_lines_are_no_list_is_left_out_alone() -> None:
    """What is wrong with one is no word on the key's rights, nor on the others."""
    first = {**INVOICE, "id": "in_9", "lines": {"has_more": True, "data": [{"id": "il_1"}]}}
    found, _ = ask("invoices", listed(first, INVOICE), answer(200, {"object": "nothing"}))
    assert isinstance(found, Page)
    assert [one.invoice_id for one in found.rows] == ["in_1"]
    assert "in_9 could not be read" in found.odd[0]


def test_a_draft_that_is_gone_is_none() -> None:
    """Only Stripe's own word for a missing object says so; an unknown path does not."""
    missing = answer(404, error(code="resource_missing", message="No such invoice: 'in_1'"))
    assert ask("invoice", missing)[0] is None


def test_further_items_are_read() -> None:
    """Stripe embeds only the first items of a subscription."""
    first = {**SUBSCRIPTION, "items": {"has_more": True, "data": [ITEM]}}
    found, requests = ask("subscriptions", listed(first), listed({**ITEM, "id": "si_2"}))
    assert [item.item_id for item in rows(found)[0]] == ["si_1", "si_2"]
    assert "subscription=sub_1" in requests[1].target
    assert "starting_after=si_1" in requests[1].target


def test_a_list_that_never_ends_is_refused() -> None:
    """A server that repeats a page does not hold the run for ever."""
    first = {**SUBSCRIPTION, "items": {"has_more": True, "data": [ITEM]}}
    found, _ = ask("subscriptions", listed(first), listed(ITEM, has_more=True))
    assert isinstance(found, Refusal)
    assert "does not end" in found.warning


def test_a_list_that_goes_on_after_itself_is_refused_at_once() -> None:
    """Four thousand times the same page would take minutes, and bring nothing."""
    found, requests = ask("invoices", listed({**INVOICE, "id": "in_0"}, has_more=True))
    assert isinstance(found, Refusal)
    assert "does not end" in found.warning
    assert len(requests) == 1


def test_an_answer_about_another_invoice_is_no_answer() -> None:
    """Its deadline would be taken for that of the invoice that was asked for, and a move for made."""
    found, _ = ask("invoice", answer(200, {**INVOICE, "id": "in_2"}))
    assert isinstance(found, Refusal)
    assert "another invoice" in found.warning


def test_filters_and_the_next_page() -> None:
    """What is asked for stands in the query, and the page says what it goes on after."""
    found, (request,) = ask("invoices", listed(INVOICE, has_more=True))
    assert isinstance(found, Page)
    assert found.after == "in_1"
    for part in ("status=draft", "starting_after=in_0", "1793491200", "gte"):
        assert part in request.target


def test_an_item_that_came_later_bills_since_then() -> None:
    """One made with its subscription bills since that began, backdated or not."""
    later = {**ITEM, "created": 1100}
    found, _ = ask("subscriptions", listed({**SUBSCRIPTION, "items": {"data": [ITEM, later]}}))
    assert [item.start // SECOND for item in rows(found)[0]] == [90, 1100]


@pytest.fixture(scope="module")
def desk() -> Iterator[SdkDesk]:
    """Return a simulator and the official client."""
    with SdkDesk() as opened:
        yield opened


def test_the_simulators_subscriptions_and_drafts(desk: SdkDesk) -> None:
    """A month with a licensed item beside: the metered item alone, its draft, and its period's line."""
    made = billed(desk)
    licensed = desk.client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 500,
            "product_data": {"name": "Base"},
            "recurring": {"interval": "month"},
        }
    )
    both = desk.client.v1.subscriptions.create(
        {
            "customer": made.customer.id,
            "items": [{"price": licensed.id}, {"price": metered_price(desk, made.meter.id).id}],
        }
    )
    desk.simulator.set_clock("2026-12-01T00:10:00Z")

    async def read() -> tuple[Found, Found]:
        access = StripeAccess(key=DESK_KEY, mode="test", base=desk.simulator.url)
        async with open_gateway(access, lambda: NOW, concurrency=1, on_date=_ignore) as gateway:
            meters = (await gateway.meter_names()).value
            return (
                await gateway.billing.subscriptions(meters, None),
                await gateway.billing.invoices(created_since=None, status="draft", after=None),
            )

    subscriptions, drafts = asyncio.run(read())
    items: list[PulledItem] = [item for items in rows(subscriptions) for item in items]
    assert {item.subscription_id for item in items} == {made.subscription.id, both.id}
    assert {item.event_name for item in items} == {"api_requests"}
    assert {item.period_start // SECOND for item in items} == {START + 30 * DAY // SECOND}
    for invoice in rows(drafts):
        (line,) = invoice.lines
        assert (line.start // SECOND, line.end // SECOND) == (START, START + 30 * DAY // SECOND)
        assert invoice.finalizes_at - invoice.created == 3600 * SECOND
