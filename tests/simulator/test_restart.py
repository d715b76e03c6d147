"""A restart in the middle of billing, v2, streams, alerts and cancelations: nobody can tell."""

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.metering.meters import Formula, MeterSpec
from meterledger.simulator.rules import Readings, Rules
from meterledger.simulator.seeds.customers import CustomerSeed, SubscriptionSeed
from meterledger.simulator.state_file.state_file import open_state
from simulator.conversation import EVENTS, START, Conversation, Reply, event_fields

Step = Callable[[Conversation], Reply]

V2 = "/v2/billing"
SESSIONS = f"{V2}/meter_event_session"
VERSION = {"Stripe-Version": "2026-10-28.endive"}
RULES = Rules(
    lag_seconds=30,
    readings=Readings(checks="async"),
    seeds=(
        MeterSpec(display_name="Requests", event_name="api_requests", formula=Formula.SUM),
        MeterSpec(display_name="Seats", event_name="seats", formula=Formula.LAST),
    ),
    customer_seeds=(
        CustomerSeed(
            id="cus_A",
            metadata={"customer_id": "a"},
            subscriptions=(
                SubscriptionSeed(
                    id="sub_A",
                    metadata={},
                    anchor=START - 400_000,
                    interval="month",
                    count=1,
                    status="active",
                ),
                SubscriptionSeed(
                    id=None, metadata={}, anchor=None, interval="week", count=2, status="trialing"
                ),
            ),
        ),
    ),
)
LOOKS = (
    "/_simulator/ledger",
    "/v1/invoices",
    "/v1/subscriptions",
    "/v1/events",
    "/v1/prices",
    "/v1/billing/alerts",
    "/v2/core/events",
)


def form(path: str, fields: Mapping[str, object], method: str = "POST") -> Step:
    """Return a call with a form."""
    body = urlencode(fields).encode()
    return lambda talk: talk.call(method, path, body=body)


def document(path: str, given: object, **headers: str) -> Step:
    """Return a call with a JSON body."""
    body = json.dumps(given).encode()
    return lambda talk: talk.call("POST", path, body=body, headers=VERSION | headers)


def look_at(path: str) -> Step:
    """Return a call that reads."""
    query = "identifiers=1" if path == LOOKS[0] else ""
    return lambda talk: talk.call("GET", path, query=query, headers=VERSION)


def stream(event: object, *, anew: bool) -> Step:
    """Return a call to the stream, with the token of a new session or of the first."""

    def call(talk: Conversation) -> Reply:
        if anew:
            opened = document(SESSIONS, {})(talk)
            token = opened.document["authentication_token"]
        else:
            token = FIRST_TOKEN
        return document(f"{V2}/meter_event_stream", {"events": [event]}, Authorization=f"Bearer {token}")(
            talk
        )

    return call


def standing() -> SimulatedClock:
    """Return a clock that stands at the start."""
    return SimulatedClock(float, start=float(START), frozen=True)


def first_token() -> str:
    """Return the token that the first session of every simulator has."""
    talk = Conversation(clock=standing())
    token: str = document(SESSIONS, {})(talk).document["authentication_token"]
    return token


FIRST_TOKEN = first_token()


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Draw a call."""
    number = draw(st.integers(1, 3))
    identifier = draw(st.sampled_from(["i1", "i2", "i3", "i4"]))
    name = draw(st.sampled_from(["api_requests", "seats", "nothing"]))
    customer = draw(st.sampled_from(["cus_A", "cus_B", "nobody"]))
    event = {
        "event_name": name,
        "identifier": identifier,
        "payload": {"stripe_customer_id": customer, "value": str(number)},
    }
    key = draw(st.sampled_from([{}, {"Idempotency-Key": "k1"}]))
    canceled = {"event_name": "api_requests", "type": "cancel", "cancel": {"identifier": identifier}}
    price = {"customer": customer, "items[0][price]": f"price_test_{number}"}
    alert = {
        "alert_type": "usage_threshold",
        "title": "A lot",
        "usage_threshold[gte]": number,
        "usage_threshold[meter]": f"mtr_test_{number}",
        "usage_threshold[recurrence]": "one_time",
    }
    turn = draw(st.sampled_from(["1s", "20s", "1h", "25h", "16d", "40d"]))
    look = draw(st.sampled_from(LOOKS))
    return draw(
        st.sampled_from(
            [
                form(EVENTS, event_fields(str(number), customer=customer, identifier=identifier)),
                document(f"{V2}/meter_events", event, **key),
                stream(event, anew=True),
                stream(event, anew=False),
                document(f"{V2}/meter_event_adjustments", canceled),
                form("/v1/billing/alerts", alert),
                form("/v1/subscriptions", price),
                form(f"/v1/subscriptions/sub_test_{number}", {}, method="DELETE"),
                form("/v1/customers/cus_A", {}, method="DELETE"),
                document("/_simulator/clock", {"advance": turn}),
                document("/_simulator/clock", {"advance": turn}),
                look_at(look),
            ]
        )
    )


def told(talk: Conversation, calls: list[Step]) -> list[tuple[int, bytes, dict[str, str]]]:
    """Make calls, and return what is answered to each."""
    replies = [call(talk) for call in calls]
    return [(reply.status, reply.body, reply.headers) for reply in replies]


@settings(deadline=None, max_examples=200)
@given(before=st.lists(steps(), max_size=30), after=st.lists(steps(), max_size=12))
def test_nobody_can_tell_that_it_was_started_again(before: list[Step], after: list[Step]) -> None:
    """With seeds, subscriptions and late reports, later answers are, byte for byte, of one that ran on."""
    looks = [look_at(path) for path in LOOKS]
    after = [*looks, *after, *looks, document("/_simulator/clock", {"advance": "40d"}), *looks]
    straight = Conversation(RULES, clock=standing())
    told(straight, before)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        with closing(open_state(path)) as state:
            told(Conversation(RULES, clock=standing(), state=state), before)
        with closing(open_state(path)) as state:
            assert told(Conversation(RULES, clock=SimulatedClock(float), state=state), after) == told(
                straight, after
            )
