"""The outbox: claims, outcomes and links, taken back, recovered and resolved."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.domain.delivery import Outcome, Result, State
from meterledger.errors import LedgerError, MeterledgerError
from meterledger.ledger.lease import Holder
from meterledger.ledger.outbox import Claimed, Finished
from support.outbox_desk import (
    ACCEPTED,
    HOLDER,
    PENDING,
    REJECTED,
    SENDING,
    Desk,
    open_desk,
    put_in,
    world_with_usage,
)
from support.pushing import HOUR, MINUTE, SECOND, START, World


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make a ledger with two usage events to copy."""
    return world_with_usage(tmp_path_factory.mktemp("template"))


@pytest.fixture
def desk(template: World, tmp_path: Path) -> Iterator[Desk]:
    """Open a copy of that ledger."""
    with open_desk(template, tmp_path / "w") as opened:
        yield opened


# Claims.


def test_a_claim_is_committed_when_it_returns(desk: Desk) -> None:
    """Another connection sees the meter event, its link and its attempt before anything is sent."""
    claimed = desk.claim()
    assert desk.sql("SELECT id, identifier, state, attempts FROM meter_events") == [
        (claimed.id, claimed.sealed.identifier, "sending", 1)
    ]
    assert desk.sql("SELECT meter_event, attempt, idempotency_key, outcome FROM delivery_attempts") == [
        (claimed.id, 1, claimed.sealed.identifier, None)
    ]
    assert desk.sql("SELECT meter_event, unlinked_at FROM meter_event_usage") == [(claimed.id, None)]
    assert len(desk.unsealed()) == 1


def test_a_claim_renews_the_lease(desk: Desk) -> None:
    """Whoever claims holds on for longer."""
    desk.claim(START + MINUTE)
    assert desk.ledger.lease.current_holder(START + 3 * MINUTE - 1) == HOLDER


def test_who_lost_the_lease_claims_nothing(desk: Desk) -> None:
    """Neither a first nor a further attempt is begun without the lease."""
    claimed = desk.claim()
    desk.finish(claimed, Result.UNKNOWN, SENDING)
    desk.ledger.lease.take(Holder(host="here", pid=2, process_started="b"), HOLDER, START)
    with pytest.raises(LedgerError):
        desk.claim()
    with pytest.raises(LedgerError):
        desk.again(claimed, START + SECOND)
    assert desk.sql("SELECT COUNT(*) FROM delivery_attempts") == [(1,)]
    assert len(desk.unsealed()) == 1


def test_one_usage_event_is_claimed_once(desk: Desk) -> None:
    """A second claim of the same usage is refused as a whole."""
    usage, other = desk.unsealed()
    sealed = [desk.sealed(usage)]
    desk.ledger.outbox.claim_new(sealed, push=desk.push, token=desk.token, now=START)
    with pytest.raises(LedgerError):
        desk.ledger.outbox.claim_new(
            [desk.sealed(other), *sealed], push=desk.push, token=desk.token, now=START
        )
    assert desk.sql("SELECT COUNT(*) FROM meter_events") == [(1,)]
    assert desk.unsealed() == [other]


def test_a_claim_of_yesterdays_news_is_refused(desk: Desk) -> None:
    """A further attempt is claimed only from the attempt that is known: else another push is at work."""
    claimed = desk.claim()
    desk.finish(claimed, Result.UNKNOWN, SENDING)
    desk.again(claimed, START + SECOND)
    with pytest.raises(LedgerError):
        desk.again(claimed, START + 2 * SECOND)
    assert desk.sql("SELECT COUNT(*) FROM delivery_attempts") == [(2,)]


