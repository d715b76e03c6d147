"""What a forecast answers, with the words for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from meterledger.config.duration import EXACT, duration_text, grace_text
from meterledger.domain.forecast import (
    MIN_BOUNDARIES,
    Change,
    ChangeKind,
    Closing,
    Forecast,
    Range,
    SourceForecast,
)
from meterledger.domain.instant import SECOND, to_datetime, to_text
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
    def closing(self) -> Closing:
        """The period and meter that it is of."""
        return self.forecast.closing

    @property
    def of_what(self) -> dict[str, str]:
        """What it is of, as findings say it."""
        return {"event_name": self.closing.event_name, "deadline": to_text(self.closing.deadline)}

    @property
    def rehearsed_on(self) -> str:
        """The days that it rests on: ``14 days``, or ``4 Mondays``."""
        weekday = f"{to_datetime(self.closing.period.end):%A}"
        return counted(self.forecast.boundaries, weekday if self.forecast.weekday_only else "day")

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


def forecast_findings(forecasts: Iterable[Forecasted], *, already: Sequence[Finding]) -> list[Finding]:
    """
    Return what a person should know of all forecasts, each said once, however many deadlines it holds for.

    Where customers have periods of their own there are thousands of forecasts.
    """
    ordered = sorted(forecasts, key=lambda one: (one.closing.event_name, one.closing.deadline))
    has_said = any(finding.code == TOO_LITTLE_HISTORY for finding in already)
    found = []
    for _, some in groupby(ordered, key=lambda one: one.closing.event_name):
        of_meter = list(some)
        if late := [one for one in of_meter if one.forecast.late and one.forecast.late.most.events]:
            found.append(_late(late))
        found += [
            _silent(one, to_text(source.silent_since), source.source)
            for one in of_meter
            for source in one.forecast.sources
            if source.silent_since is not None
        ]
        found += [_too_little(one) for one in of_meter if one.reason and not has_said]
    return list({(finding.code, finding.message): finding for finding in reversed(found)}.values())[::-1]


def _late(forecasts: Sequence[Forecasted]) -> Finding:
    """Say what would come late of one meter, for one deadline or for several."""
    known = [one.forecast.late for one in forecasts if one.forecast.late is not None]
    expected, least, most = (
        sum(getattr(late, which).events for late in known) for which in ("expected", "least", "most")
    )
    first, last = forecasts[0], forecasts[-1]
    deadline = to_text(first.closing.deadline)
    when = f"the deadline {deadline}, as on the {first.rehearsed_on} rehearsed"
    if first is not last:
        when = f"their deadlines, {len(forecasts):,} from {deadline} to {to_text(last.closing.deadline)}"
    return Finding(
        code="late_usage_expected",
        severity="warning",
        message=f"{counted(expected, 'usage event')} of {first.closing.event_name} ({least:,} to {most:,}) "
        f"would reach Stripe after {when}",
        details={**first.of_what, "deadlines": len(forecasts), "expected": expected, "most": most},
    )


def _silent(one: Forecasted, since: str, source: str) -> Finding:
    return Finding(
        code="source_silent",
        severity="warning",
        message=f"source {source} has brought nothing of {one.closing.event_name} since {since}, over "
        "twice its longest pause before: what it still owes is not in the forecast",
        details={**one.of_what, "source": source, "since": since},
    )


def _too_little(one: Forecasted) -> Finding:
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
        details={**one.of_what, "samples": forecast.samples, "boundaries": forecast.boundaries},
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
