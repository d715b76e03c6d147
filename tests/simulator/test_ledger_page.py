"""The page that says what the simulator counted."""

from meterledger.simulator.protocol.wire import Call
from simulator.conversation import EVENTS, KEY, Conversation


def test_the_page_says_what_was_counted() -> None:
    """Usage by meter and customer, totals of identifiers, and requests by path and status are all there."""
    talk = Conversation()
    talk.meter()
    talk.event("1", identifier="x")
    talk.event("1", identifier="x")
    talk.event("2.5", identifier="y")
    page = talk.get("/_simulator/ledger").document
    assert page["now"] == "2026-11-01T00:00:00Z"
    assert page["usage"] == [
        {
            "account": "acct_simulator",
            "livemode": False,
            "meter": "mtr_test_1",
            "event_name": "api_requests",
            "customer": "cus_A",
            "events": 2,
            "total": "3.5",
        }
    ]
    assert page["identifier_totals"] == {
        "identifiers": 2,
        "arrivals": 3,
        "counted": 2,
        "counted_more_than_once": 0,
    }
    statuses = {(row["path"], row["status"]): row["count"] for row in page["requests"]}
    assert (statuses[EVENTS, 200], statuses[EVENTS, 400]) == (2, 1)
    assert "identifiers" not in page


def test_reading_needs_no_key_and_changes_nothing() -> None:
    """The page is open, and looking at a customer without usage adds no row."""
    talk = Conversation()
    meter_id = talk.meter()
    talk.summary(meter_id, 0, 60)
    reply = talk.call("GET", "/_simulator/ledger", headers={"Authorization": ""})
    assert (reply.status, reply.document["usage"]) == (200, [])
    assert talk.get("/_simulator/ledger", identifier=1).status == 400


def test_unknown_paths_are_counted_as_one() -> None:
    """Requests to many unknown paths make one row, so the page stays bounded."""
    talk = Conversation()
    for number in range(5):
        talk.get(f"/x/{number}")
    assert talk.get("/_simulator/ledger").document["requests"] == [
        {"method": "GET", "path": "(unknown)", "status": 404, "count": 5}
    ]


def test_the_highest_concurrency_is_kept_by_customer_and_meter() -> None:
    """Calls open at the same time are counted per customer, and the highest number stays."""
    talk = Conversation()
    talk.meter()

    def start(customer: str) -> Call:
        body = f"event_name=api_requests&payload[stripe_customer_id]={customer}&payload[value]=1".encode()
        headers = {"Authorization": f"Bearer {KEY}"}
        return Call(method="POST", path=EVENTS, query="", headers=headers, body=body)

    holds = [talk.stripe.answer(start(customer)).hold for customer in ("cus_A", "cus_A", "cus_B")]
    for hold in holds:
        assert hold is not None
        hold.release()
    talk.event()
    page = talk.get("/_simulator/ledger").document
    assert {row["customer"]: row["highest"] for row in page["concurrency"]} == {"cus_A": 2, "cus_B": 1}
    assert page["max_concurrency"] == 2
