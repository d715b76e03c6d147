"""The words of the audit's page: numbers and times for people, the verdict, what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from meterledger.config.duration import EXACT, duration_text
from meterledger.domain.billing_period import BillingPeriod, calendar_month
from meterledger.domain.dues import NEVER
from meterledger.domain.instant import SECOND, Instant, to_datetime
from meterledger.domain.lateness import Landing
from meterledger.domain.quantity import Quantity
from meterledger.domain.usage import ascii_controls_escaped
from meterledger.usecases.audit_answer import Audit
from meterledger.usecases.findings import counted

NO_METER = "(no meter)"
LANDING_WORDS = {
    Landing.MISSED: "missed",
    Landing.AT_RISK: "at risk",
    Landing.OPEN: "open",
    Landing.LANDED: "landed",
}
"""What costs money first."""

ADVICE: Mapping[str, str] = {
    "open_rejections": "Mend the refused rows: `meterledger rejects list` shows them with their reasons.",
    "open_conflicts": "Decide which row holds: `meterledger rejects list --kind conflict`.",
    "nearing_too_old": "Push now: Stripe takes no usage over 35 days old.",
    "nearing_horizon": "Push now: an unknown outcome is only sent again within 23 hours.",
    "period_assumed": "Say when billing periods begin: `anchors` in the config, a customers file, or "
    "`meterledger customers pull`.",
    "late_usage_expected": "Change grace period, push schedule or delivery, as the forecast says.",
    "source_silent": "Ask those who deliver it whether usage is missing.",
    "one_mtime": "Rehearse with files as they came, not with copies of them.",
    "no_received_at": "Give the rows `received_at`, or rehearse with `--arrival mtime`.",
    "stamped_on_boundary": "Ask the source whether its times mean the start or the end of what they measure.",
    "no_subscription": "Pull again if the subscriptions are new; else bill the usage by an invoice item.",
    "grace_mismatch": "Make the config and Stripe's setting (Settings, Billing, Invoices) say the same.",
    "first_invoice": "Nothing, if it is meant: such usage belongs to no later invoice.",
    "threshold_invoice": "Push often: an invoice made by a threshold takes no late usage.",
    "price_changed": "Check the invoice of that period: what was reported after the change is not on it.",
    "price_change_pending": "Push before the change takes effect.",
    "canceled_uninvoiced": "Bill the last usage by an invoice item, or cancel with `invoice_now`.",
    "grace_not_shorter": "Take a shorter grace period, or a longer billing period.",
    "draft_held_open": "Finalize the draft in Stripe when its usage is whole.",
    "draft_deleted": "Bill the usage of that period by an invoice item.",
    "deadline_moved": "Nothing: the deadline shown is the draft's own.",
    "cancellations_possible": "Correct wrong usage now: Stripe cancels meter events for 24 hours.",
    "too_little_history": "Wait for more usage before you trust the recommendation.",
}
"""What to do about a finding, by its code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The verdict in plain words, what it means, and what to do next, in order."""

    headline: str
    meaning: str
    steps: Sequence[str]


def harmless(text: str) -> str:
    """Escape control and format characters, such as those that turn text around."""
    return ascii_controls_escaped(text)


def count_text(count: int) -> str:
    """Write a count: 12,345."""
    return f"{count:,}"


def quantity_text(quantity: Quantity) -> str:
    """Write a quantity in groups of three, exactly."""
    return f"{Decimal(str(quantity)):,f}"


def hours_text(seconds: int) -> str:
    """Write a duration in seconds: ``26h 3m``."""
    return duration_text(seconds * SECOND)


def lateness_text(result: Audit) -> str:
    """Write by how much usage came after a day's end, to the second: it is compared with a grace period."""
    return duration_text(result.rehearsed_lateness * SECOND, units=EXACT)


def grace_text(seconds: int) -> str:
    """Write a grace period as Stripe does, in hours: ``48 h``; other durations as they are."""
    hours, rest = divmod(seconds, 3600)
    return hours_text(seconds) if rest else f"{hours} h"


def share_text(part: int, whole: int) -> str:
    """Write a share in percent; what is little but not nothing, or nearly all, is not rounded away."""
    if not part or not whole:
        return "0 %"
    percent = 100 * part / whole
    if percent < 0.1:  # noqa: PLR2004 # what a figure with one place can show
        return "under 0.1 %"
    return "over 99.9 %" if part < whole and percent > 99.9 else f"{percent:.1f} %"  # noqa: PLR2004 # as above


