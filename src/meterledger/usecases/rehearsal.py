"""
The rehearsal before the first cycle: the audit's answer from usage files alone, without ledger and key.

Every row counts as if it had gone to Stripe with the first push after its arrival, and every UTC midnight
as a month's end. Nothing is written.
"""

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field

from meterledger.config import Settings
from meterledger.domain.billing_period import calendar_month
from meterledger.domain.forecast import Closing, LateUsage, SourceHistory, forecast
from meterledger.domain.instant import DAY, MINUTE, SECOND, Instant
from meterledger.domain.lateness import (
    HISTORY_DAYS,
    MIN_SAMPLES,
    Distribution,
    Rehearsal,
    grace_periods_seconds,
)
from meterledger.domain.push_schedule import ASSUMED_PUSH_EVERY, PushSchedule, ScheduleBasis
from meterledger.domain.quantity import Quantity
from meterledger.domain.row_rules import RowRules
from meterledger.domain.usage import UsageEvent
from meterledger.errors import InputError
from meterledger.readers import InputFile, expand_names, open_input
from meterledger.usecases.audit_answer import Amount, Audit, DelayLine, WhatIf
from meterledger.usecases.findings import Finding, counted
from meterledger.usecases.forecast_answer import TOO_LITTLE_HISTORY, Forecasted, forecast_findings
from meterledger.usecases.mapping_hint import in_words_of_preset, mapping_hint
from meterledger.usecases.parsing import parsed_chunks
from meterledger.usecases.rehearsal_answer import Arrival, RehearsalOptions, Rehearsed

_GRACES = grace_periods_seconds()
_CLOCKS_APART = 5 * MINUTE
"""What arrived longer before its use did not arrive then: an archive may set the times of its files."""


@dataclass(slots=True)
class _DayEnd:
    """What of one meter and one day reached Stripe after the end of it, on one day."""

    last_reached: Instant = 0
    late: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)] * (len(_GRACES) + 1))
    """Usage events and units at the meter's scale, by how many of the grace periods are too short for it."""


