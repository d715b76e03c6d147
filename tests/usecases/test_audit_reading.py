"""The audit's pass over all usage events against the same arithmetic done one by one."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.domain.instant import DAY, HOUR, SECOND, Instant, parse_instant, to_text
from meterledger.domain.lateness import Landing
from meterledger.usecases import audit_reading
from meterledger.usecases.audit import Audited, AuditOptions, audited
from meterledger.usecases.audit_explain import ExplainedUsage, explained
from meterledger.usecases.audit_reading import Reading
from meterledger.usecases.import_customers import CustomersOptions, import_customers
from support.customers import import_anchors
from support.delivered_ledger import LedgerBuilder, ledger_builder

SEEDS = range(8)
BEGIN = parse_instant("2026-10-10T00:00:00Z")
NOWS = (
    "2026-10-12T06:30:00Z",
    "2026-10-25T06:30:00Z",
    "2026-11-01T00:45:00.5Z",
    "2026-11-05T12:50:00Z",
    "2026-11-20T00:00:00Z",
)
TAKE = Reading._take  # as below
CUSTOMERS = ("cus_a", "cus_b", "acme")
SAMPLED = ("accepted", "accepted", "accepted", "found_duplicate", "rejected", "unknown", "not_sent", "none")


@pytest.fixture
def built(tmp_path: Path) -> Iterator[LedgerBuilder]:
    """Yield an empty ledger to fill, with the periods of two customers."""
    with ledger_builder(tmp_path) as builder:
        import_anchors(
            builder.ledger,
            builder.settings,
            tmp_path,
            cus_a="2026-01-05T12:00:00Z",
            cus_b="2026-01-31T00:00:00Z",
        )
        yield builder


def filled(built: LedgerBuilder, seed: int) -> None:
    """Fill a ledger by chance: both meters, all fates, imports that say nothing about delays."""
    chance = random.Random(seed)  # noqa: S311 # test data
    days, customers = chance.choice([2, 9, 40]), chance.choice([CUSTOMERS[:1], CUSTOMERS])
    for number in range(60):
        used = BEGIN + chance.randrange(days * DAY // SECOND) * SECOND + chance.choice([0, 1, 999_999])
        used -= chance.choice([0, 0, used % DAY])
        came = used + chance.randrange(-HOUR, chance.choice([HOUR, 2 * HOUR, 30 * HOUR]))
        name, kind = f"r{number}", chance.choice(["", "", "", "", "backfill", "first"])
        built.usage(
            name,
            to_text(used),
            recorded=to_text(came),
            received=to_text(came - chance.randrange(HOUR)) if chance.random() < 0.3 else None,
            quantity=chance.randrange(1, 1000),
            customer=chance.choice(customers),
            feature=chance.choice(["api_calls", "api_calls", "seats"]),
            source=kind or chance.choice(["gateway", "batch"]),
            backfill=kind == "backfill",
            first=kind == "first",
        )
        sent = came + chance.randrange(5 * HOUR)
        match chance.choice(SAMPLED):
            case "none":
                pass
            case "found_duplicate":
                built.found_duplicate(name, to_text(sent), to_text(sent + chance.randrange(3 * HOUR)))
            case fate:
                getattr(built, fate)(name, to_text(sent))


def forgetful(reading: Reading, row: tuple[object, ...]) -> None:
    """Take a usage event and forget what the next of its customer may be counted with."""
    TAKE(reading, row)
    reading._current.clear()  # to have each taken alone


def audit_of(built: LedgerBuilder, now: str, **options: object) -> Audited:
    """Audit at an instant; a snapshot is open."""
    found = AuditOptions(as_of=True, periods=9, **options)  # type: ignore[arg-type] # options by name
    return audited(built.ledger, built.settings, found, now=parse_instant(now))


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_taken_at_a_run_counts_as_what_is_taken_alone(
    built: LedgerBuilder, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The few lines that most usage goes through say, to the unit, what the careful ones say of it."""
    filled(built, seed)
    asked: list[dict[str, object]] = [{}, {"customer": "cus_a"}, {"meter": "seats"}]
    with built.ledger.database.snapshot():
        at_a_run = [repr(audit_of(built, now, **options).audit) for now in NOWS for options in asked]
        monkeypatch.setattr(Reading, "_take", forgetful)
        monkeypatch.setattr(audit_reading, "_ROWS_AT_ONCE", 7)
        alone = [repr(audit_of(built, now, **options).audit) for now in NOWS for options in asked]
    assert at_a_run == alone


