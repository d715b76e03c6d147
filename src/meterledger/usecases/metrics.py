"""Metrics: what a push or a worker tells a monitoring system, as a text file that collectors read."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from meterledger.config import Settings
from meterledger.domain.blocking import BlockReason
from meterledger.domain.delivery import State
from meterledger.domain.instant import SECOND, Instant
from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.own_files import is_own_file
from meterledger.usecases.planning import Planner
from meterledger.usecases.push import PushReport, sum_up

_MODE = 0o644
"""Collectors run under a user of their own; the file holds counts and the ledger's path, and no customers."""

_LAST_SUCCESS = "last_success_timestamp_seconds"
_BEGINNING = b"# HELP meterledger_"
"""How a file of ours begins; no other content is ever replaced."""
_MAX_BYTES = 1024 * 1024

_Samples = Iterable[tuple[dict[str, str], float]]


@dataclass(slots=True, kw_only=True)
class Figures:
    """What is told. Totals are of this process; instants in microseconds."""

    up: bool = False
    """Whether the last round came to its end, and the next one will come."""
    at: Instant = 0
    last_success_at: Instant | None = None
    """When a round last came to its end, with or without anything to send."""
    last_round_seconds: float = 0.0
    meter_events: dict[str, int] = field(default_factory=dict)
    unsealed: int = 0
    pending: int = 0
    blocked: dict[BlockReason, int] = field(default_factory=dict)
    oldest_pending_event_time: Instant | None = None
    sealed: int = 0
    accepted: int = 0
    rejected: int = 0
    rejected_later: int = 0
    error_reports: int = 0
    requests: int = 0
    rounds: int = 0
    failed_rounds: int = 0

    def take_in(self, report: PushReport) -> None:
        """Take over what is open in the ledger at the end of a round."""
        self.meter_events |= report.open_meter_events
        self.unsealed, self.pending, self.blocked = report.unsealed, report.pending, report.blocked
        self.oldest_pending_event_time = report.oldest_pending_event_time

    def count(self, report: PushReport, *, failed: bool) -> None:
        """Count a round."""
        self.sealed += report.tally.sealed
        self.accepted += report.tally.accepted
        self.rejected += report.tally.rejected
        self.rejected_later += report.reported[State.REJECTED]
        self.error_reports += report.new_reports
        self.rounds += 1
        self.failed_rounds += failed


def figures_of(ledger: Ledger, settings: Settings, now: Instant) -> Figures:
    """Return what is open in a ledger, before or without a round."""
    figures, report = Figures(at=now), PushReport()
    sum_up(Planner(ledger, settings, now), now, report)
    figures.take_in(report)
    figures.meter_events = ledger.outbox.counts()
    return figures


@dataclass(frozen=True, slots=True)
class MetricsFile:
    """The file of one ledger; it is replaced whole each time."""

    path: Path
    ledger: Path

    def last_success(self) -> Instant | None:
        """Return when a round last came to its end by the file that is there; None if it does not say."""
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                content = file.read(_MAX_BYTES)
        except OSError:
            return None
        found = re.search(rf"^meterledger_{_LAST_SUCCESS}\{{.*\}} (\d{{9,11}})\b", content, re.MULTILINE)
        return int(found[1]) * SECOND if found else None

    def refuse_unwritable(self) -> None:
        """Raise UsageError if the file cannot be written where it is to stand."""
        folder = self.path.parent
        if self.path == Path("-"):
            raise UsageError(
                "metrics are replaced with each round, and do not go to standard output",
                hint="name a file, such as --metrics-file meterledger.prom",
            )
        if self.path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UsageError(
                f"the metrics file {self.path} cannot be written",
                hint="name a file in a folder that exists and can be written",
            )
        if is_own_file(self.path, self.ledger) or not self._may_be_replaced():
            raise UsageError(
                f"{self.path} is no metrics file, and would be replaced by one",
                hint="name another file, one that ends in .prom",
            )

    def _may_be_replaced(self) -> bool:
        """Tell whether there is nothing, or a file that is empty or as we write it."""
        if not self.path.exists():
            return True
        if not self.path.is_file():
            return False
        try:
            with self.path.open("rb") as file:
                return file.read(len(_BEGINNING)) in (b"", _BEGINNING)
        except OSError:
            return False

    def write(self, figures: Figures) -> None:
        """Replace the file; UsageError if that fails."""
        unfinished: str | None = None
        try:
            # Collectors read *.prom: the unfinished file has another ending.
            handle, unfinished = tempfile.mkstemp(prefix=f".{self.path.name}-", dir=self.path.parent)
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                os.fchmod(handle, _MODE)
                file.write(exposition(figures, os.fspath(self.ledger.absolute())))
            os.replace(unfinished, self.path)  # noqa: PTH105 # as mkstemp names it
        except OSError as error:
            if unfinished:
                with contextlib.suppress(OSError):
                    os.unlink(unfinished)  # noqa: PTH108 # as above
            raise UsageError(
                f"the metrics file {self.path} cannot be written: {error.strerror}",
                hint="name a file in a folder that exists and can be written",
            ) from error


