"""
The grace-period audit: will usage make its invoice, and what would it take?

Arithmetic over the instants of the ledger; nothing is asked of Stripe, and nothing is changed.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from meterledger.config import Settings
from meterledger.domain import lateness
from meterledger.domain.billing_period import BillingPeriod, calendar_month, months_back
from meterledger.domain.blocking import MAX_AGE
from meterledger.domain.delivery import RESEND_HORIZON
from meterledger.domain.instant import DAY, HOUR, SECOND, Instant, to_text
from meterledger.domain.lateness import Condition, Delays, Landing, Rehearsal, Yardstick
from meterledger.domain.meter_event import UsageToSeal
from meterledger.domain.quantity import ZERO, Quantity
from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.database import Row
from meterledger.usecases.audit_answer import Amount, Audit, AuditOptions, DelayLine, Entry, WhatIf
from meterledger.usecases.findings import Finding, counted, period_assumed
from meterledger.usecases.grace_findings import grace_findings
from meterledger.usecases.planning import Planner, refuse_clock_set_back

__all__ = ["Audit", "AuditOptions", "audit"]

TOO_OLD_WARNING = 32 * DAY
"""Unsent usage older than this nears the 35 days after which Stripe refuses it."""

UNKNOWN_WARNING = RESEND_HORIZON - 3 * HOUR

_SETTLED = (Condition.ACCEPTED, Condition.ALREADY_BILLED)
_OUT_OF_THE_AUDIT = ("voided", "written_off")
"""Closed usage of which no invoice is made."""

# Entry key and source: what waits is judged when the delays of all usage are known.
_Group = tuple[BillingPeriod, str | None, str, str]


@dataclass(slots=True)
class _Auditing:
    ledger: Ledger
    settings: Settings
    options: AuditOptions
    now: Instant
    planner: Planner
    result: Audit
    rehearsal: Rehearsal
    delays: dict[tuple[str, str | None], Delays] = field(default_factory=dict)
    entries: dict[tuple[BillingPeriod, str | None, str], Entry] = field(default_factory=dict)
    waiting: dict[_Group, Amount] = field(default_factory=dict)
    late: dict[tuple[BillingPeriod, str | None, int], Amount] = field(default_factory=dict)
    """Usage that came after its period's end, by how many of the compared grace periods it misses."""
    on_boundary: int = 0
    nearing_too_old: int = 0


def audit(ledger: Ledger, settings: Settings, options: AuditOptions, *, now: Instant) -> Audit:
    """Audit the ledger as it was known at an instant."""
    if not options.as_of:
        refuse_clock_set_back(ledger, now)
    _refuse_unknown(ledger, settings, options)
    grace = settings.invoicing.grace_period if options.grace_period is None else options.grace_period
    configured = options.grace_period is not None or settings.invoicing.grace_period_configured
    result = Audit(
        as_of=now,
        grace_period=grace // SECOND,
        deadline_source="configured" if configured else "default",
    )
    auditing = _Auditing(
        ledger=ledger,
        settings=settings,
        options=options,
        now=now,
        planner=Planner(ledger, settings, now, now),
        result=result,
        rehearsal=Rehearsal(lateness.seconds(now)),
    )
    with ledger.database.snapshot():
        for row in ledger.reports.usage_with_delivery(now):
            _take(auditing, row)
        _judge_waiting(auditing)
        result.entries = _in_scope(auditing)
        result.what_if = _what_if(auditing)
        _conclude(auditing)
    return result


def _refuse_unknown(ledger: Ledger, settings: Settings, options: AuditOptions) -> None:
    """Raise UsageError for a misspelt filter: it would leave nothing to judge, and that would be ok."""
    if options.customer is not None and not ledger.reports.knows_customer(options.customer):
        raise UsageError(f"the ledger has no usage of a customer {options.customer}")
    meters = sorted({meter.event_name for meter in settings.catalogue.meters} | ledger.reports.event_names())
    if options.meter is not None and options.meter not in meters:
        raise UsageError(
            f"there is no meter {options.meter}", hint=f"known are: {', '.join(meters) or 'none'}"
        )


