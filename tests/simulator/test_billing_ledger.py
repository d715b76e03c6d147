"""The ledger's page about billing: what was counted, per period and per invoice."""

from typing import Any

from simulator.billing_conversation import DECEMBER, JANUARY, NOVEMBER, BillingConversation
from simulator.conversation import DAY, HOUR, MINUTE

MIDDLE = NOVEMBER + 15 * DAY


def _told(row: Any) -> tuple[Any, ...]:
    names = ("start", "state", "events", "total", "invoice", "billed_events", "billed", "late_events", "late")
    return tuple(row[name] for name in names)


def test_a_months_end_in_the_ledger() -> None:
    """A period runs, becomes a draft, becomes final; what came too late is told apart."""
    talk = BillingConversation()
    talk.subscribe()
    talk.use("40", NOVEMBER)
    (running,), _, _ = talk.billing_ledger()
    assert running == {
        "account": "acct_simulator",
        "livemode": False,
        "customer": "cus_A",
        "subscription": "sub_test_1",
        "item": "si_test_1",
        "price": "price_test_1",
        "meter": "mtr_test_1",
        "event_name": "api_requests",
        "start": NOVEMBER,
        "start_time": "2026-11-01T00:00:00Z",
        "end": DECEMBER,
        "end_time": "2026-12-01T00:00:00Z",
        "state": "running",
        "events": 1,
        "total": "40",
        "invoice": None,
        "billed_events": 0,
        "billed": "0",
        "late_events": 0,
        "late": "0",
    }
    talk.go_to(DECEMBER)
    talk.use("0.5", DECEMBER - 1)
    (draft, running), _, _ = talk.billing_ledger()
    assert _told(draft) == (NOVEMBER, "draft", 2, "40.5", "in_test_2", 2, "40.5", 0, "0")
    assert _told(running) == (DECEMBER, "running", 0, "0", None, 0, "0", 0, "0")
    talk.go_to(DECEMBER + HOUR)
    talk.use("100", DECEMBER - 1)
    talk.use("7", DECEMBER)
    periods, _, unbilled = talk.billing_ledger()
    assert [_told(row) for row in periods] == [
        (NOVEMBER, "final", 3, "140.5", "in_test_2", 2, "40.5", 1, "100"),
        (DECEMBER, "running", 1, "7", None, 0, "0", 0, "0"),
    ]
    assert unbilled == []


def test_the_invoices_and_their_lines() -> None:
    """Every invoice is there with its deadline, and with exactly what each line counted."""
    talk = BillingConversation()
    talk.subscribe()
    talk.use("40.25", NOVEMBER)
    talk.go_to(DECEMBER)
    _, (first, draft), _ = talk.billing_ledger()
    assert (first["billing_reason"], first["status"], first["finalized_at"]) == (
        "subscription_create",
        "paid",
        NOVEMBER,
    )
    assert draft == {
        "account": "acct_simulator",
        "livemode": False,
        "id": "in_test_2",
        "customer": "cus_A",
        "subscription": "sub_test_1",
        "billing_reason": "subscription_cycle",
        "status": "draft",
        "period_start": NOVEMBER,
        "period_end": DECEMBER,
        "created": DECEMBER,
        "automatically_finalizes_at": DECEMBER + HOUR,
        "finalized_at": None,
        "total": 201,
        "lines": [
            {
                "id": "il_test_2_1",
                "item": "si_test_1",
                "price": "price_test_1",
                "meter": "mtr_test_1",
                "start": NOVEMBER,
                "end": DECEMBER,
                "events": 1,
                "quantity": "40.25",
                "amount": 201,
            }
        ],
    }


def test_dropped_usage_is_told() -> None:
    """What a classic price change or a cancellation leaves behind is late in whole."""
    talk = BillingConversation()
    talk.subscribe(**{"billing_mode[type]": "classic"})
    talk.use("10", NOVEMBER)
    talk.go_to(MIDDLE)
    second = talk.price(unit_amount=7)
    talk.change("sub_test_1", **{"items[0][id]": "si_test_1", "items[0][price]": second})
    talk.use("3", MIDDLE)
    talk.go_to(MIDDLE + DAY)
    talk.cancel("sub_test_1")
    talk.use("1", MIDDLE + DAY)
    periods, _, unbilled = talk.billing_ledger()
    assert [(row["price"], *_told(row)) for row in periods] == [
        ("price_test_1", NOVEMBER, "dropped", 1, "10", None, 0, "0", 1, "10"),
        ("price_test_2", MIDDLE, "dropped", 1, "3", None, 0, "0", 1, "3"),
    ]
    assert [(row["start"], row["end"], row["events"], row["total"]) for row in unbilled] == [
        (MIDDLE + DAY, None, 1, "1")
    ]


