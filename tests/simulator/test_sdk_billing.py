"""Stripe's own Python client against the simulator: prices, subscriptions, invoices."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
import stripe

from simulator.billing_conversation import DECEMBER, NOVEMBER
from simulator.conversation import DAY, HOUR
from support.simulator_process import SimulatorProcess


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    """Start a simulator that stands at the start of November."""
    with SimulatorProcess("--clock", "2026-11-01T00:00:00Z", "--freeze") as process:
        yield process


@pytest.fixture
def client(simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch) -> stripe.StripeClient:
    """Return the official client, pointed at the simulator."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    return stripe.StripeClient("sk_test_sdk", base_addresses={"api": simulator.url}, max_network_retries=0)


def _priced(client: stripe.StripeClient, amount: str = "2.5") -> stripe.Price:
    meters = client.v1.billing.meters.list().data
    meter = (
        meters[0]
        if meters
        else client.v1.billing.meters.create(
            {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
        )
    )
    return client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount_decimal": Decimal(amount),
            "product_data": {"name": "Calls"},
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        }
    )


def _use(client: stripe.StripeClient, value: str, timestamp: int) -> None:
    client.v1.billing.meter_events.create(
        {
            "event_name": "calls",
            "payload": {"stripe_customer_id": "cus_A", "value": value},
            "timestamp": timestamp,
        }
    )


def test_products_and_prices(client: stripe.StripeClient) -> None:
    """They are made, read and listed, and a part of a cent is read as the decimal it is."""
    product = client.v1.products.create({"name": "Plan", "metadata": {"a": "b"}})
    assert client.v1.products.retrieve(product.id).metadata["a"] == "b"
    price = _priced(client)
    assert client.v1.prices.retrieve(price.id).unit_amount_decimal == Decimal("2.5")
    assert [each.id for each in client.v1.prices.list({"type": "recurring"}).data] == [price.id]
    assert {each.id for each in client.v1.products.list().data} == {product.id, price.product}


def test_a_months_end(client: stripe.StripeClient, simulator: SimulatorProcess) -> None:
    """A draft is found, its deadline moved, its usage billed at the deadline, and all of it read."""
    price = _priced(client)
    subscription = client.v1.subscriptions.create(
        {
            "customer": "cus_A",
            "items": [{"price": price.id, "metadata": {"row": "1"}}],
            "billing_mode": {"type": "flexible"},
            "metadata": {"plan": "a"},
        }
    )
    item = subscription["items"].data[0]
    assert (item.current_period_start, item.current_period_end) == (NOVEMBER, DECEMBER)
    assert client.v1.subscription_items.retrieve(item.id).metadata["row"] == "1"
    assert client.v1.subscription_items.list({"subscription": subscription.id}).data[0].id == item.id
    _use(client, "3", NOVEMBER)
    preview = client.v1.invoices.create_preview({"customer": "cus_A", "subscription": subscription.id})
    assert (preview.total, preview.lines.data[0].quantity_decimal) == (8, Decimal(3))
    simulator.set_clock(str(DECEMBER))
    (draft,) = client.v1.invoices.list(
        {"status": "draft", "subscription": subscription.id, "created": {"gte": DECEMBER}}
    ).data
    assert draft.automatically_finalizes_at == DECEMBER + HOUR
    client.v1.invoices.update(
        draft.id, {"auto_advance": True, "automatically_finalizes_at": DECEMBER + DAY, "metadata": {"k": "v"}}
    )
    simulator.set_clock(str(DECEMBER + DAY - 1))
    _use(client, "1.5", NOVEMBER)
    simulator.set_clock(str(DECEMBER + DAY))
    _use(client, "100", NOVEMBER)
    final = client.v1.invoices.retrieve(draft.id)
    (line,) = client.v1.invoices.line_items.list(draft.id).data
    assert (final.status, final.total, line.quantity, line.quantity_decimal) == (
        "open",
        11,
        4,
        Decimal("4.5"),
    )
    assert final.parent is not None
    assert final.parent.subscription_details is not None
    assert final.parent.subscription_details.subscription == subscription.id
    assert line.pricing is not None
    assert line.pricing.price_details is not None
    assert line.pricing.price_details.price == price.id


def test_changes_and_ends(client: stripe.StripeClient, simulator: SimulatorProcess) -> None:
    """A price is changed, the end is asked for and taken back, and the subscription is canceled."""
    subscriptions = client.v1.subscriptions
    first = subscriptions.create({"customer": "cus_A", "items": [{"price": _priced(client).id}]})
    simulator.set_clock(str(NOVEMBER + 10 * DAY))
    second = _priced(client, "7")
    changed = subscriptions.update(
        first.id,
        {"items": [{"id": first["items"].data[0].id, "price": second.id}], "cancel_at": DECEMBER - DAY},
    )
    assert (changed["items"].data[0].price.id, changed.cancel_at) == (second.id, DECEMBER - DAY)
    assert subscriptions.update(first.id, {"cancel_at": ""}).cancel_at is None
    canceled = subscriptions.cancel(first.id, {"invoice_now": True, "prorate": False})
    assert (canceled.status, canceled.ended_at) == ("canceled", NOVEMBER + 10 * DAY)
    assert subscriptions.list({"customer": "cus_A"}).data == []
    assert [each.id for each in subscriptions.list({"status": "all"}).auto_paging_iter()] == [first.id]
    assert len(client.v1.invoices.list({"customer": "cus_A"}).data) == 2


def test_finalizing_and_refusals(client: stripe.StripeClient, simulator: SimulatorProcess) -> None:
    """A draft is finalized by hand, once; refusals come as the client's own errors."""
    client.v1.subscriptions.create({"customer": "cus_A", "items": [{"price": _priced(client).id}]})
    simulator.set_clock(str(DECEMBER))
    (draft,) = client.v1.invoices.list({"status": "draft"}).data
    assert client.v1.invoices.finalize_invoice(draft.id, {"auto_advance": False}).status == "paid"
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        client.v1.invoices.finalize_invoice(draft.id)
    assert refusal.value.code == "invoice_not_editable"
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.subscriptions.create({"customer": "cus_A", "items": [{"price": "price_none"}]})
    assert (missing.value.code, missing.value.param) == ("resource_missing", "items[0][price]")
