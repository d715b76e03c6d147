"""What happens by itself when the clock comes to it, by the names the timeline knows."""

from collections.abc import Callable, Mapping

from meterledger.simulator.billing.cycle import end_period
from meterledger.simulator.billing.invoices import FINALIZE_INVOICE
from meterledger.simulator.billing.invoicing import finalize_when_due
from meterledger.simulator.billing.subscriptions import END_PERIOD
from meterledger.simulator.metering.error_reports import ERROR_REPORT
from meterledger.simulator.state.account import Account

Carry = Callable[[Account, str, float], None]
"""Carries a happening out: the account, the id of what it happens to, when it was due in epoch seconds."""

HAPPENINGS: Mapping[str, Carry] = {
    END_PERIOD: end_period,
    ERROR_REPORT: lambda account, report_id, due: account.error_reports.publish(report_id, due),
    FINALIZE_INVOICE: finalize_when_due,
}


def catch_up(account: Account, now: float) -> None:
    """Carry out, in the order of time, everything that has fallen due by now (epoch seconds)."""
    while (happening := account.timeline.take(now)) is not None:
        HAPPENINGS[happening.what](account, happening.object_id, happening.due)
