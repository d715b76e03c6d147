"""What can be done to a draft until it is final."""

import pytest

from simulator.billing_conversation import DECEMBER, INVOICES, NOVEMBER, BillingConversation, lines
from simulator.conversation import DAY, HOUR, MINUTE


def _subscribed() -> BillingConversation:
    talk = BillingConversation()
    talk.subscribe()
    return talk


def test_a_deadline_can_be_moved() -> None:
    """A draft that was given another deadline takes usage until then, and no longer."""
    talk = _subscribed()
    talk.subscribe(customer="cus_B")
    talk.go_to(DECEMBER)
    later, sooner = talk.invoices(customer="cus_A")[0]["id"], talk.invoices(customer="cus_B")[0]["id"]
    moved = talk.post(
        f"{INVOICES}/{later}",
        {"automatically_finalizes_at": DECEMBER + 3 * DAY, "auto_advance": "true", "description": "Wait"},
    ).document
    assert (moved["automatically_finalizes_at"], moved["description"]) == (DECEMBER + 3 * DAY, "Wait")
    talk.post(f"{INVOICES}/{sooner}", {"automatically_finalizes_at": DECEMBER + MINUTE, "metadata[a]": "b"})
    talk.go_to(DECEMBER + MINUTE)
    assert talk.get(f"{INVOICES}/{sooner}").document["status"] == "paid"
    talk.go_to(DECEMBER + 3 * DAY - 1)
    talk.use("6", DECEMBER - 1)
    talk.go_to(DECEMBER + 3 * DAY)
    talk.use("5", DECEMBER - 1)
    final = talk.get(f"{INVOICES}/{later}").document
    assert (final["status"], lines(final)[0]["quantity"]) == ("open", 6)
    assert final["status_transitions"]["finalized_at"] == DECEMBER + 3 * DAY


def test_a_draft_can_be_held_open() -> None:
    """Without auto_advance it waits for ever, and for an hour once it advances again."""
    talk = _subscribed()
    talk.go_to(DECEMBER)
    path = f"{INVOICES}/{talk.latest()['id']}"
    held = talk.post(path, {"auto_advance": "false"}).document
    assert (held["auto_advance"], held["automatically_finalizes_at"]) == (False, None)
    talk.go_to(DECEMBER + 20 * DAY)
    talk.use("8", DECEMBER - 1)
    assert talk.get(path).document["status"] == "draft"
    freed = talk.post(path, {"auto_advance": "true"}).document
    assert freed["automatically_finalizes_at"] == DECEMBER + 20 * DAY + HOUR
    talk.go_to(DECEMBER + 20 * DAY + HOUR)
    assert (talk.get(path).document["status"], talk.get(path).document["total"]) == ("open", 40)


def test_finalizing_by_hand() -> None:
    """A draft can be made final at any time, once, and is not touched at its old deadline."""
    talk = _subscribed()
    talk.use("2", NOVEMBER)
    talk.go_to(DECEMBER + MINUTE)
    path = f"{INVOICES}/{talk.latest()['id']}"
    final = talk.post(f"{path}/finalize", {"auto_advance": "false"}).document
    assert (final["status"], final["status_transitions"]["finalized_at"]) == ("open", DECEMBER + MINUTE)
    assert final["auto_advance"] is False
    talk.use("2", NOVEMBER)
    talk.go_to(DECEMBER + 2 * HOUR)
    assert talk.get(path).document == final
    again = talk.post(f"{path}/finalize", {})
    assert (again.status, again.error["code"]) == (400, "invoice_not_editable")
    assert talk.happened().count("invoice.finalized") == 1  # the first is older than 30 days


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"automatically_finalizes_at": DECEMBER}, "automatically_finalizes_at"),
        ({"automatically_finalizes_at": DECEMBER + 6 * 365 * DAY}, "automatically_finalizes_at"),
        ({"automatically_finalizes_at": "soon"}, "automatically_finalizes_at"),
        (
            {"automatically_finalizes_at": DECEMBER + DAY, "auto_advance": "false"},
            "automatically_finalizes_at",
        ),
        ({"auto_advance": "maybe"}, "auto_advance"),
        ({"status": "open"}, "status"),
    ],
)
def test_bad_changes_of_a_draft(change: dict[str, object], param: str) -> None:
    """Each bad parameter is a 400 that names it, and the deadline stays."""
    talk = _subscribed()
    talk.go_to(DECEMBER)
    reply = talk.post(f"{INVOICES}/{talk.latest()['id']}", change)
    assert (reply.status, reply.error["param"]) == (400, param)
    assert talk.latest()["automatically_finalizes_at"] == DECEMBER + HOUR


def test_a_final_invoice_keeps_all_but_its_metadata() -> None:
    """Its deadline is over; metadata can still be added and taken out."""
    talk = _subscribed()
    path = f"{INVOICES}/{talk.latest()['id']}"
    assert talk.post(path, {"auto_advance": "false"}).error["code"] == "invoice_not_editable"
    assert talk.post(path, {"metadata[a]": "1", "metadata[b]": "2"}).document["metadata"] == {
        "a": "1",
        "b": "2",
    }
    assert talk.post(path, {"metadata[a]": ""}).document["metadata"] == {"b": "2"}
