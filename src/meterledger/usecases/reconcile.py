"""Reconcile: what Stripe says of what it had taken. Error reports, so far."""

from collections.abc import Callable
from dataclasses import dataclass, field

from meterledger.config import Settings
from meterledger.domain.delivery import State
from meterledger.domain.instant import DAY, Instant
from meterledger.ledger import Ledger
from meterledger.ledger.database import Row
from meterledger.usecases.door import Counterpart, knock, lease_held, refuse_other_binding
from meterledger.usecases.error_reports import LISTED_DAYS, Polled, poll_error_reports
from meterledger.usecases.planning import refuse_clock_set_back

LISTED_REPORTS = 1000
"""Reports, by code, that a document holds at most: the newest."""


@dataclass(slots=True, kw_only=True)
class Reconciliation:
    """What this run settled, and what is open in the ledger after it."""

    polled: Polled
    reports: list[Row] = field(default_factory=list)
    """Those of the last 30 days by code, the newest first."""
    rejected: int = 0
    in_doubt: int = 0

    @property
    def needs_a_person(self) -> bool:
        """Tell whether anything rejected or in doubt is open."""
        return bool(self.rejected or self.in_doubt)


async def reconcile_errors(
    ledger: Ledger, settings: Settings, stripe: Counterpart, clock: Callable[[], Instant]
) -> Reconciliation:
    """
    Poll error reports under the lease, and settle what they name.

    Raises:
        UsageError: The key is of another mode or account than the ledger.
        LedgerError: A push is at work, or the ledger is ahead of the clock.
        StripeError: Stripe refused the key, could not be reached, or its clock is too far from ours.
    """
    refuse_clock_set_back(ledger, clock())
    refuse_other_binding(ledger.lease.binding(), stripe.access)
    if stripe.reports is None or ledger.lease.binding() is None:
        polled = Polled(warnings=["nothing was sent from this ledger yet: no error reports were read"])
    else:
        with lease_held(ledger, clock) as token:
            warnings = await knock(ledger, settings, stripe, clock)
            # An attempt that a dead push left in flight may be what a report is about.
            ledger.outbox.recover(token, clock())
            polled = await poll_error_reports(ledger, stripe.reports, token=token, clock=clock)
            polled.warnings[:0] = warnings
    counts = ledger.outbox.counts()
    return Reconciliation(
        polled=polled,
        reports=ledger.error_reports.reported_since(clock() - LISTED_DAYS * DAY, LISTED_REPORTS),
        rejected=counts[State.REJECTED],
        in_doubt=counts[State.IN_DOUBT],
    )
