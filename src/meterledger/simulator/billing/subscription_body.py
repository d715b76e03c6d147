"""How the API shows a subscription and its items."""

from collections.abc import Callable

from meterledger.simulator.billing.catalog import Price, plan_body, price_body
from meterledger.simulator.billing.subscriptions import Item, Subscription

# What Stripe has beside what is simulated here.
_ABSENT = (
    "application",
    "application_fee_percent",
    "billing_cycle_anchor_config",
    "billing_thresholds",
    "default_payment_method",
    "default_source",
    "next_pending_invoice_item_invoice",
    "on_behalf_of",
    "pause_collection",
    "payment_settings",
    "pending_invoice_item_interval",
    "pending_setup_intent",
    "pending_update",
    "schedule",
    "test_clock",
    "transfer_data",
    "trial_end",
    "trial_start",
)


def subscription_body(subscription: Subscription, price_of: Callable[[str], Price]) -> dict[str, object]:
    """Return a subscription as the API shows it; price_of finds a price by its id."""
    items = [item_body(subscription, item, price_of(item.price)) for item in subscription.items]
    return {
        "id": subscription.id,
        "object": "subscription",
        **dict.fromkeys(_ABSENT),
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": subscription.anchor,
        "billing_mode": {"type": subscription.mode},
        "cancel_at": subscription.ends_at,
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "canceled_at": subscription.canceled_at,
        "cancellation_details": {
            "comment": None,
            "feedback": None,
            "reason": None if subscription.canceled_at is None else "cancellation_requested",
        },
        "collection_method": subscription.collection,
        "created": subscription.created,
        "currency": subscription.currency,
        "customer": subscription.customer,
        "days_until_due": subscription.days_until_due,
        "default_tax_rates": [],
        "description": subscription.description,
        "discounts": [],
        "ended_at": subscription.ended_at,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {
            "object": "list",
            "data": items,
            "has_more": False,
            "total_count": len(items),
            "url": f"/v1/subscription_items?subscription={subscription.id}",
        },
        "latest_invoice": subscription.latest_invoice,
        "livemode": subscription.livemode,
        "metadata": subscription.metadata,
        "start_date": subscription.start_date,
        "status": subscription.status,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }


def item_body(subscription: Subscription, item: Item, price: Price) -> dict[str, object]:
    """Return an item as the API shows it."""
    return {
        "id": item.id,
        "object": "subscription_item",
        "billed_until": item.billed_until,
        "billing_thresholds": None,
        "created": item.created,
        "current_period_end": subscription.period_end,
        "current_period_start": subscription.period_start,
        "discounts": [],
        "metadata": item.metadata,
        "plan": plan_body(price),
        "price": price_body(price),
        **({} if item.quantity is None else {"quantity": item.quantity}),
        "subscription": subscription.id,
        "tax_rates": [],
    }
