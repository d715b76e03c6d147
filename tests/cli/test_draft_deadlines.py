"""Drafts with deadlines of their own: audits, refusals and final invoices agree to the unit."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from meterledger.domain.instant import parse_instant, seconds_floor
from support.meddling_proxy import Meddling, MeddlingProxy
from support.played_month import PlayedMonth, Used, ended, played_month, quantity, total

LANDINGS = ("landed", "open", "at_risk", "missed")


@pytest.fixture
def month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[PlayedMonth]:
    """Return a month that nobody has subscribed to."""
    with played_month(tmp_path, monkeypatch, capsys) as month:
        yield month


ARRIVALS = {
    "2026-10-20T12:00:00Z": 1,
    "2026-11-01T00:15:00Z": 10,
    "2026-11-01T00:45:00Z": 100,
    "2026-11-01T02:05:00Z": 1_000,
    "2026-11-01T05:57:00Z": 10_000,
    "2026-11-01T07:05:00Z": 100_000,
    "2026-11-05T00:00:00Z": 1_000_000,
}
"""When usage arrives and is pushed at once, and how much: each figure of a sum is one of them."""


def usage_of(customer: str, *, feature: str = "calls", subscription_id: str = "") -> list[Used]:
    """Return usage of one October day each that arrives at those instants."""
    return [
        Used(
            "punctual",
            customer,
            parse_instant(f"2026-10-{number + 16}T06:00:00Z"),
            parse_instant(at),
            many,
            feature,
            subscription_id,
        )
        for number, (at, many) in enumerate(ARRIVALS.items())
    ]


def change_drafts(month: PlayedMonth, sooner: str, later: str, held: str) -> None:
    """Give the drafts of three subscriptions deadlines of their own."""
    drafts, invoices = month.drafts(), month.desk.client.v1.invoices
    for subscription, at in ((sooner, "2026-11-01T00:20:00Z"), (later, "2026-11-01T06:00:00Z")):
        at_seconds = seconds_floor(parse_instant(at))
        invoices.update(drafts[subscription], {"automatically_finalizes_at": at_seconds})
    invoices.update(drafts[held], {"auto_advance": False})


def finalize(month: PlayedMonth, subscription: str) -> None:
    """Make a draft final by hand."""
    month.desk.client.v1.invoices.finalize_invoice(month.drafts()[subscription])


def by_customer(month: PlayedMonth, *arguments: str) -> dict[str, Any]:
    """Return customer -> October's entry."""
    return {one["customer_id"]: one for one in ended(month.audit("--by", "customer", *arguments))}


def placed(entry: Any) -> dict[str, int]:
    """Return where the usage of an entry stands; what is nowhere is left out."""
    return {where: int(entry[where]["quantity"]) for where in LANDINGS if entry[where]["events"]}


NAMES = ("usual", "sooner", "later", "held", "by_hand")


def deadlines(month: PlayedMonth, customer: dict[str, str]) -> dict[str, Any]:
    """Return the deadline of each customer of a name, and its source."""
    found = by_customer(month)
    return {name: (found[one]["deadline"], found[one]["deadline_source"]) for name, one in customer.items()}


def refused(month: PlayedMonth, many: int) -> tuple[int, int]:
    """Return how much a preview refuses, and how many customers the audit says will miss so much, unsent."""
    missing = sum(placed(one).get("missed", 0) >= many for one in by_customer(month).values())
    preview = json.loads(month.tell("preview"))
    assert {one["reason"] for one in preview["blocked"]} == {"closed_period"}
    return sum(one["count"] for one in preview["blocked"]), missing


def check_what_it_came_to(month: PlayedMonth, customer: dict[str, str], subscription: dict[str, str]) -> None:
    """Each invoice has what has landed, and what was in the margin; what is missed is what it lacks."""
    found, billed = by_customer(month), month.billed()
    assert {name: placed(found[customer[name]]) for name in NAMES} == {
        "usual": {"landed": 111, "missed": 1_111_000},
        "sooner": {"landed": 11, "missed": 1_111_100},
        "later": {"landed": 1_111, "at_risk": 10_000, "missed": 1_100_000},
        "held": {"landed": 1_111_111, "missed": 10_000_000},
        "by_hand": {"landed": 11, "missed": 1_111_100},
    }
    for name in NAMES:
        entry = found[customer[name]]
        # In the safety margin it was on the invoice after all.
        assert billed[subscription[name]] == quantity([entry["landed"], entry["at_risk"]])
        assert total(entry[where] for where in LANDINGS) == month.used(customer[name])
    lines, _ = month.lost()
    lost = {one["customer_id"]: Decimal(one["quantity_decimal"]) for one in lines}
    assert lost == {one: quantity([found[one]["missed"]]) for one in customer.values()}


