"""What the ledger and the config know of billing periods and deadlines."""

from meterledger.config import Settings
from meterledger.domain.dues import Dues
from meterledger.domain.grace import Grace
from meterledger.domain.instant import Instant
from meterledger.ledger import Ledger


def known_dues(
    ledger: Ledger, settings: Settings, as_of: Instant | None = None, *, grace: Grace | None = None
) -> Dues:
    """
    Return what answers when usage is due.

    Args:
        ledger: Customers files, and what Stripe said.
        settings: Grace periods, and whether periods are calendar months for certain.
        as_of: As it was known then; None for now.
        grace: Other grace periods than the config's.
    """
    return Dues(
        grace or settings.invoicing.grace,
        calendar_known=settings.invoicing.calendar_periods,
        customers=ledger.customers.book(as_of, with_cycles=True),
        items=ledger.subscriptions.billed_items(as_of),
    )
