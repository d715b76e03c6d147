"""A customer who is billed for usage, made through Stripe's own Python client."""

from dataclasses import dataclass

import stripe

from support.sdk_desk import SdkDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """A customer with a monthly subscription to one metered price of 3 cents a unit."""

    meter: stripe.billing.Meter
    price: stripe.Price
    customer: stripe.Customer
    subscription: stripe.Subscription

    @property
    def item(self) -> stripe.SubscriptionItem:
        """The subscription's only item."""
        (item,) = self.subscription["items"].data
        assert isinstance(item, stripe.SubscriptionItem)
        return item


def metered_price(desk: SdkDesk, meter_id: str, *, unit_amount: int = 3) -> stripe.Price:
    """Make a monthly price of a meter, in US cents."""
    return desk.client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": unit_amount,
            "product_data": {"name": "Calls"},
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter_id},
        }
    )


def billed(desk: SdkDesk, event_name: str = "api_requests") -> Billed:
    """Make a meter, a price, a customer and a subscription that begins now."""
    meter = desk.meter(event_name)
    price = metered_price(desk, meter.id)
    customer = desk.client.v1.customers.create({"name": "Alpha"})
    subscription = desk.client.v1.subscriptions.create(
        {"customer": customer.id, "items": [{"price": price.id}]}
    )
    return Billed(meter=meter, price=price, customer=customer, subscription=subscription)
