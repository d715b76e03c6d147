"""The proof passes for the program as it is, and fails for one that is broken on purpose."""

import pytest

from meterledger.proving.history import ImportFile, size_of
from meterledger.proving.invariants import Invariant
from meterledger.proving.prove import ProofReport, prove
from meterledger.proving.world import Parts
from support.broken_parts import HastyGateway, HopefulGateway, RenamingGateway, forgetful

MOST_RUNS = 20
"""What a person gets who gives no number: whatever is broken on purpose here is found within it."""

RARE = {
    Invariant.UNSENT_IS_NOT_COUNTED,
    Invariant.BLOCKED_WITH_REASON,
    Invariant.DOUBT_HAS_CAUSE,
    # Or it is taken back, and blocked by what came since.
    Invariant.UNSENT_IS_NOT_COUNTED,
    Invariant.CLOCK_SET_BACK_STOPS,
    Invariant.ONE_PUSHER,
    Invariant.OLD_COPY_STOPS,
    Invariant.LAST_VALUE_STANDS,
}
"""What not every history gives occasion to check."""

SMALL = 12
"""Steps and rows together."""


def found(parts: Parts) -> ProofReport:
    """Prove something broken."""
    report = prove(1, MOST_RUNS, parts=parts)
    assert report.failure is not None
    return report


def test_six_histories_pass() -> None:
    """Nothing counts twice and nothing is lost in the first six histories, and everything was checked."""
    report = prove(1, 6)

    assert report.failure is None, report.failure
    assert report.runs == 6
    assert report.tally.pushes > 10
    assert report.tally.requests > 100
    assert report.tally.faults_struck > 0
    assert set(report.tally.checked) >= set(Invariant) - RARE


def test_usage_of_a_customers_own_closed_period_is_held_back_rightly() -> None:
    """In this history an anchor of a customers file ends a period in mid-month: the model knows it too."""
    report = prove(9030, 1)

    assert report.failure is None, report.failure
    assert report.tally.checked[Invariant.BLOCKED_WITH_REASON] > 0


@pytest.mark.slow
def test_two_hundred_histories_pass() -> None:
    """The same for two hundred: every kind of step, and every invariant many times."""
    report = prove(1, 200)

    assert report.failure is None, report.failure
    assert report.runs == 200
    assert report.tally.crashes > 100
    assert report.tally.faults_struck > 500
    assert min(report.tally.checked[one] for one in Invariant) > 20


def test_an_identifier_that_changes_between_attempts_is_found() -> None:
    """Whoever sends a second attempt under another identifier counts twice: one row and one fault show it."""
    failure = found(Parts(gateway=RenamingGateway)).failure

    assert failure is not None
    assert failure.broken.invariant in {
        Invariant.NEVER_TOO_MUCH,
        Invariant.COUNTED_ONCE,
        Invariant.ACCEPTED_IS_COUNTED,
    }
    assert size_of(failure.history.steps) <= SMALL


def test_a_planner_that_leaves_a_row_out_is_found() -> None:
    """Usage that is neither sent nor held back with a reason is lost, and one imported row is enough."""
    failure = found(Parts(ledger=forgetful)).failure

    assert failure is not None
    assert failure.broken.invariant is Invariant.BLOCKED_WITH_REASON
    (step,) = failure.history.steps
    assert isinstance(step, ImportFile)
    assert len(step.rows) == 1


def test_unknown_taken_for_not_sent_is_found() -> None:
    """What was never known to be lost is counted a second time once Stripe has forgotten its identifier."""
    failure = found(Parts(gateway=HastyGateway)).failure

    assert failure is not None
    assert failure.broken.invariant in {
        Invariant.COUNTED_ONCE,
        Invariant.PUSH_AGAIN_CHANGES_NOTHING,
        # Its duplicate is found at once where the identifier is still known: in doubt, and nobody sees why.
        Invariant.DOUBT_HAS_CAUSE,
        # Or it is taken back, as if it had never left, and blocked since.
        Invariant.UNSENT_IS_NOT_COUNTED,
    }
    assert size_of(failure.history.steps) <= SMALL


def test_unknown_taken_for_accepted_is_found() -> None:
    """What was hoped to have arrived is missing at Stripe."""
    failure = found(Parts(gateway=HopefulGateway)).failure

    assert failure is not None
    assert failure.broken.invariant is Invariant.ACCEPTED_IS_COUNTED
    assert size_of(failure.history.steps) <= SMALL