def test_a_claim_past_the_horizon_is_in_doubt(desk: Desk) -> None:
    """23 h after an attempt that may have arrived no further one is begun."""
    claimed = desk.claim()
    desk.finish(claimed, Result.UNKNOWN, SENDING)
    assert desk.again(claimed, START + 23 * HOUR) == []
    assert desk.sql("SELECT state, in_doubt_reason, attempts FROM meter_events") == [
        ("in_doubt", "outcome_unknown", 1)
    ]
    assert desk.sql("SELECT COUNT(*) FROM delivery_attempts") == [(1,)]


# Outcomes.


def test_an_outcome_is_recorded_once(desk: Desk) -> None:
    """Finishing is compare-and-set: a second finish fails and changes nothing."""
    claimed = desk.claim()
    desk.finish(claimed, Result.ACCEPTED, ACCEPTED)
    before = desk.sql("SELECT * FROM meter_events"), desk.sql("SELECT * FROM delivery_attempts")
    for result, verdict in ((Result.ACCEPTED, ACCEPTED), (Result.REJECTED, REJECTED)):
        with pytest.raises(LedgerError):
            desk.finish(claimed, result, verdict)
    assert before == (desk.sql("SELECT * FROM meter_events"), desk.sql("SELECT * FROM delivery_attempts"))


def test_outcomes_are_recorded_together_or_not_at_all(desk: Desk) -> None:
    """One stale outcome among several rolls all of them back."""
    first, second = desk.claim(), desk.claim()
    desk.finish(first, Result.ACCEPTED, ACCEPTED)
    outcome = Outcome(result=Result.ACCEPTED, at=START)
    finished = [Finished(claimed=one, outcome=outcome, verdict=ACCEPTED) for one in (second, first)]
    with pytest.raises(LedgerError):
        desk.ledger.outbox.finish(finished, START)
    assert desk.sql("SELECT state FROM meter_events ORDER BY id") == [("accepted",), ("sending",)]


def test_an_interrupted_attempt_takes_no_late_outcome(desk: Desk) -> None:
    """What was recovered as unknown stays so, even if its answer turns up in the old process."""
    claimed = desk.claim()
    desk.world.time.advance(HOUR)
    desk.sql(
        "UPDATE delivery_attempts SET outcome = 'unknown', finished_at = ?, code = 'interrupted'", START + 1
    )
    with pytest.raises(LedgerError):
        desk.finish(claimed, Result.NOT_SENT, PENDING)
    assert desk.sql("SELECT outcome FROM delivery_attempts") == [("unknown",)]


# Dissolving.


def test_dissolving_frees_identifier_and_usage(desk: Desk) -> None:
    """A claim that never arrived leaves its history; its usage is sealed anew under the same identifier."""
    usage = desk.unsealed()[0]
    claimed = desk.claim()
    desk.finish(claimed, Result.NOT_SENT, PENDING)
    assert desk.ledger.outbox.never_reached() == [claimed.id]
    desk.dissolve(claimed.id, START + SECOND)
    assert desk.unsealed()[0] == usage
    assert desk.ledger.outbox.counts()["canceled"] == 0
    anew = desk.claim(START + 2 * SECOND)
    assert anew.sealed.identifier == claimed.sealed.identifier
    assert anew.id != claimed.id
    assert desk.sql("SELECT COUNT(*), COUNT(unlinked_at) FROM meter_event_usage") == [(2, 1)]


@pytest.mark.parametrize("state", [state for state in State if state is not State.PENDING])
def test_only_what_is_pending_is_dissolved(desk: Desk, state: State) -> None:
    """In any other state Stripe may have it."""
    number = put_in(desk, state)
    with pytest.raises(LedgerError):
        desk.dissolve(number, START)
    assert desk.sql("SELECT unlinked_at FROM meter_event_usage") == [(None,)]


def test_what_may_have_arrived_is_never_dissolved(desk: Desk) -> None:
    """From the first attempt that may have arrived a meter event is fixed, whatever a person said since."""
    claimed = desk.claim()
    desk.finish(claimed, Result.UNKNOWN, SENDING)
    desk.again(claimed, START + 23 * HOUR)
    desk.ledger.outbox.resolve(
        claimed.sealed.identifier, sent=False, note="looked it up", now=START + 24 * HOUR
    )
    assert desk.ledger.outbox.never_reached() == []
    with pytest.raises(LedgerError):
        desk.dissolve(claimed.id, START + 25 * HOUR)
    assert desk.sql("SELECT state FROM meter_events") == [("pending",)]


