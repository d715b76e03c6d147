"""Error reports in the ledger: what was read, how far, and what it did to meter events."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from meterledger.domain.delivery import State
from meterledger.domain.error_report import ErrorReport, ErrorSample, report_verdict
from meterledger.domain.instant import Instant
from meterledger.domain.meter_event import UsageToSeal
from meterledger.errors import LedgerError
from meterledger.ledger.database import Database, Row
from meterledger.ledger.lease import LeaseStore
from meterledger.ledger.meter_event_rows import to_usage
from meterledger.ledger.outbox import Outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How far Stripe's events were read, by Stripe's clock."""

    read_up_to: Instant | None = None
    """Everything created up to here was read, but for what an unfinished reading has left."""
    resume_before: Instant | None = None
    """Where an unfinished reading goes on: at what was created at or before it."""
    newest: Instant | None = None
    """The latest event of the unfinished reading: when it is complete, everything up to here was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What a retry let go of, in meter events, and what it kept because its import was taken back."""

    meter_events: int
    of_voided_imports: int


class ErrorReportStore:
    """Owns error reports, and what follows from them for meter events."""

    def __init__(self, database: Database, lease: LeaseStore, outbox: Outbox) -> None:
        self._database = database
        self._lease = lease
        self._outbox = outbox

    def reading(self) -> Reading:
        """Return how far events were read."""
        row = self._database.row("error_report_reading")
        if row is None:
            raise AssertionError("unreachable: the row was made with the table")
        return Reading(read_up_to=row["read_up_to"], resume_before=row["resume_before"], newest=row["newest"])

    def note_reading(self, reading: Reading, token: int, now: Instant) -> None:
        """Remember how far events were read."""
        with self._database.transaction():
            self._lease.renew(token, now)
            self._database.run(
                "note_error_report_reading",
                read_up_to=reading.read_up_to,
                resume_before=reading.resume_before,
                newest=reading.newest,
            )

    def unseen(self, reports: Sequence[ErrorReport]) -> list[ErrorReport]:
        """Return those that were not taken in yet."""
        return [
            one for one in reports if self._database.row("has_error_report", event_id=one.event_id) is None
        ]

    def take_in(
        self, reports: Sequence[ErrorReport], meter_names: Mapping[str, str], token: int, now: Instant
    ) -> Counter[State]:
        """
        Keep reports and settle the meter events they name, in one transaction; seen ones change nothing.

        Returns how many meter events came into which state.
        """
        settled: Counter[State] = Counter()
        with self._database.transaction():
            self._lease.renew(token, now)
            for report in reports:
                self._take_in(report, meter_names, now, settled)
        return settled

    def reported_since(self, since: Instant, limit: int) -> list[Row]:
        """Return the latest reports by code, with what they name and what not, the newest first."""
        return self._database.rows("error_reports_since", since=since, limit=limit)

    def count_unknown_rejected(self, since: Instant, as_of: Instant) -> tuple[int, int]:
        """Return how many errors reports of a time count and do not name, and in how many reports."""
        row = self._database.row("count_unknown_rejected", since=since, as_of=as_of)
        return (row["events"], row["reports"]) if row else (0, 0)

    def of_meter_event(self, meter_event: int) -> list[Row]:
        """Return the reports that name a meter event."""
        return self._database.rows("error_reports_of_meter_event", meter_event=meter_event)

    def retry_rejected(self, codes: Sequence[str], token: int, now: Instant) -> Retried:
        """Let go of the usage of rejected meter events, of all or of these codes, in one transaction."""
        with self._database.transaction():
            self._lease.renew(token, now)
            kept = sum(
                self._database.rows("count_rejected_of_voided", **choice)[0]["count"]
                for choice in _choices(codes)
            )
            retried = sum(
                self._database.run("retry_rejected", **choice, now=now) for choice in _choices(codes)
            )
            if retried:
                self._database.run("unlink_retried", now=now)
        return Retried(meter_events=retried, of_voided_imports=kept)

    def usage_of_rejected(self, codes: Sequence[str], *, with_voided: bool = False) -> list[UsageToSeal]:
        """Return what a retry would seal again, under the revision that it would get."""
        return [
            to_usage(row)
            for choice in _choices(codes)
            for row in self._database.rows("usage_of_rejected", **choice, with_voided=int(with_voided))
        ]

    def rejected(
        self, codes: Sequence[str] = (), *, with_voided: bool = False
    ) -> dict[int, list[UsageToSeal]]:
        """
        Return each rejected meter event with the usage that it carries.

        Those that a retry would let go of; with ``with_voided`` also those of imports that were taken back.
        """
        carriers = {row["usage_event"]: row["id"] for row in self._database.rows("carriers_of_rejected")}
        found: dict[int, list[UsageToSeal]] = {}
        for usage in self.usage_of_rejected(codes, with_voided=with_voided):
            found.setdefault(carriers[usage.usage_event], []).append(usage)
        return found

    def _take_in(
        self, report: ErrorReport, meter_names: Mapping[str, str], now: Instant, settled: Counter[State]
    ) -> None:
        found = {
            sample.name: self._named(sample.name) for errors in report.errors for sample in errors.samples
        }
        row = self._database.row(
            "add_error_report",
            event_id=report.event_id,
            type=report.type,
            created=report.created,
            meter_id=report.meter_id,
            event_name=_event_name(report, meter_names, found.values()),
            validation_start=report.validation_start,
            validation_end=report.validation_end,
            recorded_at=now,
        )
        if row is None:
            return  # taken in before
        for errors in report.errors:
            self._database.run(
                "add_error_report_code", report=row["id"], code=errors.code, error_count=errors.error_count
            )
            for sample in errors.samples:
                event = found[sample.name]
                self._database.run(
                    "add_error_report_sample",
                    report=row["id"],
                    code=errors.code,
                    name=sample.name,
                    message=sample.message,
                    meter_event=event["id"] if event else None,
                )
                state = self._settle(event["id"], errors.code, sample, report, now) if event else None
                if state is not None:
                    settled[state] += 1

    def _named(self, name: str) -> Row | None:
        """Return the one meter event that a sample names; a key that several share names none."""
        rows = self._database.rows("meter_events_named", name=name, stem=name.rpartition(":")[0])
        exact = [row for row in rows if row["identifier"] == name]
        if exact:
            return exact[0]
        return rows[0] if len(rows) == 1 else None

    def _settle(
        self, meter_event: int, code: str, sample: ErrorSample, report: ErrorReport, now: Instant
    ) -> State | None:
        """Bring a meter event into the state that a report means; None if nothing changes."""
        event = self._database.row("state_of_meter_event", meter_event=meter_event)
        if event is None:
            raise AssertionError("unreachable: meter events are never deleted")
        was = State(event["state"])
        attempts = self._outbox.attempts_of(meter_event)
        verdict = report_verdict(was, attempts, code, sample.message, report.validation_end)
        if verdict is None:
            return None
        changed = self._database.run(
            "set_state_by_report",
            meter_event=meter_event,
            was=was,
            attempts=event["attempts"],
            state=verdict.state,
            now=now,
            in_doubt_reason=verdict.in_doubt_reason,
            rejection_code=verdict.rejection_code,
            rejection_message=verdict.rejection_message,
        )
        if changed != 1:
            raise LedgerError(
                "a meter event that a report names is being sent by another push",
                hint="look at `meterledger status`, and run the same command again",
            )
        if verdict.state is State.REJECTED:
            self._database.run("settle_attempts", meter_event=meter_event, settled_at=now)
        return verdict.state


def _event_name(
    report: ErrorReport, meter_names: Mapping[str, str], found: Iterable[Row | None]
) -> str | None:
    """Return whose report it is: by the account's meters, else by what it names of ours, if that agrees."""
    known = meter_names.get(report.meter_id or "")
    if known is not None:
        return known
    names = {row["event_name"] for row in found if row}
    return names.pop() if len(names) == 1 else None


def _choices(codes: Sequence[str]) -> list[dict[str, object]]:
    """Return the arguments that choose rejected meter events: once for all, or once for each code."""
    if not codes:
        return [{"every_code": 1, "code": ""}]
    return [{"every_code": 0, "code": code} for code in dict.fromkeys(codes)]
