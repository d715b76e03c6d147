"""Alerts on usage, and the event that tells of them."""

import pytest

from simulator.conversation import Conversation, Reply

VERSION = "2026-10-28.endive"
ALERTS = "/v1/billing/alerts"


def alert(talk: Conversation, meter: str, gte: int = 10, customer: str | None = None) -> Reply:
    """Make an alert on a meter, for one customer or for all."""
    fields: dict[str, object] = {
        "alert_type": "usage_threshold",
        "title": "A lot",
        "usage_threshold[gte]": gte,
        "usage_threshold[meter]": meter,
        "usage_threshold[recurrence]": "one_time",
    }
    if customer is not None:
        fields |= {
            "usage_threshold[filters][0][type]": "customer",
            "usage_threshold[filters][0][customer]": customer,
        }
    return talk.post(ALERTS, fields)


def told(talk: Conversation) -> list[tuple[str, int]]:
    """Return who was told of, with which usage, the latest first."""
    events = talk.get("/v1/events", type="billing.alert.triggered").document["data"]
    objects = [event["data"]["object"] for event in events]
    return [(document["customer"], document["value"]) for document in objects]


def test_an_alert_has_the_fields_of_stripes() -> None:
    """What is made is shown as Stripe shows it, alone and in the list of its meter."""
    talk = Conversation()
    meter = talk.meter()
    made = alert(talk, meter, customer="cus_A").document
    assert made == {
        "id": "alrt_test_1",
        "object": "billing.alert",
        "alert_type": "usage_threshold",
        "livemode": False,
        "status": "active",
        "title": "A lot",
        "usage_threshold": {
            "filters": [{"type": "customer", "customer": "cus_A"}],
            "gte": 10,
            "meter": meter,
            "recurrence": "one_time",
        },
    }
    assert talk.get(f"{ALERTS}/alrt_test_1").document == made
    assert talk.get(ALERTS, meter=meter).document["data"] == [made]
    assert talk.get(ALERTS, meter="mtr_other").document["data"] == []


def test_an_alert_is_told_once_and_counts_what_came_before() -> None:
    """New usage on top of old reaches the number: one event, and none for more, not even a month later."""
    talk = Conversation()
    meter = talk.meter()
    talk.event("9")
    alert(talk, meter)
    assert told(talk) == []
    talk.event("1.5")
    assert told(talk) == [("cus_A", 10)]
    (thin, *_) = talk.call("GET", "/v2/core/events", headers={"Stripe-Version": VERSION}).document["data"]
    assert (thin["type"], thin["related_object"]["id"]) == ("v1.billing.alert.triggered", "alrt_test_1")
    talk.event("100")
    talk.clock.advance(29 * 86_400)
    talk.event("100")
    assert told(talk) == [("cus_A", 10)]


def test_an_alert_for_all_tells_of_each_and_one_for_one_of_no_other() -> None:
    """Without a filter each customer is told of; with one, that customer alone."""
    talk = Conversation()
    meter = talk.meter()
    alert(talk, meter, 5)
    alert(talk, meter, 7, "cus_B")
    talk.event("8", customer="cus_A")
    talk.event("8", customer="cus_B")
    assert sorted(told(talk)) == [("cus_A", 8), ("cus_B", 8), ("cus_B", 8)]


def test_only_active_alerts_watch_and_archived_ones_stay_so() -> None:
    """Deactivated it is silent, activated it watches again, archived it cannot come back."""
    talk = Conversation()
    alert(talk, talk.meter())
    path = f"{ALERTS}/alrt_test_1"
    assert talk.post(f"{path}/deactivate", {}).document["status"] == "inactive"
    talk.event("50")
    assert told(talk) == []
    assert talk.post(f"{path}/activate", {}).document["status"] == "active"
    talk.event("1")
    assert told(talk) == [("cus_A", 51)]
    assert talk.post(f"{path}/archive", {}).document["status"] == "archived"
    assert talk.post(f"{path}/activate", {}).status == 400


def test_a_canceled_event_counts_no_longer_for_an_alert() -> None:
    """Usage that was taken back does not help to reach the number."""
    talk = Conversation()
    meter = talk.meter()
    talk.event("9")
    (account,) = talk.stripe.accounts.all()
    account.usage.cancel(0, talk.clock.now())
    alert(talk, meter)
    talk.event("9")
    assert told(talk) == []


def test_at_most_25_alerts_for_a_meter_and_customer() -> None:
    """The 26th is refused, for another customer there is room, and an archived one makes room."""
    talk = Conversation()
    meter = talk.meter()
    for _ in range(25):
        assert alert(talk, meter, customer="cus_A").status == 200
    assert alert(talk, meter, customer="cus_A").status == 400
    assert alert(talk, meter, customer="cus_B").status == 200
    talk.post(f"{ALERTS}/alrt_test_1/archive", {})
    assert alert(talk, meter, customer="cus_A").status == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"alert_type": "other"}, "alert_type"),
        ({"title": None}, "title"),
        ({"title": "x" * 257}, "title"),
        ({"usage_threshold[gte]": 0}, "usage_threshold[gte]"),
        ({"usage_threshold[gte]": "1.5"}, "usage_threshold[gte]"),
        ({"usage_threshold[meter]": "mtr_none"}, "usage_threshold[meter]"),
        ({"usage_threshold[recurrence]": "monthly"}, "usage_threshold[recurrence]"),
        ({"usage_threshold[filters][0][type]": "customer"}, "usage_threshold[filters][0][customer]"),
        ({"usage_threshold[filters][0][customer]": "cus_A"}, "usage_threshold[filters][0][type]"),
        ({"usage_threshold[filters][1][type]": "customer"}, "usage_threshold[filters][1][type]"),
    ],
)
def test_a_bad_alert_is_refused(fields: dict[str, object], param: str) -> None:
    """Whatever is wrong with an alert is named."""
    talk = Conversation()
    good: dict[str, object] = {
        "alert_type": "usage_threshold",
        "title": "A lot",
        "usage_threshold[gte]": 1,
        "usage_threshold[meter]": talk.meter(),
        "usage_threshold[recurrence]": "one_time",
    }
    reply = talk.post(ALERTS, good | fields)
    assert (reply.status, reply.error["param"]) == (400, param)


def test_events_are_listed_by_type_and_time_for_30_days() -> None:
    """A star stands for any ending, both bounds hold, and after 30 days an event is listed no more."""
    talk = Conversation()
    alert(talk, talk.meter(), 1)
    talk.event("5", customer="cus_A")
    talk.clock.advance(3600)
    talk.event("5", customer="cus_B")
    (late, early) = talk.get("/v1/events").document["data"]
    assert (early["object"], early["type"]) == ("event", "billing.alert.triggered")
    assert talk.get(f"/v1/events/{early['id']}").document == early
    assert len(talk.get("/v1/events", type="billing.*").document["data"]) == 2
    assert talk.get("/v1/events", type="invoice.[a-z]*").document["data"] == []
    several = {"types[0]": "invoice.created", "types[1]": "billing.alert.triggered"}
    assert len(talk.get("/v1/events", **several).document["data"]) == 2
    since = {"created[gt]": early["created"]}
    assert talk.get("/v1/events", **since).document["data"] == [late]
    until = {"created[lte]": early["created"]}
    assert talk.get("/v1/events", **until).document["data"] == [early]
    assert talk.get("/v1/events", type="a", **several).status == 400
    talk.clock.advance(30 * 86_400)
    assert talk.get("/v1/events").document["data"] == [late]
    assert talk.get("/v1/events/evt_none").status == 404
