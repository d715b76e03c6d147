"""Products and prices: making, showing, listing."""

import pytest

from simulator.billing_conversation import BillingConversation
from simulator.conversation import METERS, START

PRICES = "/v1/prices"


def test_a_metered_price_has_every_field() -> None:
    """A price shows what Stripe shows, and the product that came along is there."""
    talk = BillingConversation()
    price = talk.price(nickname="Calls", **{"metadata[tier]": "a", "product_data[metadata][kind]": "x"})
    assert talk.get(f"{PRICES}/{price}").document == {
        "id": "price_test_1",
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": START,
        "currency": "usd",
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {"tier": "a"},
        "nickname": "Calls",
        "product": "prod_test_1",
        "recurring": {
            "interval": "month",
            "interval_count": 1,
            "meter": "mtr_test_1",
            "trial_period_days": None,
            "usage_type": "metered",
        },
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": 5,
        "unit_amount_decimal": "5",
    }
    product = talk.get("/v1/products/prod_test_1").document
    assert (product["name"], product["metadata"]) == ("API requests", {"kind": "x"})


def test_parts_of_a_cent_and_other_kinds_of_price() -> None:
    """An amount can have decimals, a price can be paid once, be licensed, or belong to a known product."""
    talk = BillingConversation()
    product = talk.made("/v1/products", {"name": "Plan", "description": "All of it", "active": "false"})
    assert talk.get(f"/v1/products/{product}").document["active"] is False
    given = {"currency": "EUR", "product": product, "unit_amount_decimal": "0.0250"}
    once = talk.post(PRICES, given).document
    assert (once["currency"], once["type"], once["recurring"]) == ("eur", "one_time", None)
    assert (once["unit_amount"], once["unit_amount_decimal"]) == (None, "0.025")
    licensed = talk.get(f"{PRICES}/{talk.licensed()}").document["recurring"]
    assert (licensed["usage_type"], licensed["meter"]) == ("licensed", None)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"currency": "dollars"}, "currency"),
        ({"currency": "us1"}, "currency"),
        ({"unit_amount": "1.5"}, "unit_amount"),
        ({"unit_amount": "-1"}, "unit_amount"),
        ({"unit_amount": None}, "unit_amount"),
        ({"unit_amount_decimal": "1"}, "unit_amount_decimal"),
        ({"unit_amount": None, "unit_amount_decimal": "1e3"}, "unit_amount_decimal"),
        ({"recurring[interval]": "hour"}, "recurring[interval]"),
        ({"recurring[interval]": None}, "recurring[interval]"),
        ({"recurring[interval_count]": 37}, "recurring[interval_count]"),
        ({"recurring[interval_count]": 0}, "recurring[interval_count]"),
        ({"recurring[meter]": None}, "recurring[meter]"),
        ({"recurring[meter]": "mtr_none"}, "recurring[meter]"),
        ({"recurring[usage_type]": "licensed"}, "recurring[meter]"),
        ({"product": "prod_x"}, "product_data"),
        ({"product": "prod_x", "product_data[name]": None}, "product"),
        ({"product_data[name]": None}, "product"),
        ({"product_data[name]": ""}, "product_data[name]"),
        ({"tiers[0][up_to]": "inf"}, "tiers[0][up_to]"),
        ({"billing_scheme": "tiered"}, "billing_scheme"),
    ],
)
def test_bad_prices(change: dict[str, object], param: str) -> None:
    """Each bad parameter of a new price is a 400 that names it."""
    talk = BillingConversation()
    fields: dict[str, object] = {
        "currency": "usd",
        "unit_amount": 5,
        "product_data[name]": "API requests",
        "recurring[interval]": "month",
        "recurring[usage_type]": "metered",
        "recurring[meter]": talk.meter(),
    }
    reply = talk.post(PRICES, {**fields, **change})
    assert (reply.status, reply.error["param"]) == (400, param)


def test_an_inactive_meter_cannot_be_attached() -> None:
    """A price needs an active meter; prices that have one already stay as they are."""
    talk = BillingConversation()
    price, meter = talk.price(), talk.meter_id()
    talk.post(f"{METERS}/{meter}/deactivate", {})
    reply = talk.post(
        PRICES,
        {
            "currency": "usd",
            "unit_amount": 1,
            "product": "prod_test_1",
            "recurring[interval]": "day",
            "recurring[usage_type]": "metered",
            "recurring[meter]": meter,
        },
    )
    assert (reply.status, reply.error["param"]) == (400, "recurring[meter]")
    assert talk.get(f"{PRICES}/{price}").status == 200


def test_lists_and_their_filters() -> None:
    """Prices and products are listed, the newest first, and can be cut to those of a kind."""
    talk = BillingConversation()
    metered = talk.price()
    talk.clock.advance(10)
    licensed = talk.licensed(currency="eur", active="false")

    def listed(**query: object) -> list[str]:
        return [row["id"] for row in talk.get(PRICES, **query).document["data"]]

    assert listed() == [licensed, metered]
    assert listed(active="true") == listed(currency="usd") == [metered]
    assert listed(product="prod_test_2") == listed(**{"created[gt]": START}) == [licensed]
    assert listed(**{"created[lt]": START + 10}) == listed(created=START) == [metered]
    assert listed(**{"recurring[meter]": "mtr_test_1"}) == [metered]
    assert listed(**{"recurring[interval]": "year"}) == listed(type="one_time") == []
    products = talk.get("/v1/products", **{"created[gte]": START + 10}).document["data"]
    assert [product["id"] for product in products] == ["prod_test_2"]
    assert talk.get("/v1/products/prod_none").status == 404