def instant_text(instant: Instant) -> str:
    """Write an instant in UTC, without saying so; seconds only where there are some."""
    if instant == NEVER:
        return "held open"
    moment = to_datetime(instant)
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment.second else f"{moment:%Y-%m-%d %H:%M}"


def period_text(period: BillingPeriod) -> str:
    """Write a period: a calendar month by its name, any other by its two ends."""
    start, end = to_datetime(period.start), to_datetime(period.end)
    if calendar_month(period.start) == period:
        return f"{start:%B %Y}"
    if (start.hour, start.minute) == (end.hour, end.minute) == (0, 0):
        return f"{start:%Y-%m-%d} to {end:%Y-%m-%d}"
    return f"{instant_text(period.start)} to {instant_text(period.end)}"


def verdict_words(result: Audit) -> Verdict:
    """Put the verdict into words."""
    if result.verdict == "ok":
        return Verdict(
            headline="Yes: all usage is on its invoice, or still has time."
            if result.entries
            else "There is no usage to judge.",
            meaning="Nothing has missed its invoice, and nothing is short of time.",
            steps=[*_grace_steps(result), "Nothing else. Ask again before the next deadline."],
        )
    if not _events(result, Landing(result.verdict)):
        return Verdict(
            headline="Refused rows are open.",
            meaning="The ledger refused rows of usage files, and nobody has settled them. They are on no "
            "invoice. The findings say how many there are.",
            steps=["Mend or dismiss them: `meterledger rejects list`.", *_grace_steps(result)],
        )
    return _missed(result) if result.verdict == "missed" else _at_risk(result)


def _missed(result: Audit) -> Verdict:
    missed, at_risk = (_events(result, where) for where in (Landing.MISSED, Landing.AT_RISK))
    also = f" {counted(at_risk, 'more is', 'more are')} at risk." if at_risk else ""
    return Verdict(
        headline=f"No: {counted(missed, 'usage event')} of {_customers(result, Landing.MISSED)} missed the "
        "invoice.",
        meaning="An invoice is final at its deadline. Usage that Stripe got later, or has not got yet, is on "
        f"no invoice, though Stripe takes it without an error.{also}",
        steps=[
            "See below whose usage it is, and bill it by an invoice item, or let it go.",
            "For the items: `meterledger audit --lost lost.csv` writes a line for each customer and period.",
            *(_risk_steps(result) if at_risk else []),
            *_grace_steps(result),
        ],
    )


def _at_risk(result: Audit) -> Verdict:
    at_risk = _events(result, Landing.AT_RISK)
    return Verdict(
        headline=f"Perhaps not: {counted(at_risk, 'usage event')} of {_customers(result, Landing.AT_RISK)} "
        "may miss the invoice.",
        meaning="Nothing is lost yet. This usage is stuck, of uncertain outcome, or so close to its deadline "
        "that there is no margin left.",
        steps=[*_risk_steps(result), *_grace_steps(result)],
    )


def _risk_steps(result: Audit) -> list[str]:
    ahead = [
        one.deadline
        for one in result.customers_at_risk
        if one.amounts[Landing.AT_RISK].events and result.as_of <= one.deadline < NEVER
    ]
    until = f" before {instant_text(min(ahead))} UTC, the first deadline with usage at risk" if ahead else ""
    return [
        f"Find out what is stuck by `meterledger status`, and send the rest by `meterledger push`{until}.",
        "If the time is too short, give drafts more of it: `meterledger deadline extend`.",
    ]


def _grace_steps(result: Audit) -> list[str]:
    wanted = result.recommended_grace_period
    if wanted is None or wanted <= result.grace_period:
        return []
    because = f"usage came up to {lateness_text(result)} after a day's end"
    if result.deciding_sources:
        # A backtick begins a command in these words.
        sources = ", ".join(result.deciding_sources[:3]).replace("`", "'")
        because += f" (source {sources})"
    today = grace_text(result.grace_period)
    where = "in Stripe (Settings, Billing, Invoices) and in the config"
    return [
        f"Set the grace period to {grace_text(wanted)} or more, {where}: {because}, and it is {today} now."
    ]


def _events(result: Audit, where: Landing) -> int:
    return sum(entry.amounts[where].events for entry in result.entries)


def _customers(result: Audit, where: Landing) -> str:
    return counted(
        len({one.customer_id for one in result.customers_at_risk if one.amounts[where].events}), "customer"
    )
