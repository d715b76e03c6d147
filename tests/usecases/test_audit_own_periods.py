"""The audit by each customer's own periods: deadlines, scope, sources, and the rows behind the figures."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.domain.instant import HOUR, parse_instant, to_text
from meterledger.domain.lateness import Landing
from meterledger.usecases.audit import Audit, AuditOptions, audited
from meterledger.usecases.audit_answer import Entry
from meterledger.usecases.audit_explain import Totals, explained
from support import audits
from support.audits import codes, landings
from support.customers import import_anchors
from support.delivered_ledger import LedgerBuilder, ledger_builder

SEEDS = range(6)
NOW = "2026-11-20T00:00:00Z"


@pytest.fixture
def built(tmp_path: Path) -> Iterator[LedgerBuilder]:
    """Yield an empty ledger to fill."""
    with ledger_builder(tmp_path) as builder:
        yield builder


def knows(built: LedgerBuilder, folder: Path, **anchors: str) -> None:
    """Say when the periods of customers begin."""
    import_anchors(
        built.ledger, built.settings, folder, **{f"cus_{name}": anchor for name, anchor in anchors.items()}
    )


def deadlines(result: Audit) -> list[tuple[str, str]]:
    """Return start and deadline of each entry, to the hour."""
    return [(to_text(one.period.start)[5:13], to_text(one.deadline)[5:13]) for one in result.entries]


def figures(entries: list[Entry]) -> list[tuple[object, ...]]:
    """Return what entries say."""
    return [
        (e.period, e.deadline, e.event_name, w, a.events, str(a.quantity))
        for e in entries
        for w, a in e.amounts.items()
    ]


def test_usage_is_judged_by_its_own_customers_deadline(built: LedgerBuilder, tmp_path: Path) -> None:
    """The same instant is late for the customer whose period ended on the 5th, and open for the other."""
    knows(built, tmp_path, a="2026-01-05T12:00:00Z", b="2026-01-20T00:00:00Z")
    for name in ("a", "b"):
        built.usage(name, "2026-11-05T11:00:00Z", recorded="2026-11-05T11:30:00Z", customer=f"cus_{name}")
    result = audits.audited(built, "2026-11-05T14:00:00Z", by_customer=True)

    assert deadlines(result) == [("10-05T12", "11-05T13"), ("10-20T00", "11-20T01")]
    assert [e.amounts[Landing.MISSED].events for e in result.entries] == [1, 0]
    assert "period_assumed" not in codes(result)


def test_it_says_of_how_many_customers_periods_are_assumed(built: LedgerBuilder, tmp_path: Path) -> None:
    """One of whom nothing is known does not make the dates of all the others an assumption."""
    knows(built, tmp_path, a="2026-01-05T12:00:00Z", b="2026-01-20T00:00:00Z")
    for name in ("a", "b", "c"):
        built.usage(name, "2026-11-05T11:00:00Z", recorded="2026-11-05T11:30:00Z", customer=f"cus_{name}")
    (some,) = (one for one in audits.audited(built, NOW).findings if one.code == "period_assumed")
    (alone,) = (
        one for one in audits.audited(built, NOW, customer="cus_c").findings if one.code == "period_assumed"
    )

    assert some.message.startswith("billing periods of 1 of 3 customers are assumed to be calendar months")
    assert some.details == {"assumed": 1, "customers": 3}
    assert alone.message.startswith("billing periods are assumed to be calendar months in UTC; if they are")


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9998-12-31T23:59:59Z"])
def test_one_time_at_the_calendars_end_stops_nobody(built: LedgerBuilder, tmp_path: Path, at: str) -> None:
    """A zero time is in a period that began before the year 1: it is blocked, and the rest is judged."""
    knows(built, tmp_path, a="2024-02-29T12:00:00Z")
    built.usage("zero", at, recorded="2026-11-10T01:00:00Z", customer="cus_a")
    built.usage("a", "2026-11-10T00:00:00Z", recorded="2026-11-10T01:00:00Z", customer="cus_a")
    result = audits.audited(built, NOW)
    assert sum(amount.events for entry in result.entries for amount in entry.amounts.values()) == 2


def test_closed_periods_are_counted_by_each_customers_cycle(built: LedgerBuilder, tmp_path: Path) -> None:
    """One closed period back is another stretch of time for each customer; what is older is left out."""
    knows(built, tmp_path, a="2026-01-05T12:00:00Z", b="2026-01-20T00:00:00Z")
    for name in ("a", "b"):
        for at in ("2026-09-25T00:00:01Z", "2026-10-10T00:00:01Z"):
            key = name + at
            built.usage(key, at, recorded=at, customer=f"cus_{name}").accepted(key, at)

    assert [start for start, _ in deadlines(audits.audited(built, "2026-11-08T00:00:00Z"))] == [
        "09-20T00",
        "10-05T12",
    ]
    assert [start for start, _ in deadlines(audits.audited(built, "2026-11-08T00:00:00Z", periods=2))] == [
        "09-05T12",
        "09-20T00",
        "10-05T12",
    ]


def test_the_end_is_rehearsed_at_its_own_time_of_day(built: LedgerBuilder, tmp_path: Path) -> None:
    """A batch at 02:00 is harmless for a period that ends at 12:00 if it takes all but the last ten hours."""
    knows(built, tmp_path, a="2026-01-05T12:00:00Z")
    for day in range(1, 23):
        built.usage(
            f"r{day}",
            f"2026-10-{day:02d}T12:30:00Z",
            recorded=f"2026-10-{day + 1:02d}T02:00:00Z",
            customer="cus_a",
        )
        built.accepted(f"r{day}", f"2026-10-{day + 1:02d}T02:00:00Z")
    result = audits.audited(built, "2026-10-25T00:00:00Z")

    assert result.rehearsed_lateness == 0
    assert result.recommended_grace_period == HOUR // 1_000_000


def test_an_open_rejection_has_the_deadline_of_its_customer(built: LedgerBuilder, tmp_path: Path) -> None:
    """Without a customer that is known it is the calendar month's."""
    knows(built, tmp_path, a="2026-01-05T12:00:00Z")
    built.rejection("2026-10-31T20:00:00Z", recorded="2026-10-31T21:00:00Z")

    assert audits.audited(built, "2026-11-01T00:59:00Z").verdict == "at_risk"
    assert audits.audited(built, "2026-11-01T01:00:01Z").verdict == "missed"


