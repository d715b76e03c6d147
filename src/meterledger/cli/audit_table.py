"""The audit for people."""

from itertools import groupby
from typing import TYPE_CHECKING

from rich.text import Text

from meterledger.cli.audit_document import LANDINGS, deadline_text
from meterledger.cli.audit_forecast import print_forecasts
from meterledger.cli.audit_pictures import print_pictures
from meterledger.cli.findings import print_findings
from meterledger.cli.output import console, count_text, harmless, print_table, quantity_text, say
from meterledger.config.duration import EXACT, duration_text, grace_text
from meterledger.domain.billing_period import BillingPeriod, calendar_month
from meterledger.domain.instant import SECOND, Instant, to_text
from meterledger.domain.lateness import MIN_SAMPLES, Landing
from meterledger.usecases.findings import counted
from meterledger.usecases.forecast_advice import said_once

if TYPE_CHECKING:
    from meterledger.usecases.audit_answer import Amount, Audit, AuditOptions, Entry

NO_METER = "(no meter)"
WHAT_IF_TITLE = "What each grace period would have missed of the ended periods"
_PERCENTILES = ("p50", "p90", "p99", "max")
_DELAYS = {
    "import": "from use to its arrival",
    "delivery": "from its arrival to acceptance by Stripe",
    "ingestion": "from use to acceptance by Stripe",
}
_VERDICTS = {
    "ok": ("green", "everything has landed, or still has time"),
    "at_risk": ("bold yellow", "some usage may miss its invoice"),
    "missed": ("bold red", "some usage has missed its invoice"),
}


def print_audit(result: "Audit", options: "AuditOptions", *, quiet: bool) -> None:
    """Print the whole audit: verdict, periods, delays, what-if, recommendation, findings."""
    style, meaning = _VERDICTS[result.verdict]
    if result.verdict == "ok":
        meaning = meaning if result.entries else "there is no usage to judge"
    elif not any(entry.amounts[Landing(result.verdict)].events for entry in result.entries):
        meaning = "refused rows are open, see below"
    console().print(Text(f"{result.verdict}: ", style=style) + Text(meaning))
    print_entries(result.entries, options)
    _print_delays(result, quiet=quiet)
    if not quiet:
        print_pictures(result)
    _print_what_if(result)
    _print_recommendation(result)
    print_forecasts(result.forecasts)
    print_findings(said_once(result.findings))
    if quiet or result.verdict == "ok":
        return
    say("Next: `meterledger status` shows what waits; `--by customer`, then `--customer ID --explain`.")
    if any(entry.amounts[Landing.MISSED].events for entry in result.entries):
        say("`--lost lost.csv` writes what is on no invoice, to bill it by invoice items.")


_REHEARSED = {
    "ok": "the grace period of {grace} would have been long enough on every day",
    "at_risk": "the grace period of {grace} leaves too little for retries and the safety margin",
    "missed": "with a grace period of {grace} usage would have missed its invoice",
}
_TOO_FEW = "there is too little usage to judge the grace period of {grace}"


def print_rehearsed(result: "Audit", *, quiet: bool) -> None:
    """Print what a rehearsal found, from files alone: verdict, delays, what-if, recommendation, forecast."""
    style, _ = _VERDICTS[result.verdict]
    is_unknown = result.samples < MIN_SAMPLES and result.verdict == "at_risk"
    words = _TOO_FEW if is_unknown else _REHEARSED[result.verdict]
    meaning = words.format(grace=grace_text(result.grace_period * SECOND))
    console().print(Text(f"{result.verdict}: ", style=style) + Text(meaning))
    _print_delays(result, quiet=quiet)
    _print_what_if(
        result,
        "What each grace period would have missed, had every day been a month's last",
    )
    _print_recommendation(result)
    print_forecasts(result.forecasts)
    print_findings(said_once(result.findings))


def print_entries(entries: "list[Entry]", options: "AuditOptions") -> None:
    """Print a table for each period and deadline, both above it, so that the rest fits a narrow terminal."""
    columns = [("meter", "left"), *((where.replace("_", " "), "right") for where in LANDINGS)]
    if options.by_customer:
        columns.insert(1, ("customer", "left"))
    elif options.by_source:
        columns.insert(1, ("source", "left"))
    else:
        columns.insert(1, ("customers", "right"))
    for (period, deadline), some in groupby(entries, key=lambda entry: (entry.period, entry.deadline)):
        print_table(
            columns,
            [
                [
                    entry.event_name or NO_METER,
                    entry.customer_id or entry.source or count_text(entry.customers),
                    *(amount_cell(entry.amounts[where]) for where in LANDINGS),
                ]
                for entry in some
            ],
            title=f"{period_text(period)}, {_deadline_words(deadline)}: usage events, their quantity below",
        )


def period_text(period: BillingPeriod) -> str:
    """Write a period: a calendar month by its name, any other by its two ends."""
    start, end = to_text(period.start), to_text(period.end)
    return start[:7] if calendar_month(period.start) == period else f"{start} to {end}"


def amount_cell(amount: "Amount") -> str:
    """Write how many usage events, and below them what they add up to."""
    if not amount.events:
        return "0"
    return f"{count_text(amount.events)}\n{quantity_text(str(amount.quantity))}"


def _deadline_words(deadline: Instant) -> str:
    text = deadline_text(deadline)
    return "held open" if text is None else f"deadline {text}"


def _print_delays(result: "Audit", *, quiet: bool) -> None:
    for kind in dict.fromkeys(line.kind for line in result.delays):
        print_table(
            [
                ("source", "left"),
                ("meter", "left"),
                ("count", "right"),
                *((key, "right") for key in _PERCENTILES),
            ],
            [
                [
                    line.source,
                    line.event_name or NO_METER,
                    count_text(line.summary.count),
                    *(duration_text(getattr(line.summary, key) * SECOND) for key in _PERCENTILES),
                ]
                for line in result.delays
                if line.kind == kind
            ],
            title=f"Delay of {kind}: {_DELAYS[kind]}",
        )
    if quiet:
        return
    for why, count in sorted(result.left_out.items()):
        of_what = "audit" if why in ("voided", "written_off") else "delays"
        say(f"{counted(count, 'usage event')} left out of the {of_what} ({why.replace('_', ' ')}).")


def _print_what_if(result: "Audit", title: str = WHAT_IF_TITLE) -> None:
    meters = sorted({line.event_name or NO_METER for line in result.what_if})
    if not meters:
        return
    by_grace: dict[int, dict[str, Amount]] = {}
    for line in result.what_if:
        by_grace.setdefault(line.grace_period, {})[line.event_name or NO_METER] = line.missed
    print_table(
        [("grace period", "right"), *((meter, "right") for meter in meters)],
        [
            [f"{grace // 3600} h", *(amount_cell(missed[meter]) for meter in meters)]
            for grace, missed in sorted(by_grace.items())
        ],
        title=f"{title}: usage events, their quantity below",
    )


def _print_recommendation(result: "Audit") -> None:
    out = console()
    late = duration_text(result.rehearsed_lateness * SECOND, units=EXACT)
    because = f"usage came up to {late} after a day's end"
    if result.deciding_sources:
        because += f" (source {harmless(', '.join(result.deciding_sources))})"
    if result.recommended_grace_period is not None:
        hours = result.recommended_grace_period // 3600
        out.print(f"Recommended grace period: {hours} h; {because}.", soft_wrap=True, markup=False)
    elif not any(finding.code == "too_little_history" for finding in result.findings):
        out.print(f"No grace period up to 72 h is long enough: {because}.", soft_wrap=True, markup=False)
