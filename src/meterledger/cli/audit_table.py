"""The audit for people."""

from typing import TYPE_CHECKING

from rich.text import Text

from meterledger.cli.audit_forecast import print_forecasts
from meterledger.cli.audit_periods import NO_METER, amount_cell, print_customers_at_risk, print_entries
from meterledger.cli.audit_pictures import print_pictures
from meterledger.cli.findings import print_findings
from meterledger.cli.output import console, count_text, harmless, print_table, say
from meterledger.config.duration import EXACT, duration_text, grace_text
from meterledger.domain.instant import SECOND
from meterledger.domain.lateness import MIN_SAMPLES, Landing
from meterledger.usecases.findings import counted

if TYPE_CHECKING:
    from meterledger.usecases.audit_answer import Amount, Audit, AuditOptions

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
    print_entries(result.entries, options, now=result.as_of)
    if not options.by_customer:
        print_customers_at_risk(result.customers_at_risk, now=result.as_of)
    _print_delays(result, quiet=quiet)
    if not quiet:
        print_pictures(result)
    _print_what_if(result)
    _print_recommendation(result)
    print_forecasts(result.forecasts)
    print_findings(result.findings)
    if quiet or result.verdict == "ok":
        return
    say("Next: `meterledger status` shows what waits; `--customer ID --explain` shows a customer's usage.")
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
    print_findings(result.findings)


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