def _take(auditing: _Auditing, row: Row) -> None:
    """Take one usage event into delays, rehearsal, and the entry of its period and meter."""
    options = auditing.options
    event_name = row["event_name"] or _meter_name(auditing, row["feature"])
    if not _is_asked_for(options, row["customer_id"], event_name):
        return
    if row["state"] in _OUT_OF_THE_AUDIT:
        auditing.result.left_out[row["state"]] += 1
        return
    condition = _condition(auditing, row)
    accepted_by = row["accepted_by"] if condition is Condition.ACCEPTED else None
    left_out = _left_out(row)
    if left_out:
        auditing.result.left_out[left_out] += 1
    else:
        arrived = row["recorded_at"] if row["received_at"] is None else row["received_at"]
        key = (row["source"], event_name)
        auditing.delays.setdefault(key, Delays()).add(row["event_time"], arrived, accepted_by)
        auditing.rehearsal.add(
            row["source"],
            lateness.seconds(row["event_time"]),
            None if accepted_by is None else lateness.seconds(accepted_by),
        )
    _note_clocks(auditing, row, condition)
    _enter(auditing, row, event_name, condition, counts_in_what_if=not left_out)


def _enter(
    auditing: _Auditing, row: Row, event_name: str | None, condition: Condition, *, counts_in_what_if: bool
) -> None:
    period = calendar_month(row["event_time"])
    quantity = Quantity(row["quantity"], row["scale"])
    entry = _entry(auditing, period, event_name, row["customer_id"])
    entry.unsettled = entry.unsettled or condition not in _SETTLED
    if condition is Condition.WAITING:
        group = (period, event_name, row["customer_id"], row["source"])
        auditing.waiting.setdefault(group, Amount()).add(1, quantity)
    else:
        first, last = (_seconds_or_none(row[key]) for key in ("accepted_from", "accepted_by"))
        where = lateness.landing(condition, _yardstick(auditing, period), first, last)
        entry.amounts[where].add(1, quantity)
    if counts_in_what_if and period.end <= auditing.now:
        known_by = row["accepted_by"] if condition is Condition.ACCEPTED else auditing.now
        late = lateness.seconds(known_by) - lateness.seconds(period.end)
        missed = sum(late > grace for grace in lateness.grace_periods_seconds()) if late > 0 else 0
        if missed:
            auditing.late.setdefault((period, event_name, missed), Amount()).add(1, quantity)


def _condition(auditing: _Auditing, row: Row) -> Condition:
    match row["state"]:
        case "accepted":
            return Condition.ACCEPTED
        case "already_billed":
            return Condition.ALREADY_BILLED
        case "sending" | "in_doubt":
            return Condition.UNKNOWN
        case "rejected":
            return Condition.HELD
        case "pending":
            return Condition.WAITING
    usage = UsageToSeal(
        usage_event=row["id"],
        source=row["source"],
        request_id="",
        customer_id=row["customer_id"],
        subscription_id=row["subscription_id"],
        feature=row["feature"],
        quantity=ZERO,
        event_time=row["event_time"],
        dimensions=None,
    )
    return Condition.HELD if auditing.planner.standing_of(usage) else Condition.WAITING


def _left_out(row: Row) -> str:
    """Name why a usage event says nothing about delays: nobody here sent it, or a bulk load comes late."""
    if row["state"] == Condition.ALREADY_BILLED:
        return "already_billed"
    if row["backfill"]:
        return "backfill"
    return "first_import" if row["first_of_source"] and row["received_at"] is None else ""


def _note_clocks(auditing: _Auditing, row: Row, condition: Condition) -> None:
    if row["event_time"] == calendar_month(row["event_time"]).start:
        auditing.on_boundary += 1
    age = auditing.now - row["event_time"]
    if condition not in _SETTLED and TOO_OLD_WARNING < age <= MAX_AGE:
        auditing.nearing_too_old += 1