@pytest.mark.parametrize("seed", SEEDS)
def test_delays_and_rehearsal_are_those_of_the_rows(built: LedgerBuilder, seed: int) -> None:
    """Percentiles, histogram and the largest lateness, worked out anew from the rows of --explain."""
    filled(built, seed)
    for now in NOWS[::2]:
        with built.ledger.database.snapshot():
            whole = audit_of(built, now)
            rows = [row for name in CUSTOMERS for row in explained(whole, name)]
        delays, late = by_hand([row for row in rows if is_sampled(row)], parse_instant(now))

        assert {
            (one.source, one.event_name, one.kind): (one.summary.p50, one.summary.p99, sum(one.histogram))
            for one in whole.audit.delays
        } == {key: (nearest(found, 50), nearest(found, 99), len(found)) for key, found in delays.items()}
        assert whole.audit.rehearsed_lateness == late


def test_usage_of_two_subscriptions_is_counted_apart(tmp_path: Path) -> None:
    """Of one customer, source and meter, one after the other on one day, and due in two periods."""
    file = tmp_path / "subscriptions.csv"
    file.write_text(
        "customer_id,stripe_customer_id,subscription_id,billing_cycle_anchor\n"
        "cus_a,cus_a,sub_1,2026-01-05T00:00:00Z\ncus_a,cus_a,sub_2,2026-01-20T00:00:00Z\n"
    )
    with ledger_builder(tmp_path) as built:
        options = CustomersOptions(files=(str(file),))
        import_customers(built.ledger, built.settings, options, clock=lambda: BEGIN)
        for minute, subscription in enumerate(["sub_1", "sub_1", "sub_2", "sub_2", "sub_1"], 10):
            name, at = f"r{minute}", f"2026-11-10T10:{minute}:00Z"
            built.usage(name, at, recorded=at, subscription=subscription).accepted(name, at)
        with built.ledger.database.snapshot():
            found = audit_of(built, "2026-11-25T00:00:00Z").audit.entries

    assert [(to_text(one.period.end)[:10], one.amounts[Landing.LANDED].events) for one in found] == [
        ("2026-11-20", 2),
        ("2026-12-05", 3),
    ]


def test_without_a_grace_period_the_margin_is_the_last_of_the_period(tmp_path: Path) -> None:
    """What is accepted on the day it is used, five minutes before the end, is at risk all the same."""
    with ledger_builder(tmp_path) as built:
        for name, accepted in (("r1", "20:01:00"), ("r2", "23:54:59"), ("r3", "23:57:00")):
            built.usage(name, "2026-10-31T20:00:00Z", recorded="2026-10-31T20:00:30Z")
            built.accepted(name, f"2026-10-31T{accepted}Z")
        with built.ledger.database.snapshot():
            (entry,) = audit_of(built, "2026-11-05T00:00:00Z", grace_period=0).audit.entries

    assert (entry.amounts[Landing.LANDED].events, entry.amounts[Landing.AT_RISK].events) == (2, 1)


def is_sampled(row: ExplainedUsage) -> bool:
    """Tell whether a row says something about delays."""
    return row.source != "backfill" and (row.source != "first" or row.received_at is not None)


def by_hand(
    rows: list[ExplainedUsage], now: Instant
) -> tuple[dict[tuple[str, str | None, str], list[int]], int]:
    """Return the delays of rows in seconds, rounded up, and the largest lateness at any boundary."""
    delays: dict[tuple[str, str | None, str], list[int]] = {}
    late = 0
    for row in rows:
        arrived, accepted = row.received_at or row.recorded_at, row.accepted_at
        found = {"import": arrived - row.event_time}
        if accepted is not None:
            found |= {"delivery": accepted - arrived, "ingestion": accepted - row.event_time}
        for kind, delay in found.items():
            delays.setdefault((row.source, row.event_name, kind), []).append(-(-delay // SECOND))
        known_by = now if accepted is None else accepted
        # The latest boundary that counts, and the 35 days before it.
        last = now - (now - row.due.period.end) % DAY
        for boundary in range(last - 36 * DAY, last + 1, DAY):
            if now // SECOND * SECOND - 35 * DAY <= boundary and row.event_time < boundary <= known_by:
                late = max(late, (known_by - boundary) // SECOND)
    return delays, late


def nearest(delays: list[int], percent: int) -> int:
    """Return the nearest rank."""
    return sorted(delays)[max(-(-percent * len(delays) // 100), 1) - 1]
