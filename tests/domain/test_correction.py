"""What takes a meter event back, by its state and the time since Stripe received it."""

import pytest

from meterledger.domain.correction import CANCEL_WINDOW, Correction, Remedy, correction_of
from meterledger.domain.delivery import State


@pytest.mark.parametrize("state", [State.ACCEPTED, State.CONFIRMED])
@pytest.mark.parametrize(
    ("later", "remedy"),
    [(0, Remedy.CANCEL), (CANCEL_WINDOW - 1, Remedy.CANCEL), (CANCEL_WINDOW, Remedy.INVOICE_ITEM)],
)
def test_stripe_cancels_within_its_window(state: State, later: int, remedy: Remedy) -> None:
    """From the earliest instant at which Stripe can have received it, for 24 hours and not longer."""
    found = correction_of(state, 1000, 1000 + later)

    assert found == Correction(remedy=remedy, cancel_until=1000 + CANCEL_WINDOW)


@pytest.mark.parametrize(
    ("state", "remedy"),
    [
        (State.PENDING, Remedy.PUSH),
        (State.SENDING, Remedy.PUSH),
        (State.IN_DOUBT, Remedy.RESOLVE),
        (State.REJECTED, Remedy.NOTHING),
        (State.CANCELED, Remedy.NOTHING),
    ],
)
def test_what_stripe_has_not_taken_has_no_window(state: State, remedy: Remedy) -> None:
    """What is not settled is settled first; what Stripe does not count needs nothing."""
    assert correction_of(state, None, 5) == Correction(remedy=remedy)


@pytest.mark.parametrize("remedy", Remedy)
def test_every_remedy_says_what_to_do(remedy: Remedy) -> None:
    """No report is left without words."""
    assert remedy.meaning
