"""Meters and customers: making, changing, listing."""

import pytest

from simulator.conversation import METERS, START, Conversation


def test_a_meter_has_every_field() -> None:
    """A new meter shows what Stripe shows, with Stripe's defaults."""
    talk = Conversation()
    meter_id = talk.meter()
    assert talk.get(f"{METERS}/{meter_id}").document == {
        "id": "mtr_test_1",
        "object": "billing.meter",
        "created": START,
        "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        "default_aggregation": {"formula": "sum"},
        "display_name": "A meter",
        "event_name": "api_requests",
        "event_time_window": None,
        "livemode": False,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": START,
        "value_settings": {"event_payload_key": "value"},
    }


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"display_name": ""}, "display_name"),
        ({"display_name": "x" * 251}, "display_name"),
        ({"event_name": "x" * 101}, "event_name"),
        ({"default_aggregation[formula]": "max"}, "default_aggregation[formula]"),
        ({"event_time_window": "week"}, "event_time_window"),
        ({"customer_mapping[type]": "by_id"}, "customer_mapping[event_payload_key]"),
        ({"customer_mapping[event_payload_key]": "who"}, "customer_mapping[type]"),
        ({"value_settings[event_payload_key]": "x" * 101}, "value_settings[event_payload_key]"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_meters(change: dict[str, str], param: str) -> None:
    """Each bad parameter of a new meter is a 400 that names it."""
    fields = {"display_name": "A", "event_name": "a", "default_aggregation[formula]": "sum"}
    reply = Conversation().post(METERS, {**fields, **change})
    assert (reply.status, reply.error["param"]) == (400, param)


def test_required_parameters_of_a_meter() -> None:
    """Name, event name and formula are required."""
    fields = {"display_name": "A", "event_name": "a", "default_aggregation[formula]": "sum"}
    for name in fields:
        reply = Conversation().post(METERS, {key: fields[key] for key in fields if key != name})
        assert (reply.status, reply.error["code"], reply.error["param"]) == (400, "parameter_missing", name)


def test_only_the_display_name_changes() -> None:
    """An update renames and dates the meter; anything else is an unknown parameter."""
    talk = Conversation()
    meter_id = talk.meter()
    talk.clock.advance(5)
    renamed = talk.post(f"{METERS}/{meter_id}", {"display_name": "Requests"}).document
    assert (renamed["display_name"], renamed["updated"]) == ("Requests", START + 5)
    assert talk.post(f"{METERS}/{meter_id}", {"event_name": "b"}).error["code"] == "parameter_unknown"
    assert talk.post(f"{METERS}/{meter_id}", {}).document["display_name"] == "Requests"


def test_an_event_name_belongs_to_one_active_meter() -> None:
    """A taken name is refused for new and for reactivated meters, and free after deactivation."""
    talk = Conversation()
    first = talk.meter()
    fields = {"display_name": "B", "event_name": "api_requests", "default_aggregation[formula]": "count"}
    assert talk.post(METERS, fields).status == 400
    inactive = talk.post(f"{METERS}/{first}/deactivate", {}).document
    assert (inactive["status"], inactive["status_transitions"]) == ("inactive", {"deactivated_at": START})
    assert talk.event().error["message"].startswith("No active meter")
    second = talk.post(METERS, fields).document["id"]
    assert talk.post(f"{METERS}/{first}/reactivate", {}).status == 400
    talk.post(f"{METERS}/{second}/deactivate", {})
    assert talk.post(f"{METERS}/{first}/reactivate", {}).document["status"] == "active"
    assert talk.event().status == 200


def test_switching_twice_changes_nothing() -> None:
    """Deactivating an inactive meter, and reactivating an active one, leaves it as it is."""
    talk = Conversation()
    meter_id = talk.meter()
    before = talk.post(f"{METERS}/{meter_id}/reactivate", {}).document
    first = talk.post(f"{METERS}/{meter_id}/deactivate", {}).document
    talk.clock.advance(60)
    assert talk.post(f"{METERS}/{meter_id}/deactivate", {}).document == first
    assert before["updated"] == START


def test_lists_page_by_cursor_newest_first() -> None:
    """Ten a page by default, every meter once over all pages, and back again."""
    talk = Conversation()
    ids = [talk.meter(f"meter_{number}") for number in range(25)]
    first = talk.get(METERS).document
    assert ([meter["id"] for meter in first["data"]], first["has_more"]) == (ids[:-11:-1], True)
    assert (first["object"], first["url"]) == ("list", METERS)
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = talk.get(METERS, limit=7, **after).document
        seen += [meter["id"] for meter in page["data"]]
        if not page["has_more"]:
            break
        after = {"starting_after": seen[-1]}
    assert seen == ids[::-1]
    back = talk.get(METERS, limit=3, ending_before=seen[5]).document
    assert ([meter["id"] for meter in back["data"]], back["has_more"]) == (seen[2:5], True)


def test_the_status_filter() -> None:
    """Active and inactive meters can be listed apart; another status is refused."""
    talk = Conversation()
    first, second = talk.meter("a"), talk.meter("b")
    talk.post(f"{METERS}/{first}/deactivate", {})
    for status, meter_id in (("inactive", first), ("active", second)):
        assert [meter["id"] for meter in talk.get(METERS, status=status).document["data"]] == [meter_id]
    assert talk.get(METERS, status="archived").status == 400


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"starting_after": "mtr_none"}, "starting_after"),
        ({"starting_after": "a", "ending_before": "b"}, "ending_before"),
        ({"page": 2}, "page"),
    ],
)
def test_bad_paging(query: dict[str, object], param: str) -> None:
    """Limits outside 1 to 100, unknown cursors and unknown parameters are refused by name."""
    reply = Conversation().get(METERS, **query)
    assert (reply.status, reply.error["param"]) == (400, param)


@pytest.mark.parametrize(
    "path", [f"{METERS}/mtr_none", f"{METERS}/mtr_none/event_summaries", "/v1/customers/cus_x"]
)
def test_unknown_ids_are_404(path: str) -> None:
    """An id that nothing has is a 404 with Stripe's code."""
    reply = Conversation().get(path)
    assert (reply.status, reply.error["code"]) == (404, "resource_missing")


def test_customers_are_made_read_and_listed() -> None:
    """A customer keeps its details and metadata, and the list can be cut to one address."""
    talk = Conversation()
    made = talk.post("/v1/customers", {"name": "Alpha", "email": "a@example.com", "metadata[plan]": "pro"})
    assert made.document["id"].startswith("cus_")
    assert (made.document["name"], made.document["metadata"]) == ("Alpha", {"plan": "pro"})
    other = talk.post("/v1/customers", {}).document["id"]
    assert talk.get(f"/v1/customers/{made.document['id']}").document == made.document
    assert [row["id"] for row in talk.get("/v1/customers").document["data"]] == [other, made.document["id"]]
    assert len(talk.get("/v1/customers", email="a@example.com").document["data"]) == 1
    assert talk.post("/v1/customers", {"nickname": "A"}).error["code"] == "parameter_unknown"
