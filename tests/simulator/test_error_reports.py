"""Asynchronous error reports and the v2 events that carry them."""

from typing import Any

import pytest

from meterledger.simulator.rules import Readings, Rules
from simulator.conversation import METERS, MINUTE, START
from simulator.v2_conversation import CORE_EVENTS, REPORT_TYPES, V2Conversation, v2_fields


@pytest.fixture
def talk() -> V2Conversation:
    """Return a conversation with one sum meter."""
    talk = V2Conversation()
    talk.meter()
    return talk


def bad(talk: V2Conversation, number: int = 1, **change: Any) -> None:
    """Stream a number of events of a customer that does not exist."""
    events = [v2_fields(**{"customer": "unknown", "identifier": f"b{n}"} | change) for n in range(number)]
    assert talk.stream(talk.session(), *events).status == 200


def counts(report: Any) -> dict[str, tuple[int, int]]:
    """Return a report's errors by code: how many occurred and how many are shown."""
    kinds = report["data"]["reason"]["error_types"]
    return {kind["code"]: (kind["error_count"], len(kind["sample_errors"])) for kind in kinds}


def test_a_report_has_stripes_shape(talk: V2Conversation) -> None:
    """A report names its meter, its aligned window and its errors, and is made 2 seconds after the window."""
    talk.clock.set(START + 3)
    bad(talk, 3)
    talk.clock.advance(8.9)
    assert talk.core_events(**REPORT_TYPES).document["data"] == []
    talk.clock.advance(0.1)
    document = talk.core_events(**REPORT_TYPES).document
    (report,) = document["data"]
    samples = report["data"]["reason"]["error_types"][0].pop("sample_errors")
    assert [sample["request"] for sample in samples] == [{"identifier": f"b{n}"} for n in range(3)]
    assert {sample["error_message"] for sample in samples} == {"No such customer: 'unknown'"}
    assert report == {
        "id": report["id"],
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "created": "2026-11-01T00:00:12.000Z",
        "livemode": False,
        "context": None,
        "changes": None,
        "reason": None,
        "related_object": {
            "id": "mtr_test_1",
            "type": "billing.meter",
            "url": "/v1/billing/meters/mtr_test_1",
        },
        "data": {
            "developer_message_summary": "There are 3 invalid events",
            "validation_start": "2026-11-01T00:00:00.000Z",
            "validation_end": "2026-11-01T00:00:10.000Z",
            "reason": {
                "error_count": 3,
                "error_types": [{"code": "meter_event_customer_not_found", "error_count": 3}],
            },
        },
    }
    assert (document["next_page_url"], document["previous_page_url"]) == (None, None)
    assert talk.get_v2(f"{CORE_EVENTS}/{report['id']}").document["created"] == report["created"]


def test_no_meter_found_is_related_to_nothing(talk: V2Conversation) -> None:
    """Events to meters that do not exist are one report of another type, with a message that names them."""
    bad(talk, 1, event_name="nothing")
    (report,) = talk.reports()
    assert (report["type"], report["related_object"]) == ("v1.billing.meter.no_meter_found", None)
    assert report["data"]["developer_message_summary"] == "There is 1 invalid event"
    (kind,) = report["data"]["reason"]["error_types"]
    assert kind["sample_errors"][0]["error_message"] == "No meter was found matching event_name nothing."
    assert kind["code"] == "no_meter"


@pytest.mark.parametrize("samples", [0, 1, 5])
def test_samples_are_few_and_counts_are_whole(samples: int) -> None:
    """Of each error a report shows the first few events, and counts them all."""
    talk = V2Conversation(Rules(report_samples=samples))
    talk.meter()
    bad(talk, 40)
    bad(talk, 2, customer="cus_A", value="x")
    (report,) = talk.reports()
    assert counts(report) == {
        "meter_event_customer_not_found": (40, samples),
        "meter_event_invalid_value": (2, min(2, samples)),
    }
    assert report["data"]["reason"]["error_count"] == 42