def exposition(figures: Figures, ledger: str) -> str:
    """Return the figures in Prometheus' text format; each series carries the ledger's path as a label."""
    return "".join(
        line
        for name, kind, help_, samples in _families(figures)
        for line in (
            f"# HELP {name} {help_}\n",
            f"# TYPE {name} {kind}\n",
            *(f"{name}{{{_labels({'ledger': ledger, **own})}}} {_number(value)}\n" for own, value in samples),
        )
    )


def _families(figures: Figures) -> Iterator[tuple[str, str, str, _Samples]]:
    oldest = figures.oldest_pending_event_time
    age = 0.0 if oldest is None else max(0, figures.at - oldest) / SECOND
    states = [({"state": state.value}, figures.meter_events.get(state.value, 0)) for state in State]
    blocked = [({"reason": reason.value}, figures.blocked.get(reason, 0)) for reason in BlockReason]
    gauges: tuple[tuple[str, str, float | _Samples], ...] = (
        ("up", "1 if the last round came to its end and the worker goes on, else 0.", figures.up),
        ("heartbeat_timestamp_seconds", "When this file was written.", figures.at / SECOND),
        (
            _LAST_SUCCESS,
            "When a round last came to its end, with or without anything to send; 0 if none did.",
            (figures.last_success_at or 0) / SECOND,
        ),
        ("last_round_duration_seconds", "How long the last round took.", figures.last_round_seconds),
        ("meter_events", "Meter events in the ledger by state.", states),
        ("unsealed_usage_events", "Usage events neither sealed nor blocked.", figures.unsealed),
        ("pending", "What is still to be sent: pending, sending and unsealed.", figures.pending),
        ("blocked_usage_events", "Blocked usage events by reason.", blocked),
        ("oldest_pending_event_age_seconds", "Age of the oldest usage still to be sent.", age),
    )
    counters = (
        ("sealed", "Meter events sealed.", figures.sealed),
        ("accepted", "Meter events that Stripe accepted.", figures.accepted),
        ("rejected", "Meter events that Stripe rejected at once.", figures.rejected),
        ("rejected_later", "Meter events that error reports turned rejected.", figures.rejected_later),
        ("error_reports", "Error reports read that were not known before.", figures.error_reports),
        ("requests", "Requests to Stripe.", figures.requests),
        ("rounds", "Rounds: looks that found a change, or were due.", figures.rounds),
        ("failed_rounds", "Rounds that did not come to their end.", figures.failed_rounds),
    )
    for name, help_, value in gauges:
        samples = [({}, float(value))] if isinstance(value, int | float) else value
        yield f"meterledger_{name}", "gauge", help_, samples
    for name, help_, count in counters:
        yield f"meterledger_{name}_total", "counter", f"{help_} Since this process began.", [({}, count)]


def _labels(labels: dict[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
