"""
The grace-period audit: will usage make its invoice, and what would it take?

Arithmetic over the instants of the ledger; nothing is asked of Stripe, and nothing is changed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from meterledger.config import Settings
from meterledger.domain import lateness
from meterledger.domain.billing_period import BillingPeriod
from meterledger.domain.dues import Due
from meterledger.domain.grace import Grace
from meterledger.domain.instant import SECOND, Instant, seconds_floor
from meterledger.domain.lateness import Condition, Distribution, Landing, Rehearsal
from meterledger.domain.quantity import Quantity
from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.usecases.audit_answer import (
    Amount,
    Audit,
    AuditOptions,
    CustomerAtRisk,
    DelayLine,
    Entry,
    MissedCurve,
    SourceAmounts,
    WhatIf,
)
from meterledger.usecases.audit_findings import clock_findings, refused_findings, unbilled_findings
from meterledger.usecases.audit_reading import Reading, SourceAndMeter
from meterledger.usecases.audit_share import HOUR_SECONDS, MOST_HOURS, Pile, Share
from meterledger.usecases.findings import period_assumed
from meterledger.usecases.forecast import forecasts
from meterledger.usecases.forecast_answer import forecast_findings
from meterledger.usecases.grace_findings import grace_findings
from meterledger.usecases.known_dues import known_dues
from meterledger.usecases.planning import Planner, refuse_clock_set_back

__all__ = ["Audit", "AuditOptions", "Audited", "audit", "audited"]


@dataclass(slots=True, kw_only=True)
class Audited:
    """An audit with what it was made from: enough to judge each usage event again."""

    audit: Audit
    reading: Reading
    expected: dict[SourceAndMeter, int]
    """The delivery delay that is to be expected, in seconds."""
    periods: set[BillingPeriod] = field(default_factory=set)
    """The billing periods in scope."""


def audit(ledger: Ledger, settings: Settings, options: AuditOptions, *, now: Instant) -> Audit:
    """Audit the ledger as it was known at an instant."""
    with ledger.database.snapshot():
        return audited(ledger, settings, options, now=now).audit


def audited(ledger: Ledger, settings: Settings, options: AuditOptions, *, now: Instant) -> Audited:
    """Audit the ledger, and return what else was found out; a snapshot is open."""
    if not options.as_of:
        refuse_clock_set_back(ledger, now)
    refuse_unknown(ledger, settings, options)
    grace = settings.invoicing.grace
    if options.grace_period is not None:
        grace = Grace(default=options.grace_period, is_configured=True)
    reading = Reading(
        ledger=ledger,
        settings=settings,
        options=options,
        now=now,
        dues=known_dues(ledger, settings, now, grace=grace),
        planner=Planner(ledger, settings, now, now),
    )
    reading.read()
    whole = Audited(
        audit=Audit(as_of=now, grace_period=grace.default // SECOND, left_out=reading.left_out),
        reading=reading,
        expected=reading.expected_delivery(),
    )
    shares = [share for share in reading.shares.values() if share.is_asked_for and share.usage.events]
    whole.periods = _periods_in_scope(reading, shares)
    in_scope = [share for share in shares if share.due.period in whole.periods]
    _fill_amounts(whole, in_scope)
    _fill_what_if(whole.audit, in_scope)
    _fill_delays(whole.audit, reading, shares)
    _conclude(whole, in_scope)
    _fill_forecasts(whole)
    return whole


def refuse_unknown(ledger: Ledger, settings: Settings, options: AuditOptions) -> None:
    """Raise UsageError for a misspelt filter: it would leave nothing to judge, and that would be ok."""
    if options.customer is not None and not ledger.reports.knows_customer(options.customer):
        raise UsageError(
            f"the ledger has no usage of a customer {options.customer}",
            hint="write it as your usage files do; `meterledger customers list` has it beside Stripe's",
        )
    declared = {meter.event_name for meter in settings.catalogue.meters}
    if options.meter is None or options.meter in declared:
        return
    meters = sorted(declared | ledger.reports.event_names())
    if options.meter not in meters:
        raise UsageError(
            f"there is no meter {options.meter}", hint=f"known are: {', '.join(meters) or 'none'}"
        )


def _periods_in_scope(reading: Reading, shares: Iterable[Share]) -> set[BillingPeriod]:
    """Return the periods that are not over, that hold unsettled usage, or that were closed last."""
    now = reading.now
    found, others = set(), []
    for share in shares:
        if share.due.period.end > now or _is_ahead(share.due, now) or share.is_unsettled:
            found.add(share.due.period)
        else:
            others.append(share)
    others.sort(key=lambda share: share.due.period, reverse=True)
    closed: dict[tuple[int, str | None, str | None], set[BillingPeriod]] = {}
    oldest = others[-1].due.period.start if others else now
    for share in others:
        if share.due.period in found:
            continue
        whose = (share.customer, share.subscription_id, share.event_name)
        if whose not in closed:
            closed[whose] = set(_last_closed(reading, share, oldest))
        if share.due.period in closed[whose]:
            found.add(share.due.period)
    return found


def _last_closed(reading: Reading, share: Share, oldest: Instant) -> Iterator[BillingPeriod]:
    """Yield as many closed periods of a customer and meter as are asked for, the last first."""
    customer_id, at = reading.customers[share.customer], reading.now
    closed: dict[BillingPeriod, None] = {}
    while len(closed) < reading.options.periods and at >= oldest:
        stretch = reading.dues.at(customer_id, share.subscription_id, share.event_name, at)
        due = stretch.due
        if due.period.end <= reading.now and not _is_ahead(due, reading.now):
            closed[due.period] = None
        # Not the period's start: where a subscription ended, what is assumed after it covers its last period.
        at = stretch.start - 1
    yield from closed


def _is_ahead(due: Due, now: Instant) -> bool:
    """Tell whether a deadline is ahead, in seconds, as for the usage that it is the deadline of."""
    return seconds_floor(due.deadline) >= seconds_floor(now)


def _fill_amounts(whole: Audited, shares: Sequence[Share]) -> None:
    """Add the shares up by period, deadline and meter, by source, and by customers at risk."""
    result, reading = whole.audit, whole.reading
    options = reading.options
    entries: dict[tuple[object, ...], Entry] = {}
    customers: dict[tuple[object, ...], set[int]] = {}
    sources: dict[SourceAndMeter, SourceAmounts] = {}
    at_risk: dict[tuple[object, ...], CustomerAtRisk] = {}
    endangered = {_whose(share) for share in shares if _is_in_danger(whole, share)}
    key: tuple[object, ...]
    for share in shares:
        due, customer_id = share.due, reading.customers[share.customer]
        customer = customer_id if options.by_customer else None
        source = share.source if options.by_source else None
        key = (due.period, due.deadline, due.source, share.event_name, customer, source)
        if key not in entries:
            entries[key] = Entry(due.period, due.deadline, due.source, share.event_name, customer, source)
        customers.setdefault(key, set()).add(share.customer)
        one_source = (share.source, share.event_name)
        if one_source not in sources:
            sources[one_source] = SourceAmounts(source=share.source, event_name=share.event_name)
        added_up: list[Entry | SourceAmounts | CustomerAtRisk] = [entries[key], sources[one_source]]
        if (whose := _whose(share)) in endangered:
            if whose not in at_risk:
                at_risk[whose] = CustomerAtRisk(
                    customer_id=customer_id,
                    period=due.period,
                    deadline=due.deadline,
                    event_name=share.event_name,
                )
            added_up.append(at_risk[whose])
        for where, pile in _piles(whole, share):
            quantity = Quantity(pile.units, share.scale)
            for one in added_up:
                one.amounts[where].add(pile.events, quantity)
    for key, entry in entries.items():
        entry.customers = len(customers[key])
    result.entries = sorted(entries.values(), key=_entry_order)
    result.sources = [sources[key] for key in sorted(sources, key=_in_order)]
    result.customers_at_risk = sorted(at_risk.values(), key=_risk_order)


def _whose(share: Share) -> tuple[object, ...]:
    return share.customer, share.due, share.event_name


def _is_in_danger(whole: Audited, share: Share) -> bool:
    return any(
        where in {Landing.AT_RISK, Landing.MISSED} and pile.events for where, pile in _piles(whole, share)
    )


def _piles(whole: Audited, share: Share) -> Iterator[tuple[Landing, Pile]]:
    """Yield where each usage event of a share stands, what waits by the delays of its source and meter."""
    for where, pile in (
        (Landing.LANDED, share.landed),
        (Landing.AT_RISK, share.at_risk),
        (Landing.MISSED, share.missed),
    ):
        if pile.events:
            yield where, pile
    if share.waiting.events:
        delay = whole.expected.get((share.source, share.event_name), 0)
        yardstick = whole.reading.yardstick(share.due, delay)
        yield lateness.judged(Condition.WAITING, yardstick, None, None).landing, share.waiting


def _fill_what_if(result: Audit, shares: Iterable[Share]) -> None:
    """Say for each grace period what it would have missed of the ended periods in scope."""
    usage: dict[str | None, Amount] = {}
    late: dict[tuple[str | None, int], Amount] = {}
    for share in shares:
        if share.due.period.end > result.as_of:
            continue
        whole = usage.setdefault(share.event_name, Amount())
        sampled = share.sampled
        whole.add(sampled.events, Quantity(sampled.units, share.scale))
        for hours, pile in share.after_end.items():
            amount = late.setdefault((share.event_name, hours), Amount())
            amount.add(pile.events, Quantity(pile.units, share.scale))
    meters = sorted(usage, key=lambda name: name or "")
    for event_name in meters:
        # From the longest down: what a grace period misses, each shorter one misses too.
        missed, curve = Amount(), []
        for hours in range(MOST_HOURS, -1, -1):
            more = late.get((event_name, hours + 1), Amount())
            missed = Amount(missed.events, missed.quantity)
            missed.add(more.events, more.quantity)
            curve.append(missed)
        result.missed_curves.append(
            MissedCurve(event_name=event_name, usage=usage[event_name], missed=curve[::-1])
        )
    result.what_if = [
        WhatIf(grace_period=grace, event_name=curve.event_name, missed=curve.missed[grace // HOUR_SECONDS])
        for grace in lateness.grace_periods_seconds()
        for curve in result.missed_curves
    ]


def _fill_delays(result: Audit, reading: Reading, shares: Iterable[Share]) -> None:
    invoicing = reading.settings.invoicing
    rehearsal = Rehearsal(samples=sum(share.sampled.events for share in shares))
    for (source, _), delays in reading.delays.items():
        rehearsal.note(source, delays.lateness // SECOND)
    result.recommended_grace_period = rehearsal.recommendation(
        invoicing.retry_time // SECOND, invoicing.safety_margin // SECOND
    )
    result.rehearsed_lateness = rehearsal.largest_lateness
    result.deciding_sources = rehearsal.deciding_sources
    result.samples = rehearsal.samples
    for key in sorted(reading.delays, key=_in_order):
        for kind, values in reading.delays[key].kinds().items():
            distribution = Distribution(values)
            if summary := distribution.summary():
                result.delays.append(
                    DelayLine(
                        source=key[0],
                        event_name=key[1],
                        kind=kind,
                        summary=summary,
                        histogram=distribution.histogram(),
                    )
                )


def _conclude(whole: Audited, shares: Iterable[Share]) -> None:
    result, reading = whole.audit, whole.reading
    landings = {where for entry in result.entries for where, amount in entry.amounts.items() if amount.events}
    refused = list(refused_findings(reading))
    landings |= {where for _, where in refused}
    if Landing.MISSED in landings:
        result.verdict = "missed"
    elif Landing.AT_RISK in landings:
        result.verdict = "at_risk"
    assumed = {share.customer for share in shares if not share.due.dates_known}
    result.findings = [
        *(finding for finding, _ in refused),
        *([period_assumed(len(assumed), len({share.customer for share in shares}))] if assumed else ()),
        *clock_findings(reading, samples=result.samples),
        *unbilled_findings(shares),
        *grace_findings(reading.ledger, reading.settings, reading.now),
    ]


def _fill_forecasts(whole: Audited) -> None:
    result, reading = whole.audit, whole.reading
    result.forecasts = forecasts(
        reading.ledger, reading.settings, reading.dues, reading.options, result.entries, now=reading.now
    )
    result.findings += forecast_findings(result.forecasts, already=result.findings)


def _in_order(key: SourceAndMeter) -> tuple[str, str]:
    return key[0], key[1] or ""


def _entry_order(entry: Entry) -> tuple[object, ...]:
    return (
        entry.period,
        entry.deadline,
        entry.deadline_source,
        entry.event_name or "",
        entry.customer_id or "",
        entry.source or "",
    )


def _risk_order(one: CustomerAtRisk) -> tuple[object, ...]:
    return (
        not one.amounts[Landing.MISSED].events,
        one.deadline,
        one.period,
        one.customer_id,
        one.event_name or "",
    )