def test_usage_during_grace_that_does_not_count_is_late() -> None:
    """After a price change the draft stands, and the ledger tells what came since."""
    talk = BillingConversation()
    talk.subscribe()
    talk.use("10", NOVEMBER)
    talk.go_to(MIDDLE)
    second = talk.price(unit_amount=7)
    talk.change("sub_test_1", **{"items[0][id]": "si_test_1", "items[0][price]": second})
    talk.go_to(DECEMBER)
    talk.use("5", MIDDLE)
    periods, _, _ = talk.billing_ledger()
    assert [_told(row) for row in periods] == [
        (NOVEMBER, "draft", 1, "10", "in_test_2", 1, "10", 0, "0"),
        (MIDDLE, "draft", 1, "5", "in_test_2", 0, "0", 1, "5"),
        (DECEMBER, "running", 0, "0", None, 0, "0", 0, "0"),
    ]


def test_usage_that_nobody_pays_for() -> None:
    """Customers without an item for the meter are told, and usage from before their subscription is."""
    talk = BillingConversation()
    talk.meter()
    talk.use("1.5", NOVEMBER, customer="cus_B")
    talk.use("2.5", NOVEMBER, customer="cus_B")
    talk.use("6", NOVEMBER - DAY)
    talk.subscribe()
    talk.use("7", NOVEMBER + MINUTE)
    _, _, unbilled = talk.billing_ledger()
    rows = [(row["customer"], row["meter"], row["start"], row["end"], row["total"]) for row in unbilled]
    assert rows == [
        ("cus_B", "mtr_test_1", None, None, "4"),
        ("cus_A", "mtr_test_1", None, NOVEMBER, "6"),
    ]
    assert (unbilled[0]["event_name"], unbilled[0]["events"]) == ("api_requests", 2)


def test_usage_a_little_ahead_is_not_unbilled() -> None:
    """It belongs to the period that has not begun, unless there will be none."""
    talk = BillingConversation()
    talk.subscribe()
    talk.go_to(DECEMBER - 1)
    talk.use("1", DECEMBER)
    assert talk.billing_ledger()[2] == []
    talk.change("sub_test_1", cancel_at_period_end="true")
    assert [row["total"] for row in talk.billing_ledger()[2]] == ["1"]


def test_a_meter_that_takes_the_last_in_the_ledger() -> None:
    """Each period has its own last value."""
    talk = BillingConversation()
    talk.meter(formula="last")
    talk.subscribe()
    talk.use("9", NOVEMBER)
    talk.use("4", NOVEMBER + 1)
    talk.go_to(DECEMBER + HOUR)
    talk.use("6", DECEMBER)
    periods, _, _ = talk.billing_ledger()
    assert [_told(row)[2:4] for row in periods] == [(2, "4"), (1, "6")]


def test_corrections_in_the_ledger() -> None:
    """A negative total stands as it is, what is billed of it is nothing, and nothing is late."""
    talk = BillingConversation()
    talk.subscribe()
    talk.use("3", NOVEMBER)
    talk.use("-5", NOVEMBER)
    talk.go_to(JANUARY + HOUR)
    periods, _, _ = talk.billing_ledger()
    assert _told(periods[0]) == (NOVEMBER, "final", 2, "-2", "in_test_2", 2, "0", 0, "0")


def test_sums_are_exact_at_any_size() -> None:
    """What is late is the exact difference, however many digits it takes."""
    talk = BillingConversation()
    talk.subscribe()
    talk.use("0.00000000000000000000000000000000000001", NOVEMBER)
    talk.go_to(DECEMBER + HOUR)
    talk.use("999999999999999", NOVEMBER)
    row = talk.billing_ledger()[0][0]
    assert (row["billed"], row["late"]) == ("0.00000000000000000000000000000000000001", "999999999999999")
    assert row["total"] == "999999999999999.00000000000000000000000000000000000001"
