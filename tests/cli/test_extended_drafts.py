"""What `deadline extend` shows of many drafts."""

import re

import pytest

from meterledger.cli.deadline import print_lines
from meterledger.domain.billing_facts import PulledInvoice
from meterledger.domain.billing_period import BillingPeriod
from meterledger.domain.dues import DeadlineSource
from meterledger.domain.instant import DAY, HOUR, parse_instant
from meterledger.usecases.deadlines import Deadline
from meterledger.usecases.extend_deadlines import Line, Result

NOW = parse_instant("2026-11-22T12:00:00Z")


def line(number: int, result: Result) -> Line:
    """Return what became of one draft."""
    end = NOW + number * HOUR
    invoice = PulledInvoice(
        invoice_id=f"in_{number}",
        subscription_id=f"sub_{number}",
        stripe_customer_id=f"cus_{number}",
        status="draft",
        billing_reason="subscription_cycle",
        created=end,
        auto_advance=True,
        finalizes_at=end + HOUR,
        finalized_at=None,
        finalization_error=None,
    )
    deadline = Deadline(
        stripe_customer_id=f"cus_{number}",
        customer_ids=(f"customer-{number}",),
        subscription_id=f"sub_{number}",
        invoice=invoice,
        period=BillingPeriod(end - 30 * DAY, end),
        deadline=end + HOUR,
        source=DeadlineSource.DRAFT_INVOICE,
        billed=(),
    )
    return Line(deadline=deadline, invoice=invoice, result=result, to=end + 7 * HOUR, now_at=end + HOUR)


def test_of_many_drafts_those_that_need_a_person_are_not_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    """They come first, and how many are what is said below; the others stay by deadline."""
    lines = [line(number, Result.EXTENDED) for number in range(70)]
    lines[60], lines[65] = line(60, Result.REFUSED), line(65, Result.TOO_FAR)
    print_lines(lines)
    out = capsys.readouterr().out

    # As a table or as records, by the width of the terminal.
    shown = re.findall(r"customer-\d+", out)
    assert shown == ["customer-60", "customer-65", *(f"customer-{number}" for number in range(48))]
    assert "1 refused, 1 too far, 68 extended: the first 50 of 70; --format json has all" in out
