"""
What a correction of usage that was sent would need.

Stripe cancels one meter event by its identifier, within 24 hours of receiving it; what is on a final
invoice stays there.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from meterledger.domain.delivery import State
from meterledger.domain.instant import HOUR, Instant

CANCEL_WINDOW = 24 * HOUR
"""How long after receiving a meter event Stripe takes a cancellation of it."""


class Remedy(StrEnum):
    """What takes usage back that a meter event carries."""

    CANCEL = "cancel"
    NEGATIVE_VALUE = "negative_value"
    INVOICE_ITEM = "invoice_item"
    PUSH = "push"
    RESOLVE = "resolve"
    NOTHING = "nothing"

    @property
    def meaning(self) -> str:
        """What to do, in one line."""
        return _MEANINGS[self]


_MEANINGS = {
    Remedy.CANCEL: "cancel it at Stripe, by its event_name and identifier",
    Remedy.NEGATIVE_VALUE: "its meter event carries other usage too: leave that, and send its negative value",
    Remedy.INVOICE_ITEM: "too late to cancel it: credit it by an invoice item or a credit note",
    Remedy.PUSH: "nobody knows yet whether Stripe has it: push settles that",
    Remedy.RESOLVE: "in doubt: settle it with resolve first",
    Remedy.NOTHING: "Stripe does not count it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What takes one meter event back, and until when Stripe cancels it, where that is known."""

    remedy: Remedy
    cancel_until: Instant | None = None


def correction_of(
    state: State, accepted_from: Instant | None, now: Instant, *, usage_events: int = 1
) -> Correction:
    """
    Return what takes usage back that a meter event carries.

    Args:
        state: That of the meter event.
        accepted_from: The earliest instant at which Stripe can have accepted it.
        now: The time.
        usage_events: How many it carries: a cancellation takes back all of them.
    """
    match state:
        case State.ACCEPTED | State.CONFIRMED if usage_events > 1:
            return Correction(remedy=Remedy.NEGATIVE_VALUE)
        case State.ACCEPTED | State.CONFIRMED:
            until = None if accepted_from is None else accepted_from + CANCEL_WINDOW
            is_open = until is not None and now < until
            return Correction(remedy=Remedy.CANCEL if is_open else Remedy.INVOICE_ITEM, cancel_until=until)
        case State.PENDING | State.SENDING:
            return Correction(remedy=Remedy.PUSH)
        case State.IN_DOUBT:
            return Correction(remedy=Remedy.RESOLVE)
        case State.REJECTED | State.CANCELED:
            return Correction(remedy=Remedy.NOTHING)
        case _:
            assert_never(state)
