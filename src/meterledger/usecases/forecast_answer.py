"""What a forecast answers, with the words for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from meterledger.config.duration import EXACT, duration_text, grace_text
from meterledger.domain.forecast import (
    MIN_BOUNDARIES,
    Change,
    ChangeKind,
    Forecast,
    Range,
    SourceForecast,
)
from meterledger.domain.instant import SECOND, to_text
from meterledger.domain.lateness import MIN_SAMPLES
from meterledger.domain.push_schedule import PushSchedule
from meterledger.usecases.audit_answer import Amount
from meterledger.usecases.findings import Finding, counted

TOO_LITTLE_HISTORY = "too_little_history"
"""Why there is no forecast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasted:
    """A forecast with the schedule it rests on, and what waits in the ledger for the same invoice."""

    forecast: Forecast
    schedule: PushSchedule
    open: Amount = field(default_factory=Amount)
    at_risk: Amount = field(default_factory=Amount)

    @property
    def sending_seconds(self) -> int:
        """How long it takes to send what waits, at the pace that Stripe allows."""
        waiting = self.open.events + self.at_risk.events
        return self.schedule.seconds_to_send(waiting) if waiting else 0

    @property
    def reason(self) -> str | None:
        """Why nothing is forecast, of all sources or of some."""
        is_known = self.forecast.late is not None and not self.forecast.unknown_sources
        return None if is_known else TOO_LITTLE_HISTORY

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        forecast, closing, late = self.forecast, self.forecast.closing, self.forecast.late
        return {
            "start": to_text(closing.period.start),
            "end": to_text(closing.period.end),
            "deadline": to_text(closing.deadline),
            "event_name": closing.event_name,
            "push_every_seconds": self.schedule.every // SECOND,
            "push_schedule": self.schedule.basis.value,
            **_range(late),
            "sources": [_source(one) for one in forecast.sources],
            "basis": {
                "boundaries": forecast.boundaries,
                "weekday_only": forecast.weekday_only,
                "samples": forecast.samples,
                "reason": self.reason,
                "sources_without": forecast.unknown_sources,
            },
            "backlog": {
                "open": {"events": self.open.events, "quantity": str(self.open.quantity)},
                "at_risk": {"events": self.at_risk.events, "quantity": str(self.at_risk.quantity)},
                "sending_seconds": self.sending_seconds,
            },
            "changes": [
                {
                    "change": one.kind.value,
                    "source": one.source,
                    "seconds": one.seconds,
                    "message": self.words(one),
                }
                for one in forecast.changes
            ],
        }

    def words(self, change: Change) -> str:
        """Say in a line what a change would do."""
        seconds = change.seconds
        now = grace_text(self.forecast.closing.grace_period)
        every = duration_text(self.schedule.every)
        match change.kind:
            case ChangeKind.GRACE_PERIOD if seconds is None:
                return "no grace period up to 72h would be long enough"
            case ChangeKind.GRACE_PERIOD:
                return f"a grace period of {_hours(seconds)} in place of {now} would do"
            case ChangeKind.PUSH_EVERY:
                return f"a push every {duration_text((seconds or 0) * SECOND)} in place of {every} would do"
            case ChangeKind.DELIVER_EARLIER if seconds is None:
                return (
                    f"no delivery of source {change.source} is early enough: some of its usage happens after "
                    "the last push before the deadline"
                )
            case ChangeKind.DELIVER_EARLIER:
                earlier = duration_text((seconds or 0) * SECOND, units=EXACT)
                return f"source {change.source} would have to deliver {earlier} earlier"

    def findings(self) -> list[Finding]:
        """Return what a person should know of it."""
        forecast, late = self.forecast, self.forecast.late
        closing, found = forecast.closing, []
        of_what = {"event_name": closing.event_name, "deadline": to_text(closing.deadline)}
        if late is not None and late.most.events:
            found.append(
                Finding(
                    code="late_usage_expected",
                    severity="warning",
                    message=f"{counted(late.expected.events, 'usage event')} of {closing.event_name} "
                    f"({late.least.events:,} to {late.most.events:,}) would reach Stripe after the deadline "
                    f"{to_text(closing.deadline)}, as on the {counted(forecast.boundaries, 'day')} rehearsed",
                    details={**of_what, "expected": late.expected.events, "most": late.most.events},
                )
            )
        found += [
            _silent(one, to_text(one.silent_since), of_what)
            for one in forecast.sources
            if one.silent_since is not None
        ]
        if self.reason:
            found.append(_too_little(self, of_what))
        return found


def forecast_findings(forecasts: Iterable[Forecasted], *, already: Sequence[Finding]) -> list[Finding]:
    """Return the findings of all forecasts; that there is too little history is said once."""
    has_said = any(finding.code == TOO_LITTLE_HISTORY for finding in already)
    found = [finding for one in forecasts for finding in one.findings()]
    return [finding for finding in found if not has_said or finding.code != TOO_LITTLE_HISTORY]


def _silent(one: SourceForecast, since: str, of_what: dict[str, str]) -> Finding:
    return Finding(
        code="source_silent",
        severity="warning",
        message=f"source {one.source} has brought nothing of {of_what['event_name']} since {since}, over "
        "twice its longest pause before: what it still owes is not in the forecast",
        details={**of_what, "source": one.source, "since": since},
    )


def _too_little(one: Forecasted, of_what: dict[str, str]) -> Finding:
    forecast = one.forecast
    without = ", ".join(forecast.unknown_sources)
    what = f"left out of the forecast of {forecast.closing.event_name}: source {without}"
    if forecast.late is None:
        what = f"nothing is forecast for {forecast.closing.event_name}"
    return Finding(
        code=TOO_LITTLE_HISTORY,
        severity="info",
        message=f"{what}; that takes {MIN_SAMPLES} usage events of a source and {MIN_BOUNDARIES} day's ends "
        "that are fully known",
        details={**of_what, "samples": forecast.samples, "boundaries": forecast.boundaries},
    )


def _hours(seconds: int | None) -> str:
    return f"{(seconds or 0) // 3600}h"


def _range(late: Range | None) -> dict[str, Any]:
    if late is None:
        return dict.fromkeys(("expected", "least", "most"))
    return {
        key: {"events": one.events, "quantity": str(one.quantity)}
        for key, one in (("expected", late.expected), ("least", late.least), ("most", late.most))
    }


def _source(one: SourceForecast) -> dict[str, Any]:
    return {
        "source": one.source,
        **_range(one.late),
        "samples": one.samples,
        "boundaries": one.boundaries,
        "weekday_only": one.weekday_only,
        "longest_lateness_seconds": -(-one.longest_lateness // SECOND),
        "silent_since": None if one.silent_since is None else to_text(one.silent_since),
    }
