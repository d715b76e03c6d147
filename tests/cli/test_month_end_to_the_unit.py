"""A month's end to the unit: what audits say before and after it is what the invoices have and lack."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from meterledger.domain.instant import HOUR, MINUTE
from support.played_month import (
    START,
    PlayedMonth,
    Used,
    amount,
    ended,
    every_hour,
    played_month,
    quantity,
    total,
)

LOADED = "2026-10-31T20:04:00Z"
HOURLY = ("2026-10-31T20:05:00Z", "2026-10-31T21:05:00Z", "2026-10-31T22:05:00Z", "2026-10-31T23:05:00Z")
BEFORE = "2026-10-31T23:06:00Z"
AFTER_THE_END = "2026-11-01T00:05:00Z"
HALF_PAST = "2026-11-01T00:35:00Z"
TOO_LATE = "2026-11-01T01:05:00Z"
NEXT_MORNING = "2026-11-01T06:05:00Z"
ALL_IS_THERE = "2026-11-02T06:05:00Z"
"""Pushes run every hour. Those after the deadline that change no figure are left out."""

Play = Callable[[str], AbstractContextManager[PlayedMonth]]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Play:
    """Return what begins a month in a folder of its own."""

    def begin(name: str) -> AbstractContextManager[PlayedMonth]:
        (tmp_path / name).mkdir()
        return played_month(tmp_path / name, monkeypatch, capsys)

    return begin


@pytest.fixture
def month(play: Play) -> Iterator[PlayedMonth]:
    """Return a month that nobody has subscribed to."""
    with play("month") as month:
        yield month


def regular(customers: list[str], *, days: int = 31) -> list[Used]:
    """Every day is like every other."""
    return every_hour(customers, lambda hour: 1 + hour % 24, days=days)


def irregular(customers: list[str]) -> list[Used]:
    """From the sixth day on: quantities, hours without usage, and delays differ from day to day."""

    def drawn(one: Used, below: int) -> int:
        return (one.event_time // HOUR * 7919 + len(one.source) * 104_729) % 1009 * 31 % below

    return [
        one._replace(
            quantity=one.quantity * (1 + drawn(one, 7)), received_at=one.received_at + drawn(one, 50) * MINUTE
        )
        for one in every_hour(customers, lambda hour: 1 + hour % 5)
        if one.event_time >= START + 120 * HOUR and drawn(one, 11)
    ]


def begin(month: PlayedMonth, usage: Callable[[list[str]], list[Used]]) -> dict[str, str]:
    """Subscribe three customers and play October but for its last hour; return customer -> subscription."""
    made = [month.subscribe() for _ in range(3)]
    subscriptions = {str(one.customer): one.id for one in made}
    month.usage = usage(list(subscriptions))
    month.import_arrived(LOADED)
    month.audit()
    month.set_clock(HOURLY[0])
    month.done("customers", "pull")
    for at in HOURLY:
        month.push(at)
    return subscriptions


def play_on(month: PlayedMonth) -> None:
    """Go on over the deadline: by the first push after it the invoices are final, which the second knows."""
    month.push(TOO_LATE)
    month.done("customers", "pull")
    month.push(ALL_IS_THERE, code=1)


def forecasts(month: PlayedMonth, customers: dict[str, str]) -> dict[str, Any]:
    """Return October's forecast in all, and of each customer."""
    month.audit("--by", "source")
    (whole,) = ended(month.audit(), "forecast")
    found = {"": whole}
    for customer in customers:
        (found[customer],) = ended(month.audit("--customer", customer), "forecast")
    return found


def check_invoices(month: PlayedMonth, subscriptions: dict[str, str]) -> dict[str, Any]:
    """Usage less what the invoice has is what the audit calls missed; return that in all and by customer."""
    billed = month.billed()
    entries = ended(month.audit("--by", "customer"))
    assert {one["customer_id"] for one in entries} == subscriptions.keys()
    missed = {}
    for customer, subscription in subscriptions.items():
        own = [one for one in entries if one["customer_id"] == customer]
        missed[customer] = total(one["missed"] for one in own)
        used = month.used(customer)
        assert total(one[where] for one in own for where in ("landed", "open", "at_risk", "missed")) == used
        assert quantity([used]) - billed[subscription] == quantity([missed[customer]])
    missed[""] = total(one["missed"] for one in ended(month.audit()))
    assert missed[""] == total(one for customer, one in missed.items() if customer)
    return missed


def check_lost(month: PlayedMonth, missed: dict[str, Any]) -> list[Any]:
    """`audit --lost` names just that, line by line and usage event by usage event; return the lines."""
    lines, events = month.lost()
    for customer in missed.keys() - {""}:
        by_line, by_event = (
            total(
                amount(one.get("usage_events", 1), Decimal(one[quantity_key]))
                for one in found
                if one["customer_id"] == customer
            )
            for found, quantity_key in ((lines, "quantity_decimal"), (events, "quantity"))
        )
        assert by_line == by_event == missed[customer]
    assert len({(one["source"], one["request_id"]) for one in events}) == len(events)
    return lines


