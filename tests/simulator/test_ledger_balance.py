"""Whatever happens to a subscription, the ledger, the invoices and the summaries tell of the same usage."""

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.billing_conversation import INVOICES, SUBSCRIPTIONS, BillingConversation
from simulator.conversation import DAY, HOUR, MINUTE, START

Step = tuple[str, int, int]
"""What is done, how long ago usage was or how long time goes on (minutes), and a number that picks."""

_KINDS = ("use", "use", "use", "wait", "wait", "cancel event", "price", "anchor", "end", "cancel", "draft")
_VALUES = ("1", "2", "0.5", "-3", "7.25")
_FLAGS = ("true", "false")

_step = st.tuples(st.sampled_from(_KINDS), st.integers(0, 34 * 24 * 60), st.integers(0, 9))


class History(BillingConversation):
    """A customer with one subscription at a time, to which things happen."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.prices = [self.price(), self.price(unit_amount=7), self.price(**{"recurring[interval]": "day"})]
        self.sent = 0
        self.current = self.begin()

    def begin(self) -> str:
        """Subscribe the customer."""
        return self.subscribe(self.prices[0], **{"billing_mode[type]": self.mode})

    def take(self, step: Step) -> None:
        """Let something happen; what cannot be done now is refused."""
        kind, minutes, number = step
        now = int(self.clock.now())
        match kind:
            case "use":
                self.sent += 1
                self.use(_VALUES[number % 5], now - minutes * MINUTE, identifier=f"i{self.sent}")
            case "wait":
                self.clock.advance(minutes * MINUTE)
            case "cancel event":
                named = {"event_name": "api_requests", "type": "cancel"}
                canceled = {"cancel[identifier]": f"i{self.sent - number}"}
                self.post("/v1/billing/meter_event_adjustments", named | canceled)
            case "cancel":
                self.call(
                    "DELETE", f"{SUBSCRIPTIONS}/{self.current}", query=f"invoice_now={_FLAGS[number % 2]}"
                )
            case "draft":
                self.on_a_draft(number, now + 1 + minutes * MINUTE)
            case _:
                self.on_the_subscription(kind, number, now + (1 + minutes) * MINUTE)

    def on_a_draft(self, number: int, deadline: int) -> None:
        """Finalize the oldest draft, hold it open, or give it another deadline."""
        for draft in self.invoices(status="draft")[-1:]:
            if number < 3:
                self.post(f"{INVOICES}/{draft['id']}/finalize", {})
            elif number < 5:
                self.post(f"{INVOICES}/{draft['id']}", {"auto_advance": "false"})
            else:
                self.post(f"{INVOICES}/{draft['id']}", {"automatically_finalizes_at": deadline})

    def on_the_subscription(self, kind: str, number: int, later: int) -> None:
        """Change the running subscription, or begin another where it has ended."""
        subscription = self.subscription(self.current)
        if subscription["status"] == "canceled":
            self.current = self.begin()
            return
        fields: dict[str, object] = {"billing_cycle_anchor": "now"}
        if kind == "price":
            item = subscription["items"]["data"][0]["id"]
            fields = {"items[0][id]": item, "items[0][price]": self.prices[number % 3]}
        elif kind == "end":
            fields = {"cancel_at": later} if number % 2 else {"cancel_at_period_end": "true"}
        self.post(f"{SUBSCRIPTIONS}/{self.current}", fields)


def added(rows: list[Any], name: str) -> Decimal:
    """Add up what the rows have under a name."""
    return sum((Decimal(row[name]) for row in rows), Decimal(0))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mode=st.sampled_from(("classic", "flexible")), steps=st.lists(_step, min_size=12, max_size=40))
def test_every_event_stands_in_one_place(mode: str, steps: list[Step]) -> None:
    """Billed, late, dropped, running and unbilled usage make up all that was counted, and invoices agree."""
    talk = History(mode)
    for step in steps:
        talk.take(step)
    page = talk.get("/_simulator/ledger").document
    places = [*page["periods"], *page["unbilled"]]
    now = int(talk.clock.now())
    shown = talk.summary(talk.meter_id(), START - 40 * DAY, now - now % HOUR + HOUR).document["data"][0]
    assert added(places, "events") == added(page["usage"], "events")
    assert added(places, "total") == added(page["usage"], "total") == Decimal(str(shown["aggregated_value"]))
    for row in page["periods"]:
        if row["state"] == "final":
            lines = talk.get(f"{INVOICES}/{row['invoice']}/lines", limit=100).document["data"]
            spans = {(line["period"]["start"], line["period"]["end"]): line for line in lines}
            assert spans[row["start"], row["end"]]["quantity_decimal"] == row["billed"]
            assert row["billed_events"] + row["late_events"] == row["events"]
            assert row["billed"] == "0" or added([row], "billed") + added([row], "late") == added(
                [row], "total"
            )
