"""Products, prices, subscriptions and their items through stripe-python."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
import stripe

from support.sdk_billing import billed, metered_price
from support.sdk_desk import DAY, START, SdkDesk

NEXT_MONTH = START + 30 * DAY  # 2026-12-01T00:00:00Z


@pytest.fixture(scope="module")
def desk() -> Iterator[SdkDesk]:
    """Start one simulator for the tests of this file; each test uses names of its own."""
    with SdkDesk() as running:
        yield running


def test_a_metered_price(desk: SdkDesk) -> None:
    """A price comes back in the client's type with its meter, and is listed under its product."""
    meter = desk.meter("priced")
    product = desk.client.v1.products.create({"name": "Calls"})
    assert isinstance(product, stripe.Product)
    price = desk.client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount_decimal": Decimal("0.25"),
            "product": product.id,
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        }
    )
    assert isinstance(price, stripe.Price)
    assert (price.object, price.type, price.currency, price.active) == ("price", "recurring", "usd", True)
    assert price.unit_amount is None
    assert price.unit_amount_decimal == Decimal("0.25")
    assert price.recurring is not None
    assert (price.recurring.usage_type, price.recurring.meter) == ("metered", meter.id)
    assert (price.recurring.interval, price.recurring.interval_count) == ("month", 1)
    assert desk.client.v1.prices.retrieve(price.id).to_dict() == price.to_dict()
    assert [listed.id for listed in desk.client.v1.prices.list({"product": product.id})] == [price.id]


def test_a_metered_price_needs_an_active_meter(desk: SdkDesk) -> None:
    """An unknown and an inactive meter are refused by their parameter."""
    inactive = desk.meter("price_inactive")
    desk.client.v1.billing.meters.deactivate(inactive.id)
    for meter_id in ("mtr_none", inactive.id):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            metered_price(desk, meter_id)
        assert (caught.value.http_status, caught.value.param) == (400, "recurring[meter]")


def test_a_subscription_has_its_period_on_its_item(desk: SdkDesk) -> None:
    """A subscription begins now; its period stands on the item and not on the subscription."""
    made = billed(desk, "subscribed")
    subscription = made.subscription
    assert isinstance(subscription, stripe.Subscription)
    assert (subscription.object, subscription.status) == ("subscription", "active")
    assert (subscription.customer, subscription.currency) == (made.customer.id, "usd")
    assert (subscription.billing_cycle_anchor, subscription.start_date) == (START, START)
    assert (subscription.cancel_at_period_end, subscription.cancel_at) == (False, None)
    assert subscription.billing_mode.type in ("classic", "flexible")
    assert "current_period_start" not in subscription
    assert made.item.price.id == made.price.id
    assert made.item.subscription == subscription.id
    assert (made.item.current_period_start, made.item.current_period_end) == (START, NEXT_MONTH)
    assert desk.client.v1.subscriptions.retrieve(subscription.id).to_dict() == subscription.to_dict()


def test_items_are_listed_and_read(desk: SdkDesk) -> None:
    """The items of a subscription have lists of their own."""
    made = billed(desk, "items")
    items = desk.client.v1.subscription_items
    listed = items.list({"subscription": made.subscription.id})
    assert [item.id for item in listed] == [made.item.id]
    assert isinstance(listed.data[0], stripe.SubscriptionItem)
    assert items.retrieve(made.item.id).price.id == made.price.id
    with pytest.raises(stripe.InvalidRequestError) as caught:
        items.list({"subscription": "sub_none"})
    assert caught.value.code == "resource_missing"


def test_subscriptions_are_listed_by_customer_and_page(desk: SdkDesk) -> None:
    """Auto-paging finds a customer's subscriptions, the newest first."""
    made = billed(desk, "listed")
    more = [
        desk.client.v1.subscriptions.create(
            {"customer": made.customer.id, "items": [{"price": metered_price(desk, made.meter.id).id}]}
        ).id
        for _ in range(4)
    ]
    listed = desk.client.v1.subscriptions.list({"customer": made.customer.id, "limit": 2})
    assert listed.has_more
    assert [subscription.id for subscription in listed.auto_paging_iter()] == [
        *more[::-1],
        made.subscription.id,
    ]
    by_price = desk.client.v1.subscriptions.list({"price": made.price.id})
    assert [subscription.id for subscription in by_price] == [made.subscription.id]


def test_a_subscription_ends_with_its_period(desk: SdkDesk) -> None:
    """cancel_at_period_end says when it ends, and can be taken back."""
    subscription = billed(desk, "ending").subscription
    subscriptions = desk.client.v1.subscriptions
    ending = subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert (ending.cancel_at_period_end, ending.cancel_at, ending.status) == (True, NEXT_MONTH, "active")
    kept = subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert (kept.cancel_at_period_end, kept.cancel_at) == (False, None)


def test_a_canceled_subscription_is_listed_by_its_status(desk: SdkDesk) -> None:
    """Cancelation takes effect at once, and hides the subscription from plain lists."""
    made = billed(desk, "gone")
    canceled = desk.client.v1.subscriptions.cancel(made.subscription.id, {"invoice_now": True})
    assert (canceled.status, canceled.canceled_at, canceled.ended_at) == ("canceled", START, START)
    subscriptions = desk.client.v1.subscriptions
    assert subscriptions.list({"customer": made.customer.id}).data == []
    (found,) = subscriptions.list({"customer": made.customer.id, "status": "canceled"})
    assert found.id == made.subscription.id


def test_an_unknown_price_or_customer_is_refused(desk: SdkDesk) -> None:
    """Each is named by its parameter."""
    made = billed(desk, "refusals")
    for customer, price, param in (
        (made.customer.id, "price_none", "items[0][price]"),
        ("nobody", made.price.id, "customer"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            desk.client.v1.subscriptions.create({"customer": customer, "items": [{"price": price}]})
        assert (caught.value.code, caught.value.param) == ("resource_missing", param)
