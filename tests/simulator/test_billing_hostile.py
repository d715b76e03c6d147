"""Whatever is sent to the billing endpoints is answered, never with a failure of the simulator."""

from urllib.parse import urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.billing_conversation import DECEMBER, NOVEMBER, BillingConversation
from simulator.conversation import HOUR

_IDS = ("price_test_1", "price_test_2", "sub_test_1", "si_test_1", "si_test_2", "in_test_1", "in_test_2", "x")
_FIELDS = {
    "/v1/products": ("name", "active", "metadata[k]", "metadata[", "created[gt]", "limit"),
    "/v1/prices": (
        "active",
        "created",
        "currency",
        "limit",
        "product",
        "recurring[interval]",
        "recurring[interval_count]",
        "recurring[meter]",
        "recurring[usage_type]",
        "starting_after",
        "unit_amount_decimal",
    ),
    "/v1/subscriptions": (
        "backdate_start_date",
        "billing_cycle_anchor",
        "billing_mode[type]",
        "cancel_at",
        "cancel_at_period_end",
        "created[lte]",
        "customer",
        "days_until_due",
        "invoice_now",
        "items[0][",
        "items[0][id]",
        "items[0][metadata][",
        "items[0][price]",
        "items[0][quantity]",
        "items[1][price]",
        "metadata",
        "status",
    ),
    "/v1/subscription_items": ("subscription", "limit"),
    "/v1/invoices": (
        "auto_advance",
        "automatically_finalizes_at",
        "created[gt]",
        "customer",
        "description",
        "ending_before",
        "metadata[k]",
        "status",
        "subscription",
    ),
}
_VALID: dict[str, dict[str, str]] = {
    "/v1/products": {"name": "A"},
    "/v1/prices": {"currency": "usd", "unit_amount": "1", "product": "prod_test_1"},
    "/v1/subscriptions": {"customer": "cus_A", "items[0][price]": "price_test_1"},
}
_REST = ("", *(f"/{each}" for each in _IDS), "/in_test_2/lines", "/in_test_2/finalize", "/create_preview")
_VALUES = (
    "",
    "0",
    "-1",
    "1",
    "10",
    "3.5",
    "999999999999",
    "253402300799",
    "999999999999999",
    "99999999999999999999",
    str(NOVEMBER - HOUR),
    str(NOVEMBER + HOUR),
    str(DECEMBER + HOUR),
    "true",
    "false",
    "now",
    "usd",
    "month",
    "year",
    "metered",
    "licensed",
    "classic",
    "cus_A",
    "mtr_test_1",
    "prod_test_1",
    "\u0000",
    "é" * 600,
    *_IDS,
)


@st.composite
def _calls(draw: st.DrawFn) -> tuple[str, str, dict[str, str], int]:
    """Return a method, a path, parameters that its kind mostly has, and how many hours pass before."""
    kind = draw(st.sampled_from(sorted(_FIELDS)))
    rest = draw(st.sampled_from(_REST))
    sent = draw(st.dictionaries(st.sampled_from(_FIELDS[kind]), st.sampled_from(_VALUES), max_size=3))
    valid = {} if rest else _VALID.get(kind, {})
    method = draw(st.sampled_from(("POST", "POST", "GET", "DELETE")))
    return method, kind + rest, sent if method == "GET" else valid | sent, draw(st.integers(0, 1500))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(calls=st.lists(_calls(), max_size=15))
def test_nothing_makes_it_fail(calls: list[tuple[str, str, dict[str, str], int]]) -> None:
    """Random calls while the clock goes on are answered or refused, and the ledger stands."""
    talk = BillingConversation()
    talk.subscribe(talk.price(), talk.licensed())
    talk.go_to(DECEMBER)
    for method, path, fields, hours in calls:
        talk.clock.advance(hours * HOUR)
        if method == "POST":
            reply = talk.post(path, fields)
        else:
            reply = talk.call(method, path, query=urlencode(fields))
        assert reply.status < 500, (method, path, fields, reply.document)
    assert talk.get("/_simulator/ledger").status == 200


def test_the_end_of_time() -> None:
    """The last period has no end that a calendar could name, and all pages still show."""
    talk = BillingConversation()
    talk.go_to(253_402_300_799 - 24 * HOUR)
    subscription = talk.subscribe()
    talk.go_to(253_402_300_799)
    assert talk.subscription(subscription)["status"] == "active"
    assert talk.post("/v1/invoices/create_preview", {"customer": "cus_A"}).status == 200
    assert talk.get("/_simulator/ledger").status == 200


def test_the_clock_goes_back() -> None:
    """Before its own beginning a subscription is still shown, changed and ended."""
    talk = BillingConversation()
    subscription = talk.subscribe()
    talk.go_to(NOVEMBER - 40 * 24 * HOUR)
    talk.change(subscription, billing_cycle_anchor="now")
    talk.change(subscription, cancel_at_period_end="true")
    talk.cancel(subscription, invoice_now="true")
    assert talk.get("/_simulator/ledger").status == 200