def test_usage_on_its_own_boundary_is_said(built: LedgerBuilder, tmp_path: Path) -> None:
    """The boundary is the customer's, not the month's."""
    knows(built, tmp_path, a="2026-01-05T12:00:00Z")
    built.usage("r1", "2026-11-01T00:00:00Z", recorded="2026-11-01T00:01:00Z", customer="cus_a")
    assert "stamped_on_boundary" not in codes(audits.audited(built, "2026-11-01T00:10:00Z"))

    built.usage("r2", "2026-11-05T12:00:00Z", recorded="2026-11-05T12:01:00Z", customer="cus_a")
    assert "stamped_on_boundary" in codes(audits.audited(built, "2026-11-05T12:10:00Z"))


def test_by_source_gives_an_entry_for_each(built: LedgerBuilder) -> None:
    """The sources of a period and meter add up to it."""
    for source in ("gateway", "batch"):
        built.usage(source, "2026-11-05T11:00:00Z", recorded="2026-11-05T11:30:00Z", source=source)
    result = audits.audited(built, NOW, by_source=True)

    assert [(e.source, e.amounts[Landing.OPEN].events) for e in result.entries] == [
        ("batch", 1),
        ("gateway", 1),
    ]
    assert [one.source for one in result.sources] == ["batch", "gateway"]


