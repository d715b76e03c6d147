"""The whole audit against its rules, applied to one usage event at a time."""

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from meterledger.domain.grace import Grace
from meterledger.domain.instant import HOUR, Instant, to_text
from meterledger.usecases.audit import Audit, AuditOptions, audit, audited
from meterledger.usecases.audit_answer import Amount, Entry
from meterledger.usecases.audit_explain import Totals, explained
from meterledger.usecases.known_dues import known_dues
from support.audit_oracle import Oracle
from support.delivered_ledger import LedgerBuilder, ledger_builder
from support.known_usage import LedgerRows
from support.random_ledgers import CUSTOMERS, RandomLedger

SEEDS = range(60)
SAID = ("stamped_on_boundary", "nearing_too_old", "cancellations_possible")
"""Findings that count usage events."""
NAMED = ("too_little_history", "period_assumed")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_audit_is_what_its_rules_say_of_each_usage_event(tmp_path: Path, seed: int) -> None:
    """Every figure, at any instant, with any filter: what was counted at a run is what was judged alone."""
    chance = random.Random(seed)  # noqa: S311 # test data
    with ledger_builder(tmp_path) as built:
        random_ledger = RandomLedger(built, chance)
        random_ledger.fill(tmp_path)
        rows = LedgerRows.of(built.settings.ledger_path)
        for now in random_ledger.nows:
            for options in (AuditOptions(as_of=True), some_options(built, chance)):
                found = audit(built.ledger, built.settings, options, now=now)
                assert figures(found) == by_the_rules(built, rows, options, now), (to_text(now), options)


@pytest.mark.parametrize("seed", SEEDS[::4])
def test_the_rows_behind_the_figures_stand_where_its_rules_say(tmp_path: Path, seed: int) -> None:
    """What --explain lists of one customer, row by row, adds up to the same entries."""
    chance = random.Random(seed)  # noqa: S311 # test data
    with ledger_builder(tmp_path) as built:
        random_ledger = RandomLedger(built, chance)
        random_ledger.fill(tmp_path)
        rows = LedgerRows.of(built.settings.ledger_path)
        known = [name for name in CUSTOMERS if built.ledger.reports.knows_customer(name)]
        for now in random_ledger.nows:
            options = AuditOptions(as_of=True, customer=chance.choice(known))
            with built.ledger.database.snapshot():
                whole = audited(built.ledger, built.settings, options, now=now)
                totals = Totals()
                for one in explained(whole, options.customer or ""):
                    totals.add(one)
            by_rules = by_the_rules(built, rows, options, now)["entries"]
            assert entries(totals.entries) == by_rules, (to_text(now), options)


def some_options(built: LedgerBuilder, chance: random.Random) -> AuditOptions:
    """Return options by chance; what is asked for is known."""
    known = [name for name in CUSTOMERS if built.ledger.reports.knows_customer(name)]
    sealed_for = sorted(built.ledger.reports.event_names())
    return AuditOptions(
        as_of=True,
        periods=chance.choice([0, 1, 2, 9]),
        by_customer=chance.random() < 0.5,
        by_source=chance.random() < 0.5,
        customer=chance.choice([None, *known]),
        meter=chance.choice([None, None, "api_requests", "seats", *sealed_for]),
        grace_period=chance.choice([None, None, 0, 3 * HOUR, 72 * HOUR]),
    )


def by_the_rules(
    built: LedgerBuilder, rows: LedgerRows, options: AuditOptions, now: Instant
) -> dict[str, Any]:
    """Return what the rules say."""
    grace = built.settings.invoicing.grace
    if options.grace_period is not None:
        grace = Grace(default=options.grace_period, is_configured=True)
    oracle = Oracle(
        rows=rows,
        settings=built.settings,
        options=options,
        dues=known_dues(built.ledger, built.settings, now, grace=grace),
        own_dues=known_dues(built.ledger, built.settings, now),
        now=now,
    )
    return oracle.answer()


def figures(found: Audit) -> dict[str, Any]:
    """Return the figures of an audit as the oracle has them."""
    return {
        "verdict": found.verdict,
        "entries": entries(found.entries),
        "sources": {(one.source, one.event_name): amounts(one.amounts) for one in found.sources},
        "customers_at_risk": {
            (one.customer_id, one.period, one.deadline, one.event_name): amounts(one.amounts)
            for one in found.customers_at_risk
        },
        "missed_curves": {
            one.event_name: (amount(one.usage), [amount(missed) for missed in one.missed])
            for one in found.missed_curves
        },
        "what_if": {(one.grace_period, one.event_name): amount(one.missed) for one in found.what_if},
        "delays": {
            (line.source, line.event_name, line.kind): (
                line.summary.count,
                line.summary.p50,
                line.summary.p90,
                line.summary.p99,
                line.summary.max,
                list(line.histogram),
            )
            for line in found.delays
        },
        "samples": found.samples,
        "rehearsed_lateness": found.rehearsed_lateness,
        "deciding_sources": found.deciding_sources,
        "recommended": found.recommended_grace_period,
        "left_out": found.left_out,
        "findings": said(found),
    }


def entries(found: list[Entry]) -> dict[Any, Any]:
    """Return what stands where, and the number of customers."""
    return {
        (one.period, one.deadline, one.deadline_source, one.event_name, one.customer_id, one.source): (
            amounts(one.amounts),
            one.customers,
        )
        for one in found
    }


def said(found: Audit) -> dict[Any, Any]:
    """Return the figures of the findings."""
    result: dict[Any, Any] = {}
    for finding in found.findings:
        if finding.code in SAID:
            result[finding.code] = finding.details["usage_events"]
        elif finding.code in NAMED and "event_name" not in finding.details:
            result[finding.code] = True
        elif finding.code.startswith("open_"):
            result[finding.code, finding.details["landing"]] = finding.details["count"]
        if "first_until" in finding.details:
            result["first_until"] = finding.details["first_until"]
    return result


def amounts(found: dict[Any, Amount] | Any) -> dict[str, tuple[int, Fraction]]:
    """Return what stands where; what is nowhere is left out."""
    return {where.value: amount(one) for where, one in found.items() if one.events}


def amount(one: Amount) -> tuple[int, Fraction]:
    """Return how many they are, and their exact sum."""
    return one.events, Fraction(one.quantity.units, 10**one.quantity.scale)