def test_a_regular_month_is_called_in_advance_to_the_unit(month: PlayedMonth) -> None:
    """Forecast, missed, lost and what the invoices lack are one figure, by customer, source and in all."""
    subscriptions = begin(month, regular)
    month.set_clock(BEFORE)
    before = forecasts(month, subscriptions)
    month.pushes_as_processes = True
    month.push(AFTER_THE_END)
    month.done("customers", "pull")
    with_drafts = forecasts(month, subscriptions)
    play_on(month)
    missed = check_invoices(month, subscriptions)

    # 23:30 of the source that is an hour late, and all day of the other.
    assert missed[""] == amount(1 + 24, Decimal(24 * 100 + sum(range(1, 25)) * 10_000))
    for told in (before, with_drafts):
        for whose, forecast in told.items():
            assert forecast["expected"] == forecast["least"] == forecast["most"] == missed[whose]
    by_source = {one["source"]: one["missed"] for one in ended(month.audit("--by", "source"))}
    assert by_source == {one["source"]: one["expected"] for one in before[""]["sources"]}
    lines = check_lost(month, missed)
    assert {one["deadline_source"] for one in lines} == {"draft_invoice"}
    assert sum(one["accepted_late_events"] for one in lines) == 2
    month.done("verify")
    month.check_told_again()


def test_an_irregular_month_stays_within_its_forecast(month: PlayedMonth) -> None:
    """What the invoices lack lies between the least and the most that was forecast, and is what is missed."""
    subscriptions = begin(month, irregular)
    month.set_clock(BEFORE)
    before = forecasts(month, subscriptions)
    month.push(AFTER_THE_END)
    play_on(month)
    missed = check_invoices(month, subscriptions)

    for whose, forecast in before.items():
        for key, number in (("events", int), ("quantity", Decimal)):
            least, most = (number(forecast[bound][key]) for bound in ("least", "most"))
            assert least < most
            assert least <= number(missed[whose][key]) <= most
    check_lost(month, missed)
    month.check_told_again()


def begin_until_half_past(month: PlayedMonth) -> dict[str, str]:
    """Play until a late usage event of two customers each is there, and not yet pushed."""
    subscriptions = begin(month, partial(regular, days=9))
    month.push(AFTER_THE_END)
    month.import_arrived(HALF_PAST)
    return subscriptions


def extend(month: PlayedMonth, *arguments: str) -> Any:
    """Give every draft that is behind six hours more."""
    return month.done(
        "deadline", "extend", "--all-at-risk", "--by", "6h", "--format", "json", *arguments
    ).document


def finish_extended(month: PlayedMonth, subscriptions: dict[str, str]) -> dict[str, Any]:
    """Go on over the moved deadlines until all is there; return what is missed."""
    month.set_clock("2026-11-01T07:00:01Z")
    month.done("customers", "pull")
    month.push(ALL_IS_THERE, code=1)
    missed = check_invoices(month, subscriptions)
    check_lost(month, missed)
    month.done("verify")
    return missed


def test_more_time_saves_what_it_said_to_the_unit(play: Play) -> None:
    """The same month without and with it: each invoice differs by the usage that it named, and no other."""
    with play("without") as month:
        subscriptions = begin_until_half_past(month)
        month.push(TOO_LATE)
        month.push(ALL_IS_THERE)
        without, missed_without = month.billed(), check_invoices(month, subscriptions)

    with play("with") as month:
        assert begin_until_half_past(month) == subscriptions
        said = extend(month, "--dry-run")["drafts"]
        done = extend(month, "--yes")
        assert (done["extended"], [one["result"] for one in done["drafts"]]) == (2, ["extended"] * 2)
        month.audit("--by", "customer")
        month.push(TOO_LATE)
        missed, billed = finish_extended(month, subscriptions), month.billed()
        month.check_told_again()

    named = {draft["customer_ids"][0]: draft["unsent"] for draft in said}
    for customer, subscription in subscriptions.items():
        saved = quantity(named.get(customer, []))
        assert billed[subscription] - without[subscription] == saved
        assert quantity([missed_without[customer]]) - quantity([missed[customer]]) == saved
    # 23:30 of the source that is an hour late, and 00:30 of the other.
    said_in_all = total(unsent for lanes in named.values() for unsent in lanes)
    assert said_in_all == amount(2, Decimal(24 * 100 + 1 * 10_000))
    assert missed_without[""]["events"] - missed[""]["events"] == 2


def test_with_more_time_the_forecast_counts_with_it(month: PlayedMonth) -> None:
    """Pushes go on: what was forecast for each of the deadlines, old and new, is what is missed by each."""
    subscriptions = begin_until_half_past(month)
    extend(month, "--yes")
    expected = {one["deadline"]: one for one in ended(month.audit(), "forecast")}
    month.push(TOO_LATE)
    month.push(NEXT_MORNING)
    missed = finish_extended(month, subscriptions)

    by_deadline = {one["deadline"]: one for one in ended(month.audit())}
    assert {at: one["customers"] for at, one in by_deadline.items()} == {
        "2026-11-01T01:00:00Z": 1,
        "2026-11-01T07:00:00Z": 2,
    }
    for deadline, one in by_deadline.items():
        forecast = expected[deadline]
        assert forecast["expected"] == forecast["least"] == forecast["most"] == one["missed"]
    # Of the source that is a day late: all day of one customer, from 06:30 on of the two others.
    assert missed[""]["events"] == 8 + 2 * 6
    month.check_told_again()