def test_each_window_and_meter_has_a_report(talk: V2Conversation) -> None:
    """Failures of two windows or of two meters do not share a report; the newest comes first."""
    talk.meter("other")
    bad(talk)
    bad(talk, event_name="other")
    talk.clock.advance(9.999)
    bad(talk)
    talk.clock.advance(0.001)
    bad(talk)
    seen = [(report["related_object"]["id"], report["created"][-7:]) for report in talk.reports()]
    assert seen == [("mtr_test_1", "22.000Z"), ("mtr_test_2", "12.000Z"), ("mtr_test_1", "12.000Z")]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"event_name": "nothing"}, "no_meter"),
        ({"event_name": "old"}, "archived_meter"),
        ({"customer": None}, "meter_event_no_customer_defined"),
        ({"customer": "unknown"}, "meter_event_customer_not_found"),
        ({"value": None}, "meter_event_value_not_found"),
        ({"value": "x"}, "meter_event_invalid_value"),
        ({"timestamp": "2026-09-26T23:59:59Z"}, "timestamp_too_far_in_past"),
        ({"timestamp": "2026-11-01T00:05:01Z"}, "timestamp_in_future"),
    ],
)
def test_checks_that_come_later(change: dict[str, Any], code: str) -> None:
    """In one reading v2 answers 200 to what it would refuse, counts nothing and reports it."""
    talk = V2Conversation(Rules(readings=Readings(checks="async")))
    talk.meter()
    talk.post(f"{METERS}/{talk.meter('old')}/deactivate", {})
    for _ in range(2):
        reply = talk.v2_event(**{"identifier": "x"} | change, key="k")
        assert (reply.status, reply.document["identifier"]) == (200, "x")
    assert talk.counted() == {}
    (report,) = talk.reports()
    assert counts(report) == {code: (1, 1)}
    assert (report["related_object"] is None) == (code == "no_meter")
    if code == "archived_meter":
        assert report["related_object"]["id"] == "mtr_test_2"


def test_checks_that_come_later_on_v1() -> None:
    """On v1 it is the same; duplicates and long values are still refused at once."""
    talk = V2Conversation(Rules(readings=Readings(checks="async")))
    assert talk.event(identifier="x").status == 200
    talk.meter()
    taken = talk.event("bad", customer="cus_B", identifier="x", timestamp=5)
    assert (taken.status, taken.document["timestamp"]) == (200, 5)
    assert talk.event(identifier="x").status == 200
    assert talk.event("bad", identifier="x").status == 400
    assert talk.event("1234567890123456", identifier="y").status == 400
    assert sum(sum(count for count, _ in counts(report).values()) for report in talk.reports()) == 2


@pytest.mark.parametrize(("lag", "shown"), [(60.0, {"cus_test_1": "1"}), (0.0, {"cus_test_1": "3"})])
def test_a_customer_deleted_in_mid_processing(lag: float, shown: dict[str, str]) -> None:
    """With a lag, what came within it before the deletion never counts and is reported."""
    talk = V2Conversation(Rules(lag_seconds=lag))
    meter_id = talk.meter()
    customer = talk.post("/v1/customers", {}).document["id"]
    talk.event("1", customer=customer, identifier="old")
    talk.clock.advance(MINUTE)
    talk.event("2", customer=customer, identifier="new")
    talk.clock.advance(30)
    assert talk.call("DELETE", f"/v1/customers/{customer}").status == 200
    assert talk.counted() == shown
    reports = talk.reports()
    assert len(reports) == (1 if lag else 0)
    for report in reports:
        assert report["related_object"]["id"] == meter_id
        (kind,) = report["data"]["reason"]["error_types"]
        assert (kind["code"], kind["sample_errors"][0]["request"]["identifier"]) == (
            "meter_event_customer_not_found",
            "new",
        )


def test_meters_leave_thin_events(talk: V2Conversation) -> None:
    """Making, renaming, stopping and starting a meter are events without data; no change is no event."""
    path = f"{METERS}/mtr_test_1"
    talk.post(path, {"display_name": "Other"})
    for what in ("deactivate", "deactivate", "reactivate", "reactivate"):
        talk.post(f"{path}/{what}", {})
    events = talk.core_events(object_id="mtr_test_1").document["data"]
    words = [event["type"].rpartition(".")[2] for event in reversed(events)]
    assert words == ["created", "updated", "deactivated", "reactivated"]
    assert [event["data"] for event in events] == [None] * 4


def hundred(talk: V2Conversation) -> list[str]:
    """Make 45 events, a second apart, and return their ids, the newest first."""
    for number in range(45):
        talk.meter(f"meter_{number}")
        talk.clock.advance(1)
    return [event["id"] for event in talk.core_events(limit=100).document["data"]]


def follow(talk: V2Conversation, url: str) -> Any:
    """Read the page that another page's link leads to."""
    path, _, query = url.partition("?")
    reply = talk.call("GET", path, query=query, headers={"Stripe-Version": "2026-10-28.endive"})
    assert reply.status == 200, reply.document
    return reply.document


