"""The audit as one HTML page that needs nothing else; every text in it is escaped."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from meterledger.domain.instant import to_text
from meterledger.domain.lateness import BIN_EDGES, Landing
from meterledger.reporting import charts, words
from meterledger.reporting.figures import MOST_BARS, deadline_rows, delay_curves, missed_curves, source_bars
from meterledger.usecases.audit_answer import Audit, CustomerAtRisk
from meterledger.usecases.audit_digest import added_up, worst
from meterledger.usecases.findings import weightiest_first
from meterledger.usecases.forecast_advice import advice
from meterledger.usecases.forecast_answer import Forecasted

MOST_CUSTOMERS = 500
"""Rows of customers: half for those with missed usage, half for those that can still be saved."""

MOST_ROWS = 200
"""Rows of any other table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the audit went by, in seconds, and who asks for what, as shown at the foot of the page."""

    safety_margin: int
    retry_time: int
    asked: str = ""
    """What narrowed the question, such as a customer; empty where nothing did."""


def audit_page(result: Audit, rules: Rules) -> str:
    """
    Return the page.

    Raises:
        UsageError: The packages that draw its charts are not installed.
    """
    charts.refuse_without_library()
    return _template().render(
        result=result,
        rules=rules,
        verdict=words.verdict_words(result),
        advice=words.ADVICE,
        landings=words.LANDING_WORDS,
        customers=_shown(result),
        meters_at_risk=sorted({one.event_name or words.NO_METER for one in _shown(result)}),
        no_meter=words.NO_METER,
        most_rows=MOST_ROWS,
        most_bars=MOST_BARS,
        what_if=_what_if(result),
        forecasts=_forecasts(result),
        stretches=added_up(result.entries, result.as_of) if len(result.entries) > MOST_ROWS else [],
        would_do=advice(_forecasts(result))[:MOST_ROWS],
        findings=weightiest_first(result.findings),
        lateness=words.lateness_text(result),
        totals={where: sum(entry.amounts[where].events for entry in result.entries) for where in Landing},
        edges=BIN_EDGES,
        script=Markup(_script()),  # noqa: S704 # our own file, as it is
        script_digest=_digest(_script()),
        **_pictures(result),
    )


def _forecasts(result: Audit) -> list[Forecasted]:
    """Return the forecasts that rest on enough history, the most late usage first."""
    known = [(one.forecast.late.expected.events, one) for one in result.forecasts if one.forecast.late]
    return [one for _, one in sorted(known, key=lambda pair: -pair[0])]


def _shown(result: Audit) -> list[CustomerAtRisk]:
    return worst(result.customers_at_risk, result.as_of, most=MOST_CUSTOMERS)


def _pictures(result: Audit) -> dict[str, object]:
    """Return the charts, with the figures behind each; None where there is nothing to draw."""
    deadlines, deadlines_left_out = deadline_rows(result)
    delays, missed, sources = delay_curves(result), missed_curves(result), source_bars(result)
    now, wanted = result.grace_period, result.recommended_grace_period
    hour = min(now // 3600, 72)
    marked = f"The grace period today is {words.grace_text(now)}" + (
        f", the recommended one {words.grace_text(wanted)}." if wanted is not None else "."
    )
    return {
        "deadlines": deadlines,
        "deadlines_left_out": deadlines_left_out,
        "delays": delays,
        "missed": missed,
        "deadlines_chart": deadlines
        and charts.deadlines_chart(
            deadlines,
            result,
            "Billing periods and their deadlines",
            f"A bar for each of {len(deadlines)} periods, with a mark at its deadline. "
            "The same as a table: the periods below.",
        ),
        "delays_chart": delays.shown
        and charts.delays_chart(
            delays,
            now,
            "Share of usage accepted by Stripe within a time, by source",
            "; ".join(
                f"{curve.name}: {words.share_text(_within(curve.parts, now), curve.whole)} within the "
                "grace period"
                for curve in delays.shown
            ),
        ),
        "missed_chart": missed.shown
        and charts.missed_chart(
            missed,
            result,
            "Share of usage that each grace period would have missed",
            marked
            + " Missed with whole hours of today's: "
            + "; ".join(
                f"{curve.name} {words.share_text(curve.parts[hour], curve.whole)}" for curve in missed.shown
            ),
        ),
        "sources_chart": sources
        and charts.sources_chart(
            sources,
            "Where usage of each source stands",
            "Shares of usage events that landed, are open, at risk or missed. The same as a table below.",
        ),
    }


def _within(parts: Sequence[int], seconds: int) -> int:
    """Return how many were accepted within a time, as far as the bins tell."""
    return max((part for edge, part in zip(BIN_EDGES, parts, strict=True) if edge <= seconds), default=0)


def _what_if(result: Audit) -> Mapping[int, Mapping[str, object]]:
    """Return what each grace period would have missed, by meter."""
    table: dict[int, dict[str, object]] = {}
    for line in result.what_if:
        table.setdefault(line.grace_period, {})[line.event_name or words.NO_METER] = line.missed
    return table


def _finalized(value: object) -> object:
    """Return what an expression prints: no text may turn around or hide what stands beside it."""
    return words.harmless(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _script() -> str:
    return files("meterledger.reporting").joinpath("filter.js").read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """Return what the page's policy names its one script by: no other runs, whatever a name contains."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("meterledger", "reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
    )
    environment.filters |= {
        "count": words.count_text,
        "quantity": words.quantity_text,
        "hours": words.hours_text,
        "grace": words.grace_text,
        "at": words.instant_text,
        "rfc3339": to_text,
        "period": words.period_text,
        "share": words.share_text,
    }
    return environment.get_template("audit.html")
