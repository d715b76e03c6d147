"""How much the simulator remembers of an event: a month's usage has to fit."""

import tracemalloc
from urllib.parse import urlencode

from meterledger.simulator.protocol.wire import Call
from simulator.conversation import EVENTS, KEY, START, Conversation

EVENTS_COUNTED = 10_000
CUSTOMERS = 500
MOST_BYTES = 400  # for each event


def test_an_event_takes_less_than_400_bytes() -> None:
    """With an identifier and another key, each as long as a UUID, an event stays below the bound."""
    talk = Conversation()
    talk.meter()
    send(talk, 0, 100)  # whatever is made once is made now
    tracemalloc.start()
    try:
        send(talk, 100, 100 + EVENTS_COUNTED)
        allocated, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    (account,) = talk.stripe.accounts.all()
    assert len(account.usage) == 100 + EVENTS_COUNTED
    assert allocated / EVENTS_COUNTED < MOST_BYTES


def send(talk: Conversation, first: int, end: int) -> None:
    """Send the events of the numbers from first to before end, the way an SDK does."""
    for number in range(first, end):
        form = {
            "event_name": "api_requests",
            "identifier": f"{number:032d}-fee",
            "timestamp": str(START),
            "payload[stripe_customer_id]": f"cus_{number % CUSTOMERS:08d}",
            "payload[value]": str(number % 100),
        }
        headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": f"{number:032d}-key"}
        call = Call(method="POST", path=EVENTS, query="", headers=headers, body=urlencode(form).encode())
        answer = talk.stripe.answer(call)
        assert answer.status == 200
        assert answer.hold is not None
        answer.hold.release()