# Recovery.


def test_recovery_makes_open_attempts_unknown(desk: Desk) -> None:
    """Only what has no outcome is touched, once."""
    done, open_ = desk.claim(), desk.claim()
    desk.finish(done, Result.ACCEPTED, ACCEPTED)
    assert desk.recover(START + HOUR) == 1
    assert desk.recover(START + HOUR) == 0
    attempts = desk.ledger.outbox.attempts_of(open_.id)
    assert [(one.result, one.finished_at, one.answered) for one in attempts] == [
        (Result.UNKNOWN, START + HOUR, False)
    ]
    assert desk.sql("SELECT state FROM meter_events ORDER BY id") == [("accepted",), ("sending",)]


# Resolving.


def in_doubt(desk: Desk) -> Claimed:
    """Bring a meter event in doubt."""
    claimed = desk.claim()
    desk.finish(claimed, Result.UNKNOWN, SENDING, START + SECOND)
    desk.again(claimed, START + 23 * HOUR)
    return claimed


def test_resolved_as_sent(desk: Desk) -> None:
    """A person's word makes it accepted, within the bounds of its attempts, and is kept with its note."""
    claimed = in_doubt(desk)
    now = START + 30 * HOUR
    state = desk.ledger.outbox.resolve(claimed.sealed.identifier, sent=True, note="on the invoice", now=now)
    assert state is State.ACCEPTED
    assert desk.sql("SELECT state, in_doubt_reason, accepted_from, accepted_by FROM meter_events") == [
        ("accepted", None, START, START + SECOND)
    ]
    assert desk.sql("SELECT settled_as, note, resolved_at FROM resolutions") == [
        ("sent", "on the invoice", now)
    ]


def test_resolved_as_not_sent(desk: Desk) -> None:
    """It goes back to pending under the same identifier, and may be sent long after the 23 hours."""
    claimed = in_doubt(desk)
    now = START + 30 * HOUR
    identifier = claimed.sealed.identifier
    state = desk.ledger.outbox.resolve(identifier, sent=False, note="not at Stripe", now=now)
    assert state is State.PENDING
    [again] = desk.again(claimed, now + SECOND)
    assert (again.sealed, again.attempt) == (claimed.sealed, 2)
    assert again.idempotency_key == identifier


@pytest.mark.parametrize("state", [state for state in State if state is not State.IN_DOUBT])
def test_only_what_is_in_doubt_is_resolved(desk: Desk, state: State) -> None:
    """Nobody can talk a meter event out of another state."""
    put_in(desk, state)
    [(identifier,)] = desk.sql("SELECT identifier FROM meter_events")
    with pytest.raises(MeterledgerError, match="not in doubt"):
        desk.ledger.outbox.resolve(str(identifier), sent=True, note="n", now=START)
    assert desk.sql("SELECT COUNT(*) FROM resolutions") == [(0,)]


def test_an_identifier_of_nobody_is_not_resolved(desk: Desk) -> None:
    """A misspelt identifier is an error, not a success."""
    with pytest.raises(MeterledgerError, match="ml1-none"):
        desk.ledger.outbox.resolve("ml1-none", sent=True, note="n", now=START)


def test_a_resolution_without_a_note_is_refused(desk: Desk) -> None:
    """A person's word needs its reason; without one nothing changes."""
    claimed = in_doubt(desk)
    with pytest.raises(MeterledgerError):
        desk.ledger.outbox.resolve(claimed.sealed.identifier, sent=True, note="", now=START)
    assert desk.sql("SELECT state FROM meter_events") == [("in_doubt",)]
