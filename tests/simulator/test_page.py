"""The page for people: what it says, and that nothing a client sends can run in it."""

import re
from urllib.parse import urlencode

from meterledger.simulator.page.billing_view import view_billing
from meterledger.simulator.protocol.wire import Answer, Call
from simulator.billing_conversation import BillingConversation
from simulator.conversation import DAY, HOUR, START, Conversation

HOSTILE = "<script>alert(1)</script>&\"'"


def ask(talk: Conversation, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
    """Ask for the page as a browser does, or press one of its buttons."""
    sent = {"Host": "127.0.0.1:12111", **headers}
    return talk.stripe.answer(Call(method=method, path="/", query="", headers=sent, body=body))


def press(talk: Conversation, **fields: str) -> Answer:
    """Press a button."""
    return ask(talk, "POST", urlencode(fields).encode())


def words(answer: Answer) -> str:
    """Return what the page says, without its style and tags."""
    text = re.sub(r"<style>.*?</style>", "", answer.body.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def test_an_empty_page_says_what_to_do() -> None:
    """Before anybody called, the page says that it is no Stripe and how to begin, and needs no key."""
    answer = ask(Conversation())
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    for text in (
        "This is not Stripe.",
        "2026-11-01 00:00:00 UTC",
        "Nobody has called yet",
        "None are planned",
    ):
        assert text in words(answer)


def test_the_page_shows_meters_invoices_faults_and_requests() -> None:
    """After a month's end everything that a person asks about stands there."""
    talk = BillingConversation()
    talk.subscribe()
    talk.use("40", START)
    talk.clock.set(START + 30 * DAY + HOUR // 2)
    talk.use("2", START + 30 * DAY - 60)
    talk.call("POST", "/_simulator/faults", body=b'{"faults": [{"kind": "answer_lost", "times": 3}]}')
    talk.event("1", event_name="misspelt")
    text = words(ask(talk))
    for part in (
        "2 events of 1 customer, usage 42",
        "Next, in 30 min: in_test_2 becomes final, at 2026-12-01 01:00:00.",
        "in_test_2 cus_A 2026-11-01 to 2026-12-01 draft 2026-12-01 01:00:00 in 30 min",
        "api_requests 42 (2 events) nothing",
        "sub_test_1 cus_A 2026-12-01 to 2027-01-01 api_requests 0 (0 events)",
        "answer_lost meter_events 1 2",
        "POST /v1/billing/meter_events",
    ):
        assert part in text


def test_late_usage_is_shown_beside_the_invoice_that_it_missed() -> None:
    """What was received after an invoice became final stands in the column for it, with its events."""
    talk = BillingConversation()
    talk.subscribe()
    talk.use("40", START)
    talk.clock.set(START + 30 * DAY + 2 * HOUR)
    talk.use("3", START + 30 * DAY - 60)
    text = words(ask(talk))
    assert "open 2026-12-01 01:00:00 api_requests 40 (1 event) api_requests 3 (1 event)" in text


def test_usage_on_no_invoice_is_shown_with_the_reason() -> None:
    """Who used without a subscription, or before one ended unbilled, stands in a table of its own."""
    talk = BillingConversation()
    talk.subscribe()
    talk.use("40", START)
    talk.event("7", customer="cus_nobody")
    text = words(ask(talk))
    assert "cus_nobody api_requests 7 (1 event) at any time no subscription to this meter then" in text
    assert "sub_test_1 cus_A 2026-11-01 to 2026-12-01 api_requests 40 (1 event)" in text
    talk.clock.set(START + DAY)
    talk.cancel("sub_test_1")
    text = words(ask(talk))
    assert "api_requests 40 (1 event) 2026-11-01 to 2026-11-02 its price ended without an invoice" in text
    assert "Nothing is due" in text


def test_what_happens_next_follows_a_moved_deadline() -> None:
    """A deadline that was moved is the next thing to happen, not the one before it."""
    talk = BillingConversation()
    talk.subscribe()
    talk.use("40", START)
    end = START + 30 * DAY
    assert "Next, in 30 d 0 h: the period of sub_test_1 ends, at 2026-12-01 00:00:00." in words(ask(talk))
    talk.clock.set(end + 60)
    talk.post("/v1/invoices/in_test_2", {"automatically_finalizes_at": end + 5 * HOUR})
    assert "Next, in 4 h 59 min: in_test_2 becomes final, at 2026-12-01 05:00:00." in words(ask(talk))
    talk.post("/v1/invoices/in_test_2", {"auto_advance": "false"})
    assert "in_test_2 cus_A 2026-11-01 to 2026-12-01 draft held open" in words(ask(talk))
    assert "the period of sub_test_1 ends, at 2027-01-01 00:00:00." in words(ask(talk))


def test_buttons_turn_the_clock_and_lead_back() -> None:
    """Each button answers with a redirect to the page, and the clock has done as it says."""
    talk = Conversation()
    answer = press(talk, advance="1h")
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert talk.clock.now() == START + HOUR
    press(talk, now="2026-12-01T00:00:00Z", mode="running")
    assert not talk.clock.frozen
    press(talk, mode="frozen")
    assert talk.clock.frozen


def test_a_button_that_cannot_be_done_says_why() -> None:
    """A time that is none is told on the page, and the clock stays."""
    talk = Conversation()
    for fields in ({"now": "tomorrow"}, {"advance": "-1h"}, {"other": "1"}, {}):
        answer = press(talk, **fields)
        assert answer.status == 400
        assert 'role="alert"' in answer.body.decode()
    assert "tomorrow" in words(press(talk, now="tomorrow"))
    assert talk.clock.now() == START


def test_what_clients_send_is_escaped() -> None:
    """Names, customers and paths with markup in them are shown as text, and no script may run anyway."""
    talk = Conversation()
    talk.meter(HOSTILE[:100])
    talk.event("1", event_name=HOSTILE[:100], customer=f"cus_{HOSTILE}")
    talk.call("GET", f"/{HOSTILE}", query=HOSTILE)
    answer = ask(talk)
    assert b"<script" not in answer.body
    assert b"&lt;script&gt;" in answer.body
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_other_sites_cannot_press_the_buttons() -> None:
    """A form on another site's page is refused, and the clock stays."""
    talk = Conversation()
    answer = ask(talk, "POST", b"advance=1h", Origin="https://example.com")
    assert (answer.status, talk.clock.now()) == (403, START)


def test_a_large_state_is_cut_and_says_so() -> None:
    """Of many meters and requests the latest are shown, with the number of the others."""
    talk = Conversation()
    for number in range(60):
        talk.meter(f"meter_{number}")
    text = words(ask(talk))
    assert "and 40 more" in text
    assert "meter_59" in text
    assert "meter_39 " not in text
    assert text.count("POST /v1/billing/meters") == 25


def test_other_methods_are_refused() -> None:
    """The page is read and its buttons are pressed; nothing else."""
    assert ask(Conversation(), "DELETE").status == 405


def test_only_the_invoices_that_are_shown_are_counted() -> None:
    """Of many invoices the first are gathered, drafts before the others, and the number of the rest."""
    talk = BillingConversation()
    price = talk.price()
    for number in range(3):
        talk.subscribe(price, customer=f"cus_{number}")
    talk.use("4", START, customer="cus_1")
    talk.go_to(START + 31 * DAY)
    talk.subscribe(price, customer="cus_3")
    talk.go_to(START + 61 * DAY)
    account = talk.stripe.accounts.all()[0]
    ask(talk)
    billing = view_billing(account, talk.clock.now(), 4)
    assert [(view.status, view.customer.id, view.billed) for view in billing.invoices] == [
        ("draft", "cus_0", ["api_requests 0 (0 events)"]),
        ("draft", "cus_1", ["api_requests 0 (0 events)"]),
        ("draft", "cus_2", ["api_requests 0 (0 events)"]),
        ("paid", "cus_0", ["api_requests 0 (0 events)"]),
    ]
    assert billing.more_invoices == 2