@dataclass(slots=True, kw_only=True)
class _OfMeter:
    """What the files have of one meter; instants in microseconds."""

    scale: int
    delays: "array[int]" = field(default_factory=lambda: array("q"))
    arrivals: "array[int]" = field(default_factory=lambda: array("q"))
    late: LateUsage
    last_reached: Instant = 0
    day_ends: dict[tuple[Instant, Instant], _DayEnd] = field(default_factory=dict)
    """By the day's end after the usage, and the last one before it reached Stripe."""

    def note(self, event: UsageEvent, arrival: Instant, reached: Instant) -> None:
        """Note a usage event."""
        self.delays.append(arrival - event.event_time)
        self.arrivals.append(arrival)
        self.last_reached = max(self.last_reached, reached)
        self.late.note(event.event_time, arrival, event.units, event.scale)
        boundary = (event.event_time // DAY + 1) * DAY
        if boundary > reached:
            return
        day_end = self.day_ends.setdefault((boundary, reached // DAY * DAY), _DayEnd())
        day_end.last_reached = max(day_end.last_reached, reached)
        too_short = bisect_left(_GRACES, (reached - boundary) // SECOND)
        events, units = day_end.late[too_short]
        day_end.late[too_short] = (events + 1, units + event.units)

    def history(self) -> SourceHistory:
        """Return when its usage arrived."""
        history = SourceHistory()
        for arrival in sorted(self.arrivals):
            history.note(arrival, arrival)
        return history

    def since(self, now: Instant) -> list[tuple[Instant, _DayEnd]]:
        """
        Return what came after a day's end of the history before an instant, with the first such end.

        What is older than the history and came within it is late to every day's end of it.
        """
        first = -(-(now - HISTORY_DAYS * DAY) // DAY) * DAY
        return [
            (max(boundary, first), one) for (boundary, last), one in self.day_ends.items() if last >= first
        ]

    def lateness(self, now: Instant) -> int:
        """Return the largest lateness at any day's end of the history, in seconds."""
        return max(((one.last_reached - end) // SECOND for end, one in self.since(now)), default=0)


@dataclass(slots=True, kw_only=True)
class _Reading:
    settings: Settings
    options: RehearsalOptions
    schedule: PushSchedule
    result: Rehearsed
    meters: dict[str, _OfMeter] = field(default_factory=dict)
    _keys: set[int] = field(default_factory=set)
    _modified: set[int] = field(default_factory=set)

    def read(self) -> None:
        """Read every file; those that cannot be read are kept as failed, the others count."""
        names = expand_names(self.options.files)
        self.result.failed += names.failed
        for name in names.files:
            try:
                with open_input(name, delimiter=self.options.source.delimiter) as file:
                    self._read_file(file)
            except InputError as error:
                self.result.failed.append(in_words_of_preset(error, self.options.source))

    @property
    def has_one_mtime(self) -> bool:
        """Tell whether all files were changed in the same second: copied, most likely."""
        return len(self._modified) == 1

    def _read_file(self, file: InputFile) -> None:
        result, modified_at = self.result, None
        if self.options.arrival is Arrival.MTIME:
            if file.modified_ns is None:
                raise InputError(
                    f"{file.name} has no time of modification", hint="name a file, or leave --arrival out"
                )
            modified_at = file.modified_ns // 1000
            self._modified.add(modified_at // SECOND)
        rules = RowRules(
            source=self.options.source,
            catalogue=self.settings.catalogue,
            plans=self.settings.plan_features,
        )
        result.files += 1
        for number, chunk in enumerate(parsed_chunks(file, rules)):
            if not number and (hint := mapping_hint(file.name, file.input_format, chunk, rules)):
                result.hints.append(hint)
            for rejection in chunk.rejections:
                result.reasons[rejection.reason.value] += 1
                result.groups.add_rejection(
                    file.name, rejection.line, rejection.reason.value, rejection.message, rejection.feature
                )
            for part in chunk.parts:
                result.rows += len(part)
                for event in part:
                    self._take(event, modified_at)
            result.rows += len(chunk.rejections)

    def _take(self, event: UsageEvent, modified_at: Instant | None) -> None:
        key = hash(event.request_id)
        if key in self._keys:
            self.result.duplicates += 1
            return
        self._keys.add(key)
        arrival = event.received_at if modified_at is None else modified_at
        if arrival is None or arrival < event.event_time - _CLOCKS_APART:
            self.result.without_received_at += 1
            return
        meter = self.settings.catalogue.meter_of(event.feature)
        if meter is None:
            return
        of_meter = self.meters.get(meter.event_name)
        if of_meter is None:
            of_meter = self.meters[meter.event_name] = self._of_meter(meter.event_name, event)
        number = self.schedule.number(arrival)
        reached = self.schedule.phase + number * self.schedule.every + self.schedule.sending(number)
        of_meter.note(event, arrival, reached)

    def _of_meter(self, event_name: str, event: UsageEvent) -> _OfMeter:
        closing = _closing_like(self.settings, self.options, event_name, event.event_time)
        margin = self.settings.invoicing.safety_margin
        return _OfMeter(scale=event.scale, late=LateUsage.of(closing, self.schedule, margin))


def _closing_like(
    settings: Settings, options: RehearsalOptions, event_name: str, instant: Instant
) -> Closing:
    """Return the calendar month that an instant lies in, with the grace period of a meter."""
    grace = options.grace_period
    if grace is None:
        grace, _ = settings.invoicing.grace.period_of(event_name, ())
    period = calendar_month(instant)
    return Closing(period=period, deadline=period.deadline(grace), event_name=event_name)


def rehearse(settings: Settings, options: RehearsalOptions) -> Rehearsed:
    """
    Rehearse a month's end with the usage of files.

    Raises:
        InputError: No row says when it arrived, or no file could be read.
    """
    every = ASSUMED_PUSH_EVERY if options.push_every is None else options.push_every
    basis = ScheduleBasis.GIVEN if options.push_every else ScheduleBasis.ASSUMED
    grace = settings.invoicing.grace_period if options.grace_period is None else options.grace_period
    result = Rehearsed(
        audit=Audit(as_of=0, grace_period=grace // SECOND), arrival=options.arrival, push_every=every
    )
    reading = _Reading(
        settings=settings,
        options=options,
        schedule=PushSchedule(every=every, basis=basis),
        result=result,
    )
    reading.read()
    _refuse_nothing(reading)
    now = max(one.last_reached for one in reading.meters.values())
    audit = result.audit
    audit.as_of = now
    audit.samples = sum(len(one.delays) for one in reading.meters.values())
    _fill_delays(reading)
    _fill_what_if(reading, now)
    _fill_recommendation(reading, now)
    _fill_forecasts(reading, now)
    audit.findings = _findings(reading)
    audit.findings += forecast_findings(audit.forecasts, already=audit.findings)
    return result


def _refuse_nothing(reading: _Reading) -> None:
    """Raise InputError where there is nothing to rehearse with."""
    result = reading.result
    if reading.meters:
        return
    if result.failed:
        raise result.failed[0]
    if result.without_received_at:
        files = counted(result.files, "file")
        if result.arrival is Arrival.MTIME:
            raise InputError(
                f"{files} last changed before the usage in it: that is not when it arrived",
                hint="take files as they came, or copies that keep their times (cp -p)",
            )
        raise InputError(
            f"no row of {files} says when it arrived: received_at is missing, or before its use",
            hint="map it in the source; or, for files that came one by one, take the time of each file: "
            "--arrival mtime",
        )
    hint = result.hints[0] if result.hints else "see what a file is read as: meterledger sources try FILE"
    if reading.settings.config_path is None:
        hint = "there is no config here, and so no meter: `meterledger init` makes one for your features"
    refused = counted(result.refused, "row was refused", "rows were refused")
    why = f" ({', '.join(sorted(result.reasons))})" if result.reasons else ""
    raise InputError(f"there is no usage of a meter to rehearse with; {refused}{why}", hint=hint)


def _fill_delays(reading: _Reading) -> None:
    for event_name, one in sorted(reading.meters.items()):
        distribution = Distribution(one.delays)
        if summary := distribution.summary():
            reading.result.audit.delays.append(
                DelayLine(
                    source=reading.options.source.name,
                    event_name=event_name,
                    kind="import",
                    summary=summary,
                    histogram=distribution.histogram(),
                )
            )


def _fill_what_if(reading: _Reading, now: Instant) -> None:
    """Say for each grace period what it would have missed, had every day been a month's last."""
    for too_short, grace in enumerate(_GRACES):
        for event_name, one in sorted(reading.meters.items()):
            missed = Amount()
            for _, day_end in one.since(now):
                for events, units in day_end.late[too_short + 1 :]:
                    missed.add(events, Quantity(units, one.scale))
            reading.result.audit.what_if.append(
                WhatIf(grace_period=grace, event_name=event_name, missed=missed)
            )


def _fill_recommendation(reading: _Reading, now: Instant) -> None:
    """Recommend a grace period by the audit's rule, and judge the configured one by it."""
    result, invoicing = reading.result, reading.settings.invoicing
    audit = result.audit
    rehearsal = Rehearsal(samples=audit.samples)
    margin, retry = invoicing.safety_margin // SECOND, invoicing.retry_time // SECOND
    spare: list[tuple[int, int]] = []
    for event_name, one in reading.meters.items():
        lateness = one.lateness(now)
        rehearsal.note(reading.options.source.name, lateness)
        closing = _closing_like(reading.settings, reading.options, event_name, now)
        spare.append((closing.grace_period // SECOND - lateness, retry + margin))
    audit.recommended_grace_period = rehearsal.recommendation(retry, margin)
    audit.rehearsed_lateness = rehearsal.largest_lateness
    audit.deciding_sources = rehearsal.deciding_sources
    if any(left < 0 for left, _ in spare):
        audit.verdict = "missed"
    elif audit.samples < MIN_SAMPLES or any(left < needed for left, needed in spare):
        audit.verdict = "at_risk"


def _fill_forecasts(reading: _Reading, now: Instant) -> None:
    source = reading.options.source.name
    for event_name, one in sorted(reading.meters.items()):
        closing = _closing_like(reading.settings, reading.options, event_name, now)
        found = forecast(closing, {source: one.history()}, {source: one.late}, now=now)
        reading.result.audit.forecasts.append(Forecasted(forecast=found, schedule=reading.schedule))


def _findings(reading: _Reading) -> list[Finding]:
    result, found = reading.result, []
    if reading.has_one_mtime:
        found.append(
            Finding(
                code="one_mtime",
                severity="warning",
                message=f"{counted(result.files, 'file')} changed in one and the same second: copied, most "
                "likely, so that this is not when they arrived; cp -p keeps the times",
                details={"files": result.files},
            )
        )
    if result.without_received_at:
        found.append(
            Finding(
                code="no_received_at",
                severity="warning",
                message=f"{counted(result.without_received_at, 'row')} left out: when it arrived is not "
                "said, or was before its use",
                details={"rows": result.without_received_at},
            )
        )
    if result.audit.samples < MIN_SAMPLES:
        found.append(
            Finding(
                code=TOO_LITTLE_HISTORY,
                severity="info",
                message=f"{counted(result.audit.samples, 'usage event')} to learn delays from; "
                f"under {MIN_SAMPLES} no grace period is recommended",
                details={"samples": result.audit.samples},
            )
        )
    return found
