"""Void an import: take it back as far as it is unsent, and list what has been sent."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from meterledger.domain.correction import Remedy, correction_of
from meterledger.domain.delivery import State
from meterledger.domain.instant import Instant
from meterledger.domain.quantity import decimal_text
from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.closures import Closed
from meterledger.ledger.database import Row
from meterledger.usecases.door import lease_held
from meterledger.usecases.planning import refuse_clock_set_back


@dataclass(frozen=True, slots=True, kw_only=True)
class SentUsage:
    """Usage that was sent or may have been, with what a correction would need; timestamp in seconds."""

    request_id: str
    line: int
    identifier: str
    event_name: str
    stripe_customer_id: str
    value: str
    timestamp: int
    state: State
    accepted_at: Instant | None
    cancel_until: Instant | None
    remedy: Remedy


@dataclass(slots=True, kw_only=True)
class VoidReport:
    """What taking an import back does, or would do; counts of usage events but for three."""

    id: int
    file: str
    source: str
    voided: int = 0
    """Closed now; of them ``already_billed`` were closed as that before."""
    already_billed: int = 0
    dissolved: int = 0
    """Meter events that Stripe has not taken, and that are taken back."""
    voided_before: int = 0
    written_off: int = 0
    """Left as they are."""
    rejects_dismissed: int = 0
    """Refused rows, by this run; a dry run does not count them."""
    rejects_opened: int = 0
    """Refused rows that had been accepted as usage which is voided now; a dry run does not count them."""
    corrections: list[SentUsage] = field(default_factory=list)


def void_import(
    ledger: Ledger,
    number: int,
    *,
    note: str,
    clock: Callable[[], Instant],
    dry_run: bool = False,
) -> VoidReport:
    """
    Take an import back in one transaction: what Stripe has not got is closed, and its keys are free.

    Raises:
        UsageError: There is no such import.
        LedgerError: A push is at work, or the clock was set back.
    """
    refuse_clock_set_back(ledger, clock())
    if dry_run:
        with ledger.database.snapshot():
            return _foreseen(ledger, _import(ledger, number), clock())
    with lease_held(ledger, clock) as token, ledger.database.transaction():
        row, now = _import(ledger, number), clock()
        done = ledger.closures.void(number, note, token, now)
        report = _report(row, done.before)
        report.voided = done.unsealed + done.already_billed
        report.already_billed, report.dissolved = done.already_billed, done.dissolved
        report.rejects_dismissed, report.rejects_opened = done.rejects_dismissed, done.rejects_opened
        if done.before.keys() & set(State):
            report.corrections = list(_corrections(ledger.closures.sealed(number), now))
        return report


def _import(ledger: Ledger, number: int) -> Row:
    row = ledger.reports.import_by_number(number)
    if row is None:
        raise UsageError(
            f"there is no import {number}", hint="`meterledger imports list` shows their numbers"
        )
    return row


def _report(row: Row, before: dict[str, int]) -> VoidReport:
    return VoidReport(
        id=row["id"],
        file=row["file"],
        source=row["source"],
        voided_before=before.get(Closed.VOIDED, 0),
        written_off=before.get(Closed.WRITTEN_OFF, 0),
    )


def _foreseen(ledger: Ledger, row: Row, now: Instant) -> VoidReport:
    """Say what taking it back would do."""
    states = ledger.closures.usage_by_state(row["id"])
    pending = ledger.closures.pending(row["id"])
    report = _report(row, states)
    report.dissolved = len(pending)
    report.already_billed = states.get(Closed.ALREADY_BILLED, 0)
    report.voided = states.get("unsealed", 0) + report.already_billed + sum(map(len, pending.values()))
    stays = (sealed for sealed in ledger.closures.sealed(row["id"]) if sealed["id"] not in pending)
    report.corrections = list(_corrections(stays, now))
    return report


def _corrections(sealed: Iterator[Row], now: Instant) -> Iterator[SentUsage]:
    for row in sealed:
        state = State(row["state"])
        correction = correction_of(state, row["accepted_from"], now, usage_events=row["usage_events"])
        yield SentUsage(
            request_id=row["request_id"],
            line=row["line"],
            identifier=row["identifier"],
            event_name=row["event_name"],
            stripe_customer_id=row["stripe_customer_id"],
            value=decimal_text(row["quantity"], row["scale"]),
            timestamp=row["timestamp"],
            state=state,
            accepted_at=row["accepted_at"],
            cancel_until=correction.cancel_until,
            remedy=correction.remedy,
        )