def test_what_to_expect_of_a_source_is_learnt_from_all_customers(built: LedgerBuilder) -> None:
    """Asked for one customer, its waiting usage is at risk as it is among all."""
    for number in range(20):
        name = f"past{number}"
        built.usage(name, "2026-10-31T20:00:00Z", recorded="2026-10-31T20:00:00Z", customer="cus_b")
        built.accepted(name, "2026-10-31T20:10:00Z")
    built.usage("r1", "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z")

    assert landings(audits.audited(built, "2026-11-01T00:30:01Z", customer="cus_a")) == {"at_risk": 1}


def test_what_can_still_be_cancelled_is_said(built: LedgerBuilder) -> None:
    """For 24 hours from the acceptance on."""
    built.usage("r1", "2026-10-20T00:00:01Z", recorded="2026-10-20T00:10:00Z")
    built.accepted("r1", "2026-10-20T01:00:00Z")

    assert "cancellations_possible" in codes(audits.audited(built, "2026-10-21T00:59:59Z"))
    assert "cancellations_possible" not in codes(audits.audited(built, "2026-10-21T01:00:00Z"))


def filled(built: LedgerBuilder, seed: int) -> int:
    """Fill a ledger by chance; return how many usage events it has."""
    chance = random.Random(seed)  # noqa: S311 # test data
    for number in range(40):
        name, minutes = f"r{number}", chance.randrange(60 * 24 * 40)
        used = parse_instant("2026-10-10T00:00:00Z") + minutes * HOUR // 60
        came = used + chance.randrange(1, 180) * HOUR // 60
        built.usage(
            name,
            to_text(used),
            recorded=to_text(came),
            quantity=chance.randrange(1, 1000),
            customer=chance.choice(["cus_a", "cus_b", "acme"]),
            source=chance.choice(["gateway", "batch"]),
        )
        fate = chance.choice(["accepted", "rejected", "unknown", "not_sent", "none", "accepted"])
        if fate != "none":
            getattr(built, fate)(name, to_text(came + chance.randrange(1, 300) * HOUR // 60))
    return 40


@pytest.mark.parametrize("seed", SEEDS)
def test_explained_usage_adds_up_to_the_audit(built: LedgerBuilder, tmp_path: Path, seed: int) -> None:
    """For each customer, the rows that --explain lists sum to the entries, judged one by one."""
    knows(built, tmp_path, a="2026-01-05T12:00:00Z", b="2026-01-31T00:00:00Z")
    filled(built, seed)
    for now in ("2026-11-01T00:45:00Z", "2026-11-05T12:50:00Z", NOW):
        for customer in ("cus_a", "cus_b"):
            options = AuditOptions(customer=customer, as_of=True)
            with built.ledger.database.snapshot():
                whole = audited(built.ledger, built.settings, options, now=parse_instant(now))
                totals = Totals()
                for one in explained(whole, customer):
                    totals.add(one)
            assert figures(totals.entries) == figures(whole.audit.entries)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_usage_event_stands_somewhere_once(built: LedgerBuilder, tmp_path: Path, seed: int) -> None:
    """Landed, open, at risk and missed are all there is, broken down or not."""
    knows(built, tmp_path, a="2026-01-05T12:00:00Z")
    count = filled(built, seed)
    for options in ({}, {"by_customer": True}, {"by_source": True}):
        result = audits.audited(built, "2026-12-01T00:00:00Z", periods=9, **options)
        assert sum(landings(result).values()) == count


@pytest.mark.parametrize("seed", SEEDS)
def test_a_longer_grace_period_misses_no_more(built: LedgerBuilder, tmp_path: Path, seed: int) -> None:
    """Neither in the landing table nor on the curve."""
    knows(built, tmp_path, a="2026-01-05T12:00:00Z")
    filled(built, seed)
    results = [
        audits.audited(built, "2026-12-01T00:00:00Z", periods=9, grace_period=h * HOUR)
        for h in (1, 3, 6, 24, 72)
    ]
    missed = [landings(result).get("missed", 0) for result in results]
    assert missed == sorted(missed, reverse=True)
    for curve in results[0].missed_curves:
        events = [amount.events for amount in curve.missed]
        assert len(events) == 73
        assert events == sorted(events, reverse=True)
        assert events[0] <= curve.usage.events