def _judge_waiting(auditing: _Auditing) -> None:
    """Judge what waits to be sent, now that the delays of its source and meter are known."""
    expected = {key: delays.expected_delivery() for key, delays in auditing.delays.items()}
    for (period, event_name, customer_id, source), amount in auditing.waiting.items():
        yardstick = _yardstick(auditing, period, expected.get((source, event_name), 0))
        where = lateness.landing(Condition.WAITING, yardstick, None, None)
        entry = _entry(auditing, period, event_name, customer_id)
        entry.amounts[where].add(amount.events, amount.quantity)


def _in_scope(auditing: _Auditing) -> list[Entry]:
    """Keep the periods asked for, those still ahead of their deadline, and those with usage not accepted."""
    current = calendar_month(auditing.now)
    grace = auditing.result.grace_period * SECOND
    last_is_ahead = months_back(current, 1).deadline(grace) >= auditing.now
    first = months_back(current, auditing.options.periods + last_is_ahead)
    unsettled = {entry.period for entry in auditing.entries.values() if entry.unsettled}
    kept = [
        entry for entry in auditing.entries.values() if entry.period >= first or entry.period in unsettled
    ]
    merged = kept if auditing.options.by_customer else _merged(kept)
    return sorted(merged, key=lambda entry: (entry.period, entry.event_name or "", entry.customer_id or ""))


def _merged(entries: list[Entry]) -> list[Entry]:
    """Add the customers of a period and meter up."""
    merged: dict[tuple[BillingPeriod, str | None], Entry] = {}
    for entry in entries:
        whole = merged.setdefault(
            (entry.period, entry.event_name),
            Entry(period=entry.period, deadline=entry.deadline, event_name=entry.event_name),
        )
        whole.customers += entry.customers
        for where, amount in entry.amounts.items():
            whole.amounts[where].add(amount.events, amount.quantity)
    return list(merged.values())


def _what_if(auditing: _Auditing) -> list[WhatIf]:
    """Say for each grace period what it would have missed of the ended periods in scope."""
    result = auditing.result
    ended = {entry.period for entry in result.entries if entry.period.end <= auditing.now}
    meters = {entry.event_name for entry in result.entries if entry.period in ended}
    lines = []
    for index, grace in enumerate(lateness.grace_periods_seconds()):
        for event_name in sorted(meters, key=lambda name: name or ""):
            missed = Amount()
            for (period, name, missed_by), amount in auditing.late.items():
                if period in ended and name == event_name and missed_by > index:
                    missed.add(amount.events, amount.quantity)
            lines.append(WhatIf(grace_period=grace, event_name=event_name, missed=missed))
    return lines


def _conclude(auditing: _Auditing) -> None:
    result, settings, rehearsal = auditing.result, auditing.settings, auditing.rehearsal
    retry = settings.invoicing.retry_time // SECOND
    margin = settings.invoicing.safety_margin // SECOND
    result.recommended_grace_period = rehearsal.recommendation(retry, margin)
    result.rehearsed_lateness = rehearsal.largest_lateness
    result.deciding_sources = rehearsal.deciding_sources
    result.delays = list(_delay_lines(auditing))
    landings = {where for entry in result.entries for where, amount in entry.amounts.items() if amount.events}
    refused = list(_refused_findings(auditing))
    landings |= {where for _, where in refused}
    if Landing.MISSED in landings:
        result.verdict = "missed"
    elif Landing.AT_RISK in landings:
        result.verdict = "at_risk"
    result.findings = [finding for finding, _ in refused] + list(_findings(auditing))


def _delay_lines(auditing: _Auditing) -> Iterator[DelayLine]:
    for (source, event_name), delays in sorted(
        auditing.delays.items(), key=lambda item: (item[0][0], item[0][1] or "")
    ):
        kinds = (("import", delays.arrival), ("delivery", delays.delivery), ("ingestion", delays.ingestion))
        for kind, values in kinds:
            if summary := lateness.summarized(values):
                yield DelayLine(source=source, event_name=event_name, kind=kind, summary=summary)


