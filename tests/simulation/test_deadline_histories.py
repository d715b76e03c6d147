"""Drawn histories of drafts whose deadlines are moved: whatever happens, audit and invoices agree."""

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from meterledger.domain.instant import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Instant,
    parse_instant,
    seconds_floor,
    to_text,
)
from support.played_month import START, PlayedMonth, Used, played_month

DELAYS = (5 * MINUTE, 40 * MINUTE, 55 * MINUTE, 2 * HOUR, 26 * HOUR, 70 * HOUR)
PAUSES = (HOUR, 3 * HOUR, 8 * HOUR, 15 * HOUR)
SUBSCRIBED = START + 3 * DAY
LAST = START + 12 * DAY


def subscribe(month: PlayedMonth, chance: random.Random) -> list[tuple[str, Instant]]:
    """Subscribe customers at odd times; return each with the instant from which on it is billed."""
    client = month.desk.client.v1
    (meter,) = (one for one in client.billing.meters.list().data if one.event_name == "api_requests")
    made = []
    for interval in ("day", "day", "week", "week"):
        at = START + chance.randrange((SUBSCRIBED - START) // SECOND) * SECOND
        made.append((at, interval))
    found = []
    for at, interval in sorted(made):
        month.set_clock(to_text(at))
        price = client.prices.create(
            {
                "currency": "usd",
                "unit_amount": 3,
                "product_data": {"name": "Calls"},
                "recurring": {"interval": interval, "usage_type": "metered", "meter": meter.id},
            }
        )
        customer = client.customers.create({"name": interval}).id
        client.subscriptions.create({"customer": customer, "items": [{"price": price.id}]})
        found.append((customer, at))
    return found


def meddle(month: PlayedMonth, chance: random.Random) -> None:
    """Move, hold, free and finalize drafts, as people do."""
    invoices = month.desk.client.v1.invoices
    for invoice in month.drafts().values():
        match chance.choice(("move", "hold", "free", "finalize", "leave", "leave")):
            case "move":
                at = seconds_floor(month.now) + chance.randrange(60, 20 * 3600)
                invoices.update(invoice, {"auto_advance": True, "automatically_finalizes_at": at})
            case "hold":
                invoices.update(invoice, {"auto_advance": False})
            case "free" if not invoices.retrieve(invoice).auto_advance:
                invoices.update(invoice, {"auto_advance": True})
            case "finalize":
                invoices.finalize_invoice(invoice)
    if chance.random() < 0.3:
        month.run("deadline", "extend", "--all-at-risk", "--by", "5h", "--yes")


def by_period(month: PlayedMonth) -> dict[tuple[str, int], dict[str, Decimal]]:
    """Return (customer, end of the period) -> where its usage stands, of periods that are over."""
    found: dict[tuple[str, int], dict[str, Decimal]] = {}
    for entry in month.audit("--by", "customer", "--periods", "60")["periods"]:
        end = parse_instant(entry["end"])
        if end <= month.now:
            sums = found.setdefault((entry["customer_id"], seconds_floor(end)), {})
            for where in ("landed", "open", "at_risk", "missed"):
                sums[where] = sums.get(where, Decimal(0)) + Decimal(entry[where]["quantity"])
    return found


def billed(month: PlayedMonth) -> dict[tuple[str, int], Decimal]:
    """Return (customer, end of the period) -> the quantity that its final invoice has, if any."""
    found: dict[tuple[str, int], Decimal] = {}
    for invoice in month.desk.client.v1.invoices.list({"limit": 100}).auto_paging_iter():
        for line in invoice.lines.data if invoice.billing_reason == "subscription_cycle" else []:
            key: Any = (invoice.customer, line.period.end)
            found[key] = found.get(key, Decimal(0)) + (line.quantity_decimal or Decimal(0))
    return {key: quantity for key, quantity in found.items() if quantity}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_each_invoice_has_what_landed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    """Between landed, and landed and at risk; nothing else is on any; and the ledger tells it all again."""
    chance = random.Random(seed)  # noqa: S311 # test data
    with played_month(tmp_path, monkeypatch, capsys) as month:
        for customer, since in subscribe(month, chance):
            for _ in range(30):
                used = since + chance.randrange((LAST - since) // SECOND) * SECOND
                arrived = max(used + chance.choice(DELAYS), SUBSCRIBED)
                source = chance.choice(("punctual", "hour_late", "day_late"))
                month.usage.append(Used(source, customer, used, arrived, chance.randrange(1, 1000)))
        now = SUBSCRIBED
        while now < LAST + DAY:
            now += chance.choice(PAUSES) + chance.randrange(60) * SECOND
            month.import_arrived(to_text(now))
            if chance.random() < 0.5:
                month.done("customers", "pull")
            if chance.random() < 0.5:
                meddle(month, chance)
            if chance.random() < 0.8:
                month.run("push")
            month.set_clock(to_text(now + SECOND))
            if chance.random() < 0.1:
                month.audit("--by", "customer")
        month.import_arrived(to_text(LAST + 4 * DAY))
        for invoice in month.drafts().values():
            month.desk.client.v1.invoices.finalize_invoice(invoice)
        month.done("customers", "pull")
        month.run("push")
        found, on_invoices = by_period(month), billed(month)
        assert on_invoices.keys() <= found.keys()
        for key, stands in found.items():
            least, most = stands["landed"], stands["landed"] + stands["at_risk"]
            assert least <= on_invoices.get(key, 0) <= most, key
        assert sum(stands["missed"] for stands in found.values())
        month.check_told_again()
