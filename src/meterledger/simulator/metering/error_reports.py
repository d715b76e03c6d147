"""
Asynchronous error reports: what was wrong with events that had already been taken.

Failures are collected by meter and by windows of ten seconds. Soon after a window has ended, its report is
published as an event of `/v2/core/events`, with a few samples only, as Stripe's are.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from meterledger.simulator.instants import format_milliseconds
from meterledger.simulator.state.book import Book, Journal
from meterledger.simulator.state.core_events import CoreEventLog, RelatedObject
from meterledger.simulator.state.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_SECONDS = 10
PUBLISHED_AFTER_SECONDS = 2  # a window's end
ERROR_REPORT = "error_report"
"""What the timeline calls the publishing of a report."""

_TRIGGERED = "v1.billing.meter.error_report_triggered"
_NO_METER_FOUND = "v1.billing.meter.no_meter_found"


class ReportTerms(NamedTuple):
    """How the reports of one window are published: so many seconds late, with so many samples at most."""

    delay_seconds: float = 0.0
    samples: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One event that failed."""

    message: str
    identifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """How often one error occurred in a window, and its first events."""

    count: int = 0
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReport:
    """
    A window's failures on one meter that are not published yet.

    Attributes:
        id: Its window and its meter.
        meter: The meter's id; None for events to a meter that does not exist.
        window_start: Seconds since the epoch.
        failures: By the error's code.
    """

    id: str
    meter: str | None
    window_start: int
    failures: dict[str, Failures]


class ErrorReports:
    """
    The failures of one account that wait to be reported.

    Args:
        events: Where reports are published.
        timeline: Knows when.
        journal: Hears of every change.
        max_samples: Of one error in one report.
    """

    KIND = "open_report"

    def __init__(
        self, events: CoreEventLog, timeline: Timeline, journal: Journal, *, max_samples: int
    ) -> None:
        self._events = events
        self._timeline = timeline
        self._max_samples = max_samples
        self._book = Book(OpenReport, self.KIND, "error report", journal)
        self.terms: Callable[[int], ReportTerms] = lambda _: ReportTerms()
        """How the reports of the window that starts at an instant (epoch seconds) are published."""

    def note(self, meter: str | None, code: str, sample: Sample, now: float) -> None:
        """
        Collect a failure.

        Args:
            meter: The id of the event's meter; None where there is none.
            code: The error's.
            sample: The event that failed.
            now: When that was found, in epoch seconds.
        """
        window_start = int(now) // WINDOW_SECONDS * WINDOW_SECONDS
        report_id = f"{window_start}:{meter or ''}"
        report = self._book.find(report_id)
        if report is None:
            report = OpenReport(id=report_id, meter=meter, window_start=window_start, failures={})
            self._plan(report)
        known = report.failures.get(code, Failures())
        samples = known.samples
        if len(samples) < self._max_samples:
            samples = (*samples, sample)
        counted = Failures(count=known.count + 1, samples=samples)
        self._book.put(replace(report, failures=report.failures | {code: counted}))

    def publish(self, report_id: str, due: float) -> None:
        """Publish a report at the instant it was planned for (epoch seconds), or later where it is late."""
        report = self._book.find(report_id)
        if report is None:
            return
        terms = self.terms(report.window_start)
        late = self._due(report)
        if due < late:
            self._timeline.plan(late, ERROR_REPORT, report_id)
            return
        self._book.drop(report_id)
        related = None if report.meter is None else related_meter(report.meter)
        event_type = _NO_METER_FOUND if report.meter is None else _TRIGGERED
        self._events.record(event_type, related, _data(report, terms.samples), due)

    def dues(self) -> list[float]:
        """Return when each open report comes, in epoch seconds."""
        return [self._due(report) for report in self._book]

    def restore(self, key: str, document: bytes) -> None:
        """Take in an open report of a state file."""
        self._book.restore(key, document)
        self._plan(self._book.get(key))

    def _due(self, report: OpenReport) -> float:
        return _published_at(report) + self.terms(report.window_start).delay_seconds

    def _plan(self, report: OpenReport) -> None:
        self._timeline.plan(_published_at(report), ERROR_REPORT, report.id)


def related_meter(meter_id: str) -> RelatedObject:
    """Return a meter as what an event is about."""
    return RelatedObject(id=meter_id, type="billing.meter", url=f"/v1/billing/meters/{meter_id}")


def _published_at(report: OpenReport) -> float:
    return float(report.window_start + WINDOW_SECONDS + PUBLISHED_AFTER_SECONDS)


def _data(report: OpenReport, max_samples: int | None) -> dict[str, object]:
    count = sum(failures.count for failures in report.failures.values())
    summary = "There is 1 invalid event" if count == 1 else f"There are {count} invalid events"
    return {
        "developer_message_summary": summary,
        "validation_start": format_milliseconds(report.window_start),
        "validation_end": format_milliseconds(report.window_start + WINDOW_SECONDS),
        "reason": {
            "error_count": count,
            "error_types": [
                {
                    "code": code,
                    "error_count": failures.count,
                    "sample_errors": [
                        {"error_message": sample.message, "request": {"identifier": sample.identifier}}
                        for sample in failures.samples[:max_samples]
                    ],
                }
                for code, failures in report.failures.items()
            ],
        },
    }