def test_pages_lead_on_and_back() -> None:
    """Pages of 20 follow one another by relative links, and back, even when events come in between."""
    talk = V2Conversation()
    ids = hundred(talk)
    first = talk.core_events().document
    assert first["previous_page_url"] is None
    assert first["next_page_url"].startswith("/v2/core/events?page=")
    talk.meter("in_between")
    second = follow(talk, first["next_page_url"])
    third = follow(talk, second["next_page_url"])
    pages = [first, second, third]
    assert [event["id"] for page in pages for event in page["data"]] == ids
    assert third["next_page_url"] is None
    back = follow(talk, third["previous_page_url"])
    assert back["data"] == second["data"]
    again = follow(talk, back["previous_page_url"])
    assert again["data"] == first["data"]
    assert follow(talk, again["next_page_url"])["data"] == second["data"]


def test_filters_travel_with_the_page() -> None:
    """A page's link keeps its filters and limit; sending others with it is refused, the same are taken."""
    talk = V2Conversation()
    ids = hundred(talk)
    filters: dict[str, object] = {"types[]": "v1.billing.meter.created", "limit": 2}
    url = talk.core_events(**filters).document["next_page_url"]
    assert [event["id"] for event in follow(talk, url)["data"]] == ids[2:4]
    page = url.partition("page=")[2]
    assert talk.core_events(**filters, page=page).status == 200
    changed = talk.core_events(limit=3, page=page)
    assert (changed.status, set(changed.error)) == (400, {"code", "message"})


@pytest.mark.parametrize(
    ("bound", "instant", "left"),
    [
        ("gt", "2026-11-01T00:00:02Z", [4, 3]),
        ("gte", "2026-11-01T00:00:02Z", [4, 3, 2]),
        ("lt", "2026-11-01T01:00:02+01:00", [1, 0]),
        ("lte", "2026-11-01T00:00:02.000Z", [2, 1, 0]),
    ],
)
def test_created_bounds(bound: str, instant: str, left: list[int]) -> None:
    """Events can be asked for by when they were made."""
    talk = V2Conversation()
    for number in range(5):
        talk.meter(f"meter_{number}")
        talk.clock.advance(1)
    events = talk.core_events(**{f"created[{bound}]": instant}).document["data"]
    assert [int(event["created"][17:19]) for event in events] == left


@pytest.mark.parametrize(
    "query",
    [
        {f"types[{number}]": "x" for number in range(21)},
        {"types[0]": ""},
        {"types": "x"},
        {"created[gte]": "1793491200"},
        {"created[gte]": "yesterdayT"},
        {"created[ge]": "2026-11-01T00:00:00Z"},
        {"limit": 0},
        {"limit": 101},
        {"limit": "x"},
        {"page": "x"},
        {"page": "e30"},
        {"page": "\u00e4"},
        {"object_id": ""},
        {"starting_after": "evt_1"},
    ],
)
def test_queries_that_are_refused(talk: V2Conversation, query: dict[str, object]) -> None:
    """Too many types, epoch seconds, unknown filters, bad limits and foreign page tokens are a 400."""
    assert talk.core_events(**query).status == 400


def test_events_are_kept_for_30_days(talk: V2Conversation) -> None:
    """After 30 days an event is neither listed nor found, and then forgotten."""
    (event,) = talk.core_events().document["data"]
    talk.clock.advance(30 * 86_400)
    assert talk.get_v2(f"{CORE_EVENTS}/{event['id']}").status == 200
    talk.clock.advance(1)
    assert talk.core_events().document["data"] == []
    missing = talk.get_v2(f"{CORE_EVENTS}/{event['id']}")
    assert (missing.status, missing.error["code"]) == (404, "resource_missing")
    talk.meter("next")
    (account,) = talk.stripe.accounts.all()
    assert len(account.core_events.newest_first(talk.clock.now())) == len(account.core_events._book) == 1


def test_reading_needs_a_version_and_a_secret_key(talk: V2Conversation) -> None:
    """The list is v2: without a version it is a 400, with a restricted key a 403."""
    assert talk.get(CORE_EVENTS).status == 400
    headers = {"Stripe-Version": "2026-10-28.endive", "Authorization": "Bearer rk_test_abc"}
    assert talk.call("GET", CORE_EVENTS, headers=headers).status == 403
