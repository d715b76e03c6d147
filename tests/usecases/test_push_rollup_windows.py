"""A roll-up's window is split where something else begins to hold: a period, a subscription, a customer."""

from dataclasses import replace
from pathlib import Path

import pytest

from meterledger.domain.instant import to_text
from meterledger.ledger import open_ledger
from meterledger.usecases.push import PushOptions
from support.billing_facts import pull, pulled_item
from support.customers import COLUMNS, take_customers
from support.pushing import DAY, HOUR, MINUTE, START, Row, World
from support.rolling_up import assert_sound, config, rolled_up, totals_at, totals_of, world_of

NOON = START - 10 * DAY + 12 * HOUR
"""In the middle of a month, and in the middle of a day."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make an empty ledger to copy."""
    return World(tmp_path_factory.mktemp("template"), config())


def test_a_window_is_split_where_a_period_of_its_customer_ends(template: World, tmp_path: Path) -> None:
    """Usage before and after the anchor of a customers file is on two invoices, so in two meter events."""
    world = world_of(template, tmp_path / "w", config("day", periods=""))
    columns = (*COLUMNS, "billing_cycle_anchor")
    lines = [
        ",".join(columns),
        "acme,cus_a,s1,,,,2026-01-22T12:30:00Z",
        "acme,cus_a,s2,,,,2026-01-22T18:00:00Z",
        "other,cus_b,,,,,",
    ]
    file = world.folder / "customers.csv"
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    take_customers(world.path, world.settings, world.time.clock, str(file))
    day = NOON - 12 * HOUR
    assert day == START - 10 * DAY
    rows = [replace(Row(key=f"a{number}", at=day + number * HOUR), customer="cus_a") for number in range(24)]
    rows += [Row(key=f"b{number}", customer="other", at=day + number * HOUR) for number in range(2)]
    world.import_rows(rows)
    # Ten days later what lies before 12:30 is closed for both subscriptions.
    world.push()
    assert [row[1] for row in rolled_up(world)] == [day + 12 * HOUR + 30 * MINUTE, day + 18 * HOUR]
    world.push(PushOptions(include_closed=True))
    assert sorted(rolled_up(world)) == [
        ("cus_a", day, 0, 0, 13, 13, 0),
        ("cus_a", day + 12 * HOUR + 30 * MINUTE, 0, 0, 5, 5, 0),
        ("cus_a", day + 18 * HOUR, 0, 0, 6, 6, 0),
    ]
    assert len(world.stripe.counted) == 5
    assert_sound(world)


@pytest.mark.parametrize("periods", ["", '[invoicing]\nanchors = "calendar"\n'])
def test_a_window_is_split_where_a_subscription_ends_or_begins(
    template: World, tmp_path: Path, periods: str
) -> None:
    """Stripe bills what came until a cancelation by its last invoice: no sum is stamped after it."""
    world = world_of(template, tmp_path / "w", config("day", periods=periods))
    day = NOON - 12 * HOUR
    ended = pulled_item(
        stripe_customer_id="cus_a",
        ended_at=day + 10 * HOUR,
        period_start=day - 10 * DAY,
        period_end=day + 10 * HOUR,
    )
    anew = pulled_item(
        item_id="si_2",
        subscription_id="sub_2",
        stripe_customer_id="cus_a",
        anchor=day + 20 * HOUR,
        start=day + 20 * HOUR,
        period_start=day + 20 * HOUR,
        period_end=day + 50 * DAY,
    )
    with open_ledger(world.path) as ledger:
        ledger.subscriptions.record(pull(world.time.clock(), account_id=None), [ended, anew], [])
    rows = [Row(key=f"a{number}", at=day + number * HOUR) for number in range(24)]
    world.import_rows(rows)
    world.push(PushOptions(include_closed=True))
    assert sorted(row[:6] for row in rolled_up(world)) == [
        ("cus_a", day, 0, 0, 10, 10),
        ("cus_a", day + 10 * HOUR, 0, 0, 10, 10),
        ("cus_a", day + 20 * HOUR, 0, 0, 4, 4),
    ]
    assert totals_at(world) == totals_of(rows)
    assert_sound(world)


def test_a_window_is_split_where_a_customers_file_changes(template: World, tmp_path: Path) -> None:
    """A customer who is canceled at noon: what came before is not stamped with the afternoon."""
    world = world_of(template, tmp_path / "w", config("day"))
    rows = [Row(key=f"a{number}", at=NOON - 12 * HOUR + number * HOUR) for number in range(24)]
    world.import_rows(rows)
    for status, since in (("active", ""), ("canceled", to_text(NOON))):
        file = world.folder / "customers.csv"
        file.write_text(
            "customer_id,stripe_customer_id,status,effective_at\n"
            f"acme,cus_a,{status},{since}\nother,cus_a,active,\n",
            encoding="utf-8",
        )
        take_customers(world.path, world.settings, world.time.clock, str(file))
    world.push()
    assert sorted(row[:6] for row in rolled_up(world)) == [
        ("cus_a", NOON - 12 * HOUR, 0, 0, 12, 12),
        ("cus_a", NOON, 0, 0, 12, 12),
    ]
    assert totals_at(world) == totals_of(rows)
    assert_sound(world)
