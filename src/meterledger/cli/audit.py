"""`meterledger audit`: will usage make its invoice?"""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import Context, context_of
from meterledger.cli.findings import print_findings
from meterledger.cli.output import (
    Format,
    console,
    count_text,
    harmless,
    print_csv,
    print_json,
    print_table,
    quantity_text,
    say,
)
from meterledger.cli.pulling import KeyFile, pull_and_warn
from meterledger.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from meterledger.usecases.audit_answer import Amount, Audit, Entry

_LANDINGS = ("landed", "open", "at_risk", "missed")
_NO_METER = "(no meter)"
_VERDICTS = {
    "ok": ("green", "everything has landed, or still has time"),
    "at_risk": ("bold yellow", "some usage may miss its invoice"),
    "missed": ("bold red", "some usage has missed its invoice"),
}


class By(StrEnum):
    """What a report can be broken down by."""

    CUSTOMER = "customer"


def audit(
    ctx: typer.Context,
    *,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="As it was known, and by the clock, of this instant."),
    ] = None,
    grace: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Another grace period than the config's, e.g. 3h.")
    ] = None,
    periods: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many closed periods to look back on.")
    ] = 1,
    by: Annotated[By | None, typer.Option(help="One line for each customer.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="ID", help="This customer alone.")] = None,
    meter: Annotated[str | None, typer.Option(metavar="EVENT_NAME", help="This meter alone.")] = None,
    stripe: Annotated[
        bool, typer.Option("--stripe", help="First read periods and deadlines from Stripe.")
    ] = False,
    api_key_file: KeyFile = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print the report.")] = Format.TABLE,
) -> None:
    """
    Tell whether usage makes its invoice: what has landed before the deadline, is open, at risk, or missed.

    Exit code 0 only if the verdict is ok.
    """
    from meterledger.domain.billing_period import MAX_GRACE_PERIOD
    from meterledger.usecases.audit import AuditOptions
    from meterledger.usecases.audit import audit as run_audit

    context = context_of(ctx)
    grace_period = context.duration(grace, "--grace")
    if grace_period is not None and grace_period > MAX_GRACE_PERIOD:
        raise UsageError(f"--grace {grace}: Stripe's longest grace period is 72h")
    options = AuditOptions(
        grace_period=grace_period,
        periods=periods,
        by_customer=by is not None,
        as_of=as_of is not None,
        customer=customer,
        meter=meter,
    )
    clock = context.clock(as_of)
    if stripe and as_of is not None:
        raise UsageError("--stripe reads what holds now, --as-of asks what was known then: say one of them")
    with context.ledger() as ledger:
        if stripe:
            pull_and_warn(context, ledger, api_key_file, clock)
        result = run_audit(ledger, context.settings, options, now=clock())
    _print(result, format_, context, by_customer=by is not None)
    raise typer.Exit(ExitCode.DONE if result.verdict == "ok" else ExitCode.NEEDS_A_PERSON)


def _print(result: "Audit", format_: Format, context: Context, *, by_customer: bool) -> None:
    match format_:
        case Format.JSON:
            print_json("audit", _document(result, by_customer=by_customer))
        case Format.CSV:
            entries = _document(result, by_customer=by_customer)["periods"]
            plain = [
                {key: value for key, value in entry.items() if key not in _LANDINGS}
                | {f"{w}_{what}": entry[w][what] for w in _LANDINGS for what in ("events", "quantity")}
                for entry in entries
            ]
            print_csv(list(plain[0]) if plain else ["start"], [list(line.values()) for line in plain])
        case Format.TABLE:
            _print_for_people(result, context, by_customer=by_customer)


def _amount(amount: "Amount") -> dict[str, Any]:
    return {"events": amount.events, "quantity": str(amount.quantity)}


def _document(result: "Audit", *, by_customer: bool) -> dict[str, Any]:
    from meterledger.domain.instant import to_text

    return {
        "as_of": to_text(result.as_of),
        "verdict": result.verdict,
        "grace_period_seconds": result.grace_period,
        "recommended_grace_period_seconds": result.recommended_grace_period,
        "recommendation": {
            "largest_lateness_seconds": result.rehearsed_lateness,
            "sources": result.deciding_sources,
        },
        "periods": [_period(result, entry, by_customer=by_customer) for entry in result.entries],
        "delays": [
            {
                "source": line.source,
                "event_name": line.event_name,
                "kind": line.kind,
                **{key: getattr(line.summary, key) for key in ("count", "p50", "p90", "p99", "max")},
            }
            for line in result.delays
        ],
        "what_if": [
            {
                "grace_period_seconds": line.grace_period,
                "event_name": line.event_name,
                "missed": _amount(line.missed),
            }
            for line in result.what_if
        ],
        "left_out": dict(sorted(result.left_out.items())),
        "findings": [finding.as_dict() for finding in result.findings],
    }


def _period(result: "Audit", entry: "Entry", *, by_customer: bool) -> dict[str, Any]:
    from meterledger.domain.instant import to_text

    return {
        "start": to_text(entry.period.start),
        "end": to_text(entry.period.end),
        "deadline": to_text(entry.deadline),
        "deadline_source": result.deadline_source,
        "event_name": entry.event_name,
        **({"customer_id": entry.customer_id} if by_customer else {}),
        "customers": entry.customers,
        **{where: _amount(entry.amounts[_landing(where)]) for where in _LANDINGS},
    }


def _landing(where: str) -> Any:
    from meterledger.domain.lateness import Landing

    return Landing(where)


def _print_for_people(result: "Audit", context: Context, *, by_customer: bool) -> None:
    from rich.text import Text

    style, meaning = _VERDICTS[result.verdict]
    if result.verdict == "ok":
        meaning = meaning if result.entries else "there is no usage to judge"
    elif not any(entry.amounts[_landing(result.verdict)].events for entry in result.entries):
        meaning = "refused rows are open, see below"
    console().print(Text(f"{result.verdict}: ", style=style) + Text(meaning))
    _print_periods(result, by_customer=by_customer)
    _print_delays(result, context)
    _print_what_if(result)
    _print_recommendation(result)
    print_findings(result.findings)
    if not context.quiet and result.verdict != "ok":
        say("Next: `meterledger status` shows what waits; `--by customer` and `explain` lead to the rows.")


def _print_periods(result: "Audit", *, by_customer: bool) -> None:
    """Print a table for each period: the deadline above, so that the rest fits a narrow terminal."""
    from itertools import groupby

    from meterledger.domain.instant import to_text

    columns = [
        ("meter", "left"),
        ("customer", "left") if by_customer else ("customers", "right"),
        *((where.replace("_", " "), "right") for where in _LANDINGS),
    ]
    for period, entries in groupby(result.entries, key=lambda entry: entry.period):
        rows = list(entries)
        deadline = to_text(rows[0].deadline)
        print_table(
            columns,
            [
                [
                    entry.event_name or _NO_METER,
                    entry.customer_id if by_customer else count_text(entry.customers),
                    *(_cell(entry.amounts[_landing(where)]) for where in _LANDINGS),
                ]
                for entry in rows
            ],
            title=f"{to_text(period.start)[:7]}, deadline {deadline}: usage events, their quantity below",
        )


def _cell(amount: "Amount") -> str:
    if not amount.events:
        return "0"
    return f"{count_text(amount.events)}\n{quantity_text(str(amount.quantity))}"


def _print_delays(result: "Audit", context: Context) -> None:
    from meterledger.config.duration import duration_text
    from meterledger.domain.instant import SECOND
    from meterledger.usecases.findings import counted

    if result.delays:
        print_table(
            [
                ("source", "left"),
                ("meter", "left"),
                ("delay", "left"),
                ("count", "right"),
                *((key, "right") for key in ("p50", "p90", "p99", "max")),
            ],
            [
                [
                    line.source,
                    line.event_name or _NO_METER,
                    line.kind,
                    count_text(line.summary.count),
                    *(
                        duration_text(getattr(line.summary, key) * SECOND)
                        for key in ("p50", "p90", "p99", "max")
                    ),
                ]
                for line in result.delays
            ],
        )
    if context.quiet:
        return
    for why, count in sorted(result.left_out.items()):
        of_what = "audit" if why in ("voided", "written_off") else "delays"
        say(f"{counted(count, 'usage event')} left out of the {of_what} ({why.replace('_', ' ')}).")


def _print_what_if(result: "Audit") -> None:
    meters = sorted({line.event_name or _NO_METER for line in result.what_if})
    if not meters:
        return
    by_grace: dict[int, dict[str, Amount]] = {}
    for line in result.what_if:
        by_grace.setdefault(line.grace_period, {})[line.event_name or _NO_METER] = line.missed
    print_table(
        [("grace period", "right"), *((meter, "right") for meter in meters)],
        [
            [f"{grace // 3600} h", *(_cell(missed[meter]) for meter in meters)]
            for grace, missed in sorted(by_grace.items())
        ],
        title="What each grace period would have missed of the ended periods",
    )


def _print_recommendation(result: "Audit") -> None:
    from meterledger.config.duration import duration_text
    from meterledger.domain.instant import SECOND

    out = console()
    late = duration_text(result.rehearsed_lateness * SECOND)
    because = f"usage came up to {late} after a day's end"
    if result.deciding_sources:
        because += f" (source {harmless(', '.join(result.deciding_sources))})"
    if result.recommended_grace_period is not None:
        hours = result.recommended_grace_period // 3600
        out.print(f"Recommended grace period: {hours} h; {because}.", soft_wrap=True, markup=False)
    elif not any(finding.code == "too_little_history" for finding in result.findings):
        out.print(f"No grace period up to 72 h is long enough: {because}.", soft_wrap=True, markup=False)
