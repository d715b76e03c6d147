"""Periods, customers and forecasts of an audit for people, where each customer has a period of its own."""

from collections.abc import Sequence

import pytest

from meterledger.cli.audit_periods import print_customers_at_risk, print_entries
from meterledger.domain.billing_period import BillingPeriod
from meterledger.domain.dues import NEVER, DeadlineSource
from meterledger.domain.instant import DAY, HOUR, Instant, parse_instant
from meterledger.domain.lateness import Landing
from meterledger.domain.quantity import Quantity
from meterledger.usecases.audit_answer import Amount, AuditOptions, CustomerAtRisk, Entry

NOW = parse_instant("2026-11-22T12:00:00Z")
MONTH = 30 * DAY


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the width of a usual terminal, whatever that of the tests is."""
    monkeypatch.setenv("COLUMNS", "80")


def entry(
    deadline: Instant, *, landed: int = 0, missed: int = 0, at_risk: int = 0, waiting: int = 0
) -> Entry:
    """Return a period of one customer; each usage event is half a unit."""
    end = NOW + MONTH if deadline == NEVER else deadline - HOUR
    made = Entry(
        BillingPeriod(end - MONTH, end),
        deadline,
        DeadlineSource.CONFIGURED,
        "api_requests",
        customer_id=f"cus_{(end - NOW) // HOUR}",
        customers=1,
    )
    counts = {
        Landing.LANDED: landed,
        Landing.OPEN: waiting,
        Landing.AT_RISK: at_risk,
        Landing.MISSED: missed,
    }
    for where, count in counts.items():
        made.amounts[where] = Amount(count, Quantity(5 * count, 1))
    return made


def own_periods() -> list[Entry]:
    """Return the periods of 33 customers: over, within a week, far ahead, held open."""
    over = [entry(NOW - number * DAY, landed=2, missed=number == 3) for number in range(1, 15)]
    near = [entry(NOW + number * 12 * HOUR, landed=1, waiting=2) for number in range(1, 17)]
    far = [entry(NOW + number * MONTH // 4, at_risk=1) for number in (1, 2, 3)]
    return [*over, *near, *far, entry(NEVER, waiting=7)]


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was printed, each line without what pads it."""
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def printed(
    capsys: pytest.CaptureFixture[str], entries: Sequence[Entry], options: AuditOptions | None = None
) -> list[str]:
    """Return what is printed of entries, as `lines`."""
    print_entries(entries, options or AuditOptions(), now=NOW)
    return lines(capsys)


def test_many_deadlines_are_added_up_by_day_and_month(capsys: pytest.CaptureFixture[str]) -> None:
    """What is over or far by the month, what is near by the day, and one table has it all."""
    out = printed(capsys, own_periods())

    days = [line for day in range(23, 30) for line in (f"2026-11-{day} api_requests 2 2 4 0 0", "1 2")]
    assert out[3:] == [
        "2026-11 (over) api_requests 14 28 0 0 1",
        "14 0.5",
        *days,
        "later in 2026-11 api_requests 3 2 4 1 0",
        "1 2 0.5",
        "2026-12 api_requests 2 0 0 2 0",
        "1",
        "held open api_requests 1 0 7 0 0",
        "3.5",
        "--format csv has each period",
        "",
    ]


def test_few_deadlines_are_shown_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Up to twelve each have a table with their period and deadline above it."""
    out = printed(capsys, own_periods()[:12])

    assert sum("deadline 2026-11" in line for line in out) == 12
    assert not any("added up" in line for line in out)


def test_sources_are_added_up_each_on_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """With --by source a stretch has a line for each."""
    entries = own_periods()
    for number, one in enumerate(entries):
        one.source = "batch" if number % 2 else "gateway"
    out = printed(capsys, entries, AuditOptions(by_source=True))

    assert [line for line in out if "(over)" in line] == [
        "2026-11 (over) api_requests batch 7 14 0 0 0",
        "2026-11 (over) api_requests gateway 7 14 0 0 1",
    ]


def test_meters_of_a_stretch_stand_in_the_same_order(capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever of them has the nearer deadline."""
    entries = own_periods()
    for number, one in enumerate(entries):
        one.event_name = "api_requests" if number % 2 else "storage"
    out = printed(capsys, entries)

    assert [line.split()[-6] for line in out if line.startswith("2026-11-2")] == [
        "api_requests",
        "storage",
    ] * 7


def test_of_many_customers_the_worst_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """With --by customer: missed first, then at risk, then by deadline, and how many are not shown."""
    out = printed(capsys, own_periods(), AuditOptions(by_customer=True))
    rows = [line.split() for line in out if line.startswith("cus_")]

    assert len(rows) == 20
    assert rows[0][2:] == ["2026-11-19T12:00:00Z", "2", "0", "0", "1"]
    assert [row[5] for row in rows[1:4]] == ["1", "1", "1"]
    assert [row[2] for row in rows[4:]] == sorted(row[2] for row in rows[4:])
    assert "1 more have not, 13 have; --format csv has all" in out


def at_risk(entries: Sequence[Entry]) -> list[CustomerAtRisk]:
    """Return entries as the audit lists customers."""
    return [
        CustomerAtRisk(
            customer_id=one.customer_id or "",
            period=one.period,
            deadline=one.deadline,
            event_name="api_requests",
            amounts=one.amounts,
        )
        for one in entries
    ]


def test_half_of_the_customers_that_are_named_can_still_be_saved(capsys: pytest.CaptureFixture[str]) -> None:
    """However many have missed: the most missed of these, and of the others the nearest deadlines."""
    missed = [entry(NOW - number * DAY, missed=number % 7) for number in range(1, 43) if number % 7]
    ahead = [entry(NOW + number * DAY, at_risk=1) for number in range(12, 0, -1)]
    print_customers_at_risk(at_risk([*missed, *ahead, entry(NEVER, at_risk=9)]), now=NOW)
    out = lines(capsys)

    rows = [line.split()[2:] for line in out if line.startswith("cus_")]
    assert [(row[0][:10], row[2]) for row in rows[:7]] == [
        ("2026-11-16", "6"),
        ("2026-11-09", "6"),
        ("2026-11-02", "6"),
        ("2026-10-26", "6"),
        ("2026-10-19", "6"),
        ("2026-10-12", "6"),
        ("2026-11-17", "5"),
    ]
    assert [(row[0][:10], row[1]) for row in rows[10:]] == [
        (f"2026-11-{day}", "1") for day in range(23, 31)
    ] + [
        ("2026-12-01", "1"),
        ("2026-12-02", "1"),
    ]
    assert "and 29 more, 26 of them with missed usage; --format json has all" in out


def test_customers_at_risk_are_named_up_to_twenty(capsys: pytest.CaptureFixture[str]) -> None:
    """It says how many more there are; where there is none, nothing is printed."""
    customers = at_risk(own_periods())
    print_customers_at_risk(customers, now=NOW)
    out = lines(capsys)

    assert sum(line.startswith("cus_") for line in out) == 20
    assert f"and {len(customers) - 20} more; --format json has all" in out
    print_customers_at_risk([], now=NOW)
    assert lines(capsys) == []
