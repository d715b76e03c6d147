"""A conversation about prices, subscriptions and invoices."""

from typing import Any

from simulator.conversation import DAY, START, Conversation

SUBSCRIPTIONS = "/v1/subscriptions"
INVOICES = "/v1/invoices"
NOVEMBER, DECEMBER, JANUARY = START, START + 30 * DAY, START + 61 * DAY


class BillingConversation(Conversation):
    """A simulated Stripe with a meter `api_requests` and a price of 5 cents a unit and month, once asked."""

    def price(self, **more: object) -> str:
        """Make a metered price of the meter `api_requests`, and the meter where there is none."""
        fields: dict[str, object] = {
            "currency": "usd",
            "unit_amount": 5,
            "product_data[name]": "API requests",
            "recurring[interval]": "month",
            "recurring[usage_type]": "metered",
        }
        if "recurring[meter]" not in more and more.get("recurring[usage_type]") != "licensed":
            fields["recurring[meter]"] = self.meter_id()
        given = {**fields, **more}
        return self.made("/v1/prices", given)

    def meter_id(self) -> str:
        """Return the meter `api_requests`, made where there is none."""
        meters = self.get("/v1/billing/meters", status="active").document["data"]
        for meter in meters:
            if meter["event_name"] == "api_requests":
                found: str = meter["id"]
                return found
        return self.meter()

    def licensed(self, **more: object) -> str:
        """Make a licensed price of 10 dollars a month."""
        return self.price(**{"recurring[usage_type]": "licensed", "unit_amount": 1000, **more})

    def subscribe(self, *prices: str, customer: str = "cus_A", **more: object) -> str:
        """Subscribe a customer to prices, or to a new metered one."""
        items = {f"items[{place}][price]": price for place, price in enumerate(prices or (self.price(),))}
        return self.made(SUBSCRIPTIONS, {"customer": customer, **items, **more})

    def subscription(self, subscription_id: str) -> Any:
        """Read a subscription."""
        return self.get(f"{SUBSCRIPTIONS}/{subscription_id}").document

    def change(self, subscription_id: str, **fields: object) -> Any:
        """Change a subscription."""
        reply = self.post(f"{SUBSCRIPTIONS}/{subscription_id}", fields)
        assert reply.status == 200, reply.document
        return reply.document

    def cancel(self, subscription_id: str, **query: object) -> Any:
        """End a subscription at once."""
        path = f"{SUBSCRIPTIONS}/{subscription_id}"
        reply = self.call("DELETE", path, body="&".join(f"{k}={v}" for k, v in query.items()).encode())
        assert reply.status == 200, reply.document
        return reply.document

    def invoices(self, **query: object) -> Any:
        """Read the invoices, the newest first."""
        reply = self.get(INVOICES, **{"limit": 100, **query})
        assert reply.status == 200, reply.document
        return reply.document["data"]

    def latest(self) -> Any:
        """Read the newest invoice."""
        return self.invoices()[0]

    def cycles(self) -> list[tuple[Any, ...]]:
        """Return status, period and quantities of the invoices of ended periods, the oldest first."""
        return [
            (invoice["status"], invoice["created"], [line["quantity_decimal"] for line in lines(invoice)])
            for invoice in reversed(self.invoices())
            if invoice["billing_reason"] == "subscription_cycle"
        ]

    def go_to(self, instant: float) -> None:
        """Set the clock; what is due happens with the next call."""
        self.clock.set(instant)

    def use(self, value: str | None, at: int, *, customer: str = "cus_A", **more: object) -> None:
        """Send usage with a timestamp."""
        reply = self.event(value, customer=customer, timestamp=at, **more)
        assert reply.status == 200, reply.document

    def billing_ledger(self) -> tuple[list[Any], list[Any], list[Any]]:
        """Read the ledger's periods, invoices and unbilled usage."""
        page = self.get("/_simulator/ledger").document
        return page["periods"], page["invoices"], page["unbilled"]

    def happened(self) -> list[str]:
        """Return the types of what has happened by now, the oldest first."""
        self.stripe.catch_up()
        (account,) = self.stripe.accounts.all()
        return [event.type for event in reversed(account.events.newest_first(0))]

    def made(self, path: str, fields: dict[str, object]) -> str:
        """Make something and return its id."""
        reply = self.post(path, fields)
        assert reply.status == 200, reply.document
        made: str = reply.document["id"]
        return made


def lines(invoice: Any) -> Any:
    """Return an invoice's lines."""
    return invoice["lines"]["data"]