def _refused_findings(auditing: _Auditing) -> Iterator[tuple[Finding, Landing]]:
    """Usage that was refused and is still open would count too, if it is mended in time."""
    refused: dict[tuple[str, Landing], int] = Counter()
    for row in auditing.ledger.reports.open_rejects_with_event_time(auditing.now):
        if not _is_asked_for(auditing.options, row["customer_id"], _meter_name(auditing, row["feature"])):
            continue
        deadline = calendar_month(row["event_time"]).deadline(auditing.result.grace_period * SECOND)
        where = Landing.AT_RISK if auditing.now <= deadline else Landing.MISSED
        refused[row["kind"], where] += 1
    for (kind, where), count in sorted(refused.items()):
        when = (
            "the deadline of their period is ahead" if where is Landing.AT_RISK else "their deadline is over"
        )
        yield (
            Finding(
                code=f"open_{kind}s",
                severity="warning" if where is Landing.AT_RISK else "error",
                message=f"{counted(count, kind)} open; {when}: see `meterledger rejects list`",
                details={"count": count, "landing": where.value},
            ),
            where,
        )


def _findings(auditing: _Auditing) -> Iterator[Finding]:
    if auditing.entries:
        yield from period_assumed(auditing.settings)
    if auditing.rehearsal.samples < lateness.MIN_SAMPLES:
        yield Finding(
            code="too_little_history",
            severity="info",
            message=f"{counted(auditing.rehearsal.samples, 'usage event')} to learn delays from; "
            f"under {lateness.MIN_SAMPLES} no grace period is recommended",
            details={"samples": auditing.rehearsal.samples},
        )
    if auditing.on_boundary:
        yield Finding(
            code="stamped_on_boundary",
            severity="info",
            message=f"{counted(auditing.on_boundary, 'usage event')} stamped on the first instant of a "
            "period: if that means the time before it, the invoice is the wrong one",
            details={"usage_events": auditing.on_boundary},
        )
    if auditing.nearing_too_old:
        yield Finding(
            code="nearing_too_old",
            severity="warning",
            message=f"{counted(auditing.nearing_too_old, 'usage event')} not sent and over 32 days old; "
            "Stripe refuses them at 35",
            details={"usage_events": auditing.nearing_too_old},
        )
    yield from _unknown_outcomes(auditing)
    yield from grace_findings(auditing.ledger, auditing.settings, auditing.now)


def _unknown_outcomes(auditing: _Auditing) -> Iterator[Finding]:
    oldest = auditing.ledger.reports.oldest_unknown_attempt(auditing.now)
    if oldest is None or not UNKNOWN_WARNING <= auditing.now - oldest < RESEND_HORIZON:
        return
    yield Finding(
        code="nearing_horizon",
        severity="warning",
        message=f"an attempt of {to_text(oldest)} has no known outcome; after 23 h it is not sent again: "
        "push now",
        details={"since": to_text(oldest)},
    )


def _yardstick(auditing: _Auditing, period: BillingPeriod, delivery_delay: int = 0) -> Yardstick:
    invoicing = auditing.settings.invoicing
    return Yardstick(
        deadline=lateness.seconds(period.end) + auditing.result.grace_period,
        now=lateness.seconds(auditing.now),
        safety_margin=invoicing.safety_margin // SECOND,
        retry_time=invoicing.retry_time // SECOND,
        delivery_delay=delivery_delay,
    )


def _entry(auditing: _Auditing, period: BillingPeriod, event_name: str | None, customer_id: str) -> Entry:
    key = (period, event_name, customer_id)
    entry = auditing.entries.get(key)
    if entry is None:
        deadline = period.deadline(auditing.result.grace_period * SECOND)
        entry = Entry(
            period=period, deadline=deadline, event_name=event_name, customer_id=customer_id, customers=1
        )
        auditing.entries[key] = entry
    return entry


def _is_asked_for(options: AuditOptions, customer_id: str | None, event_name: str | None) -> bool:
    return options.customer in (None, customer_id) and options.meter in (None, event_name)


def _meter_name(auditing: _Auditing, feature: str | None) -> str | None:
    meter = auditing.settings.catalogue.meter_of(feature) if feature else None
    return meter.event_name if meter else None


def _seconds_or_none(instant: Instant | None) -> int | None:
    return None if instant is None else lateness.seconds(instant)