@pytest.mark.parametrize("pulls", [True, False], ids=["pulled all along", "pulled when all is over"])
def test_each_draft_is_judged_by_its_own_deadline(month: PlayedMonth, *, pulls: bool) -> None:
    """Sooner, later, held open, final by hand, or as usual: each invoice has what the audit says it has."""
    made = {name: month.subscribe() for name in NAMES}
    customer = {name: str(one.customer) for name, one in made.items()}
    subscription = {name: one.id for name, one in made.items()}
    month.usage = [used for one in customer.values() for used in usage_of(one)]
    pull = partial(month.done, "customers", "pull") if pulls else lambda: None
    pushes = iter(ARRIVALS.items())

    month.push(next(pushes)[0])
    month.set_clock("2026-11-01T00:10:00Z")
    change_drafts(month, *(subscription[name] for name in ("sooner", "later", "held")))
    pull()
    if pulls:
        usual = ("2026-11-01T01:00:00Z", "draft_invoice")
        assert deadlines(month, customer) == {
            "usual": usual,
            "sooner": ("2026-11-01T00:20:00Z", "draft_invoice"),
            "later": ("2026-11-01T06:00:00Z", "draft_invoice"),
            "held": (None, "draft_invoice"),
            "by_hand": usual,
        }
    month.push(next(pushes)[0])
    month.set_clock("2026-11-01T00:30:00Z")
    finalize(month, subscription["by_hand"])
    steps = [(0, 0)]
    for at, many in pushes:
        month.import_arrived(at)
        pull()
        if pulls:
            steps.append(refused(month, many))
        month.set_clock(at.replace("00Z", "01Z"))
        month.run("push")
    # What is refused is what the audit says will miss its invoice, no more and no less.
    assert all(after[0] - before[0] == after[1] for before, after in pairwise(steps))
    # Sooner and by hand; as usual from 01:00 on; later from 06:00 on; held open never.
    assert [count for count, _ in steps] == ([0, 2, 5, 8, 12, 16] if pulls else [0])

    assert month.invoices()[subscription["held"]].status == "draft"
    month.set_clock("2026-11-06T00:00:00Z")
    finalize(month, subscription["held"])
    used, arrived = (parse_instant(text) for text in ("2026-10-30T06:00:00Z", "2026-11-06T12:00:00Z"))
    month.usage.append(Used("punctual", customer["held"], used, arrived, 10_000_000))
    month.import_arrived("2026-11-06T12:00:00Z")
    month.done("customers", "pull")
    month.run("push")
    check_what_it_came_to(month, customer, subscription)
    month.done("verify")
    month.check_told_again()


def voided(data: bytes) -> bytes:
    """Make the final invoices of an answer void ones."""
    return re.sub(rb'("status": ?)"(open|paid)"', rb'\1"void"', data)


def test_a_voided_invoice_stays_closed(month: PlayedMonth, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was final: what came until then has landed, and what comes later is refused."""
    customer = str(month.subscribe().customer)
    month.usage = usage_of(customer)
    with MeddlingProxy(month.desk.simulator.url) as proxy:
        monkeypatch.setenv("STRIPE_API_BASE", proxy.url)
        for at in list(ARRIVALS)[:3]:
            month.push(at)
        month.import_arrived("2026-11-01T02:05:00Z")
        proxy.meddle = lambda request: (
            Meddling(change=voided) if request.target.startswith("/v1/invoices") else None
        )
        month.done("customers", "pull")
        found = by_customer(month)[customer]
        pushed = month.push("2026-11-01T02:06:00Z", code=1)

    assert any(request.target.startswith("/v1/invoices") for request in proxy.requests)
    assert (found["deadline"], found["deadline_source"]) == ("2026-11-01T01:00:00Z", "draft_invoice")
    assert placed(found) == {"landed": 111, "missed": 1_000}
    assert (pushed["accepted"], pushed["blocked"]) == (0, 1)
    assert list(month.billed().values()) == [111]
    month.check_told_again()


def test_two_subscriptions_have_a_period_each(month: PlayedMonth) -> None:
    """Of two meters each has its end; of one the earliest deadline counts, unless usage names one."""
    two_meters, one_meter, named = (month.subscribe() for _ in range(3))
    month.set_clock("2026-10-15T12:00:00Z")
    seats = month.subscribe_too(str(two_meters.customer), "seats")
    again = month.subscribe_too(str(one_meter.customer))
    by_name = month.subscribe_too(str(named.customer))
    customers = [str(one.customer) for one in (two_meters, one_meter, named)]
    month.usage = [
        *usage_of(customers[0]),
        *usage_of(customers[0], feature="seats"),
        *usage_of(customers[1]),
        *usage_of(customers[2], subscription_id=by_name.id),
    ]
    late = Used(
        "punctual",
        customers[0],
        parse_instant("2026-11-14T00:00:00Z"),
        parse_instant("2026-11-15T13:05:00Z"),
        10_000_000,
        "seats",
    )
    month.usage += [late, late._replace(customer=customers[2], feature="calls", subscription_id=by_name.id)]
    for at in ARRIVALS:
        month.import_arrived(at)
        month.done("customers", "pull")
        month.run("push")
        month.audit("--by", "customer")
    first = by_customer(month)

    month.import_arrived("2026-11-15T13:05:00Z")
    month.done("customers", "pull")
    preview = json.loads(month.tell("preview"))
    second = {
        one["customer_id"]: one for one in ended(month.audit("--by", "customer"), end="2026-11-15T12:00:00Z")
    }

    assert {name: placed(one) for name, one in first.items()} == {
        customers[0]: {"landed": 111, "missed": 1_111_000},
        customers[1]: {"landed": 111, "missed": 1_111_000},
    }
    assert {name: placed(one) for name, one in second.items()} == {
        customers[0]: {"landed": 1_111_111, "missed": 10_000_000},
        customers[2]: {"landed": 1_111_111, "missed": 10_000_000},
    }
    # What the other subscription still bills is missed by the first, but not refused.
    assert preview["blocked"] == [{"reason": "closed_period", "count": 4 + 2}]
    billed = month.billed()
    assert {one.id: billed[one.id] for one in (two_meters, one_meter, named)} == dict.fromkeys(
        (two_meters.id, one_meter.id, named.id), 111
    )
    assert {one.id: billed[one.id] for one in (seats, again, by_name)} == dict.fromkeys(
        (seats.id, again.id, by_name.id), 1_111_111
    )
    month.check_told_again()
