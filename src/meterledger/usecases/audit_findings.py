"""What an audit has to say besides its figures: refused rows, and other clocks."""

from collections import Counter
from collections.abc import Iterable, Iterator

from meterledger.domain import lateness
from meterledger.domain.correction import CANCEL_WINDOW
from meterledger.domain.delivery import RESEND_HORIZON
from meterledger.domain.instant import seconds_floor, to_text
from meterledger.domain.lateness import Landing
from meterledger.usecases.audit_reading import UNKNOWN_WARNING, Reading
from meterledger.usecases.audit_share import Share
from meterledger.usecases.findings import Finding, counted


def refused_findings(reading: Reading) -> Iterator[tuple[Finding, Landing]]:
    """Yield what is refused and still open, by its deadlines: it would count too, if it is mended in time."""
    refused: Counter[tuple[str, Landing]] = Counter()
    options = reading.options
    for row in reading.ledger.reports.open_rejects_with_event_time(reading.now):
        customer_id, event_name = row["customer_id"], reading.meter_name(row["feature"])
        if options.customer in (None, customer_id) and options.meter in (None, event_name):
            due = reading.dues.at(customer_id or "", None, event_name, row["event_time"]).due
            is_ahead = seconds_floor(reading.now) <= seconds_floor(due.deadline)
            refused[row["kind"], Landing.AT_RISK if is_ahead else Landing.MISSED] += 1
    for (kind, where), count in sorted(refused.items()):
        when = (
            "the deadline of their period is ahead" if where is Landing.AT_RISK else "their deadline is over"
        )
        yield (
            Finding(
                code=f"open_{kind}s",
                severity="warning" if where is Landing.AT_RISK else "error",
                message=f"{counted(count, kind)} open; {when}: see `meterledger rejects list`",
                details={"count": count, "landing": where.value},
            ),
            where,
        )


def clock_findings(reading: Reading, *, samples: int) -> Iterator[Finding]:
    """Yield what is said of too little history, and of other clocks that run out."""
    if samples < lateness.MIN_SAMPLES:
        yield Finding(
            code="too_little_history",
            severity="info",
            message=f"{counted(samples, 'usage event')} to learn delays from; "
            f"under {lateness.MIN_SAMPLES} no grace period is recommended",
            details={"samples": samples},
        )
    if reading.on_boundary:
        yield Finding(
            code="stamped_on_boundary",
            severity="info",
            message=f"{counted(reading.on_boundary, 'usage event')} stamped on the first instant of a "
            "period: if that means the time before it, the invoice is the wrong one",
            details={"usage_events": reading.on_boundary},
        )
    if reading.nearing_too_old:
        yield Finding(
            code="nearing_too_old",
            severity="warning",
            message=f"{counted(reading.nearing_too_old, 'usage event')} not sent and over 32 days old; "
            "Stripe refuses them at 35",
            details={"usage_events": reading.nearing_too_old},
        )
    yield from _unknown_outcomes(reading)
    if reading.cancelable_since is not None:
        until = to_text(reading.cancelable_since + CANCEL_WINDOW)
        yield Finding(
            code="cancellations_possible",
            severity="info",
            message=f"{counted(reading.cancelable, 'usage event')} accepted within 24 h: Stripe can still "
            f"cancel what is wrong of them, the first until {until}",
            details={"usage_events": reading.cancelable, "first_until": until},
        )


def unbilled_findings(shares: Iterable[Share]) -> Iterator[Finding]:
    """Yield what no subscription bills, by Stripe's own word: it lands, and is on no invoice all the same."""
    unbilled = [share for share in shares if not share.is_billed]
    if not unbilled:
        return
    count = sum(share.usage.events for share in unbilled)
    customers = len({share.customer for share in unbilled})
    meters = sorted({share.event_name or "" for share in unbilled})
    yield Finding(
        code="no_subscription",
        severity="warning",
        message=f"{counted(count, 'usage event')} of {counted(customers, 'customer')} ({', '.join(meters)}) "
        "when no subscription that Stripe told of bills them: they are on no invoice",
        details={"usage_events": count, "customers": customers, "event_names": meters},
    )


def _unknown_outcomes(reading: Reading) -> Iterator[Finding]:
    oldest = reading.ledger.reports.oldest_unknown_attempt(reading.now, since=reading.now - RESEND_HORIZON)
    if oldest is None or reading.now - oldest < UNKNOWN_WARNING:
        return
    yield Finding(
        code="nearing_horizon",
        severity="warning",
        message=f"an attempt of {to_text(oldest)} has no known outcome; after 23 h it is not sent again: "
        "push now",
        details={"since": to_text(oldest)},
    )
