"""Delivery: what an attempt means, given the attempts before it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.delivery import (
    IDENTIFIER_KEPT,
    MAX_BACKOFF_SECONDS,
    MIN_BACKOFF_SECONDS,
    RESEND_HORIZON,
    TRANSITIONS,
    Attempt,
    InDoubtReason,
    Outcome,
    Result,
    State,
    Verdict,
    backoff_seconds,
    is_past_horizon,
    next_idempotency_key,
    resolution,
    verdict,
)
from meterledger.domain.instant import HOUR, SECOND
from meterledger.domain.way import Way
from support.properties import steady

T0 = 1_790_812_800 * SECOND
KEY = "ml1-abc"


def attempt(
    number: int = 1,
    result: Result | None = Result.UNKNOWN,
    *,
    at: int = T0,
    seconds: int = 5,
    key: str = KEY,
    answered: bool = False,
) -> Attempt:
    """Return an earlier attempt that took some seconds; without a result it is still in flight."""
    finished = None if result is None else at + seconds * SECOND
    return Attempt(
        number=number,
        idempotency_key=key,
        started_at=at,
        finished_at=finished,
        result=result,
        answered=answered,
    )


NONE: tuple[Attempt, ...] = ()
REFUSED = (attempt(1, Result.NOT_SENT),)
UNKNOWN = (attempt(1, Result.UNKNOWN),)
IN_FLIGHT = (attempt(1, None),)
UNKNOWN_THEN_REFUSED = (attempt(1, Result.UNKNOWN), attempt(2, Result.NOT_SENT, at=T0 + 10 * SECOND))
SETTLED = (
    Attempt(
        number=1, idempotency_key=KEY, started_at=T0, finished_at=T0, result=Result.UNKNOWN, settled=True
    ),
)


@pytest.mark.parametrize(
    ("earlier", "result", "state", "reason"),
    [
        (NONE, Result.ACCEPTED, State.ACCEPTED, None),
        (REFUSED, Result.ACCEPTED, State.ACCEPTED, None),
        (UNKNOWN, Result.ACCEPTED, State.ACCEPTED, None),
        (IN_FLIGHT, Result.ACCEPTED, State.ACCEPTED, None),
        (NONE, Result.DUPLICATE, State.IN_DOUBT, InDoubtReason.IDENTIFIER_TAKEN),
        (REFUSED, Result.DUPLICATE, State.IN_DOUBT, InDoubtReason.IDENTIFIER_TAKEN),
        (UNKNOWN, Result.DUPLICATE, State.ACCEPTED, None),
        (IN_FLIGHT, Result.DUPLICATE, State.ACCEPTED, None),
        (UNKNOWN_THEN_REFUSED, Result.DUPLICATE, State.ACCEPTED, None),
        (NONE, Result.TAKEN, State.IN_DOUBT, InDoubtReason.IDENTIFIER_TAKEN),
        (REFUSED, Result.TAKEN, State.IN_DOUBT, InDoubtReason.IDENTIFIER_TAKEN),
        (UNKNOWN, Result.TAKEN, State.IN_DOUBT, InDoubtReason.IDENTIFIER_TAKEN),
        (NONE, Result.REJECTED, State.REJECTED, None),
        (REFUSED, Result.REJECTED, State.REJECTED, None),
        (UNKNOWN, Result.REJECTED, State.SENDING, None),
        (IN_FLIGHT, Result.REJECTED, State.SENDING, None),
        (UNKNOWN_THEN_REFUSED, Result.REJECTED, State.SENDING, None),
        (SETTLED, Result.REJECTED, State.REJECTED, None),
        (NONE, Result.NOT_SENT, State.PENDING, None),
        (REFUSED, Result.NOT_SENT, State.PENDING, None),
        (UNKNOWN, Result.NOT_SENT, State.SENDING, None),
        (IN_FLIGHT, Result.NOT_SENT, State.SENDING, None),
        (UNKNOWN_THEN_REFUSED, Result.NOT_SENT, State.SENDING, None),
        (SETTLED, Result.NOT_SENT, State.PENDING, None),
        (NONE, Result.UNKNOWN, State.SENDING, None),
        (REFUSED, Result.UNKNOWN, State.SENDING, None),
        (UNKNOWN, Result.UNKNOWN, State.SENDING, None),
        (IN_FLIGHT, Result.UNKNOWN, State.SENDING, None),
    ],
)
def test_what_an_attempt_means(
    earlier: tuple[Attempt, ...], result: Result, state: State, reason: InDoubtReason | None
) -> None:
    """An unknown outcome is only settled by knowledge, and a duplicate is ours only after an unknown one."""
    found = verdict(earlier, T0 + HOUR, Outcome(result=result, at=T0 + HOUR + SECOND, code="c"))

    assert (state, reason) == (found.state, found.in_doubt_reason)


@pytest.mark.parametrize("result", list(Result))
@pytest.mark.parametrize("earlier", [NONE, REFUSED, UNKNOWN, IN_FLIGHT, UNKNOWN_THEN_REFUSED])
def test_every_verdict_is_a_legal_change_that_the_ledger_takes(
    earlier: tuple[Attempt, ...], result: Result
) -> None:
    """After any outcome the state can follow `sending`, and it comes with what that state has to have."""
    found = verdict(earlier, T0 + HOUR, Outcome(result=result, at=T0 + HOUR + SECOND, code="c"))

    assert found.state is State.SENDING or found.state in TRANSITIONS[State.SENDING]
    assert (found.state is State.ACCEPTED) == (found.accepted_by is not None)
    assert (found.accepted_at is None) == (found.accepted_by is None) == (found.accepted_from is None)
    assert (found.state is State.IN_DOUBT) == (found.in_doubt_reason is not None)
    assert (found.state is State.REJECTED) == (found.rejection_code is not None)


def test_an_accepted_event_takes_stripes_own_time() -> None:
    """The time of acceptance is what the 200 says, else when it came in, even where that is the epoch."""
    created = verdict(NONE, T0, Outcome(result=Result.ACCEPTED, at=T0 + SECOND, created=T0 - SECOND))
    epoch = verdict(NONE, T0, Outcome(result=Result.ACCEPTED, at=T0 + SECOND, created=0))
    unsaid = verdict(NONE, T0, Outcome(result=Result.ACCEPTED, at=T0 + SECOND))

    assert (created.accepted_at, created.accepted_from, created.accepted_by) == (T0 - SECOND,) * 3
    assert epoch.accepted_at == 0
    assert (unsaid.accepted_at, unsaid.accepted_from, unsaid.accepted_by) == (T0 + SECOND,) * 3


@pytest.mark.parametrize(
    ("earlier", "accepted_from", "accepted_by"),
    [
        ((attempt(1),), T0, T0 + 5 * SECOND),
        ((attempt(1), attempt(2, at=T0 + 60 * SECOND)), T0, T0 + 65 * SECOND),
        ((attempt(1, Result.NOT_SENT), attempt(2, at=T0 + 60 * SECOND)), T0 + 60 * SECOND, T0 + 65 * SECOND),
        ((attempt(1), attempt(2, Result.NOT_SENT, at=T0 + 60 * SECOND)), T0, T0 + 5 * SECOND),
        ((attempt(1, None),), T0, T0 + HOUR),
        ((attempt(1), attempt(2, None, at=T0 + 60 * SECOND)), T0, T0 + HOUR),
        ((attempt(1, seconds=7200),), T0, T0 + HOUR),
        ((attempt(1, seconds=-60),), T0, T0),
    ],
)
def test_after_a_duplicate_the_truth_lies_within_the_unknown_attempts(
    earlier: tuple[Attempt, ...], accepted_from: int, accepted_by: int
) -> None:
    """The bounds are the first start and the last end of unknown attempts, never after the one that told."""
    found = verdict(earlier, T0 + HOUR, Outcome(result=Result.DUPLICATE, at=T0 + HOUR + SECOND))

    assert (accepted_from, accepted_by) == (found.accepted_from, found.accepted_by)
    assert found.accepted_at == found.accepted_by


@pytest.mark.parametrize(
    ("earlier", "outcome", "retry"),
    [
        (NONE, Outcome(result=Result.NOT_SENT, at=T0), True),
        (NONE, Outcome(result=Result.UNKNOWN, at=T0), True),
        (UNKNOWN, Outcome(result=Result.NOT_SENT, at=T0), True),
        (NONE, Outcome(result=Result.NOT_SENT, at=T0, stops_run=True), False),
        (NONE, Outcome(result=Result.UNKNOWN, at=T0, stops_run=True), False),
        (NONE, Outcome(result=Result.ACCEPTED, at=T0), False),
        (NONE, Outcome(result=Result.DUPLICATE, at=T0), False),
        (UNKNOWN, Outcome(result=Result.DUPLICATE, at=T0), False),
        (NONE, Outcome(result=Result.TAKEN, at=T0), False),
        (NONE, Outcome(result=Result.REJECTED, at=T0, code="c"), False),
        (UNKNOWN, Outcome(result=Result.REJECTED, at=T0, code="c"), False),
    ],
)
def test_only_what_may_come_out_otherwise_is_tried_again(
    earlier: tuple[Attempt, ...], outcome: Outcome, retry: object
) -> None:
    """Certain answers are not asked for again, and nothing is once the run has to stop."""
    assert retry is verdict(earlier, T0, outcome).retry


@pytest.mark.parametrize(
    ("outcome", "code", "message"),
    [
        (
            Outcome(result=Result.REJECTED, at=T0, http_status=400, code="no_meter", message="gone"),
            "no_meter",
            "gone",
        ),
        (Outcome(result=Result.REJECTED, at=T0, http_status=404), "http_404", ""),
    ],
)
def test_a_rejection_always_has_a_code(outcome: Outcome, code: str, message: str) -> None:
    """What Stripe answered is kept, and a refusal without a code is named by its status."""
    found = verdict(NONE, T0, outcome)

    assert found == Verdict(state=State.REJECTED, rejection_code=code, rejection_message=message)


def test_resending_ends_23_hours_after_the_first_attempt_that_may_have_arrived() -> None:
    """At 23 h the identifier is too old to send again, a microsecond before it is not."""
    assert RESEND_HORIZON == 23 * HOUR
    assert not is_past_horizon(UNKNOWN, T0 + 23 * HOUR - 1)
    assert is_past_horizon(UNKNOWN, T0 + 23 * HOUR)
    assert is_past_horizon(IN_FLIGHT, T0 + 23 * HOUR)


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        (NONE, False),
        (REFUSED, False),
        (SETTLED, False),
        (UNKNOWN_THEN_REFUSED, True),
        ((attempt(1, Result.NOT_SENT), attempt(2, at=T0 + HOUR)), False),
        ((attempt(1), attempt(2, at=T0 + HOUR)), True),
        ((attempt(1, at=T0 + HOUR), attempt(2, at=T0)), True),
    ],
)
def test_only_attempts_that_may_have_arrived_age(attempts: tuple[Attempt, ...], expected: object) -> None:
    """What Stripe certainly did not take, or what was settled, holds no identifier back."""
    assert expected is is_past_horizon(attempts, T0 + 23 * HOUR + 30 * 60 * SECOND)


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        ((), KEY),
        ((attempt(),), KEY),
        ((attempt(), attempt(), attempt(), attempt()), KEY),
        ((attempt(answered=True),), KEY),
        ((attempt(answered=True), attempt()), KEY),
        ((attempt(answered=True), attempt(answered=True)), f"{KEY}:2"),
        ((attempt(answered=True), attempt(), attempt(answered=True)), f"{KEY}:2"),
        ((attempt(result=Result.NOT_SENT, answered=True),) * 2, f"{KEY}:2"),
        ((attempt(answered=True),) * 2 + (attempt(key=f"{KEY}:2"),), f"{KEY}:2"),
        ((attempt(answered=True),) * 2 + (attempt(key=f"{KEY}:2", answered=True),), f"{KEY}:2"),
        ((attempt(answered=True),) * 2 + (attempt(key=f"{KEY}:2", answered=True),) * 2, f"{KEY}:3"),
        (
            (attempt(answered=True),) * 2
            + (attempt(key=f"{KEY}:2", answered=True),) * 2
            + (attempt(key=f"{KEY}:3", answered=True),) * 2,
            f"{KEY}:4",
        ),
    ],
)
def test_the_idempotency_key_changes_only_after_two_answers(
    earlier: tuple[Attempt, ...], expected: str
) -> None:
    """Without an answer the key stays, and after two complete retryable ones the next has a number."""
    assert expected == next_idempotency_key(KEY, earlier)


@steady
@given(failures=st.integers(1, 20), chance=st.floats(0.0, 1.0, exclude_max=True))
def test_waits_lie_between_half_a_second_and_thirty(failures: int, chance: float) -> None:
    """Every wait has full jitter within 0.5 and 30 seconds, and more failures never wait less."""
    wait = backoff_seconds(failures, chance)

    assert MIN_BACKOFF_SECONDS == 0.5
    assert MAX_BACKOFF_SECONDS == 30.0
    assert 0.5 <= wait <= 30.0
    assert wait <= backoff_seconds(failures + 1, chance)


@pytest.mark.parametrize(
    ("failures", "chance", "retry_after", "expected"),
    [
        (1, 0.0, None, 0.5),
        (1, 0.5, None, 0.75),
        (3, 0.0, None, 0.5),
        (3, 0.5, None, 2.25),
        (20, 0.5, None, 15.25),
        (1, 0.0, 7.0, 7.0),
        (20, 0.5, 1.0, 15.25),
        (1, 0.0, 0.0, 0.5),
        (1, 0.0, 3600.0, 30.0),
    ],
)
def test_stripes_retry_after_is_heeded(
    failures: int, chance: float, retry_after: float | None, expected: float
) -> None:
    """The longer of the two waits wins, up to the maximum."""
    assert expected == backoff_seconds(failures, chance, retry_after)


LEGAL = {
    ("pending", "sending"),
    ("pending", "canceled"),
    ("sending", "pending"),
    ("sending", "accepted"),
    ("sending", "rejected"),
    ("sending", "in_doubt"),
    ("in_doubt", "pending"),
    ("in_doubt", "accepted"),
    ("in_doubt", "confirmed"),
    ("in_doubt", "rejected"),
    ("accepted", "confirmed"),
    ("accepted", "rejected"),
    ("accepted", "in_doubt"),
    ("accepted", "canceled"),
    ("confirmed", "rejected"),
    ("confirmed", "in_doubt"),
    ("confirmed", "canceled"),
}


@pytest.mark.parametrize("before", list(State))
@pytest.mark.parametrize("after", list(State))
def test_every_change_of_state_is_legal_or_not(before: State, after: State) -> None:
    """The table of legal changes is exactly the one of the contract: rejected and canceled are ends."""
    assert ((before.value, after.value) in LEGAL) == (after in TRANSITIONS[before])


def test_a_person_settles_an_attempt_that_seems_to_end_before_it_began() -> None:
    """After a small step of the clock backwards the bounds still have room for the acceptance."""
    attempt = Attempt(number=1, idempotency_key="k", started_at=100, finished_at=90, result=Result.UNKNOWN)
    settled = resolution([attempt], sent=True, now=95)
    assert (settled.accepted_from, settled.accepted_by) == (100, 100)


def test_a_key_that_stripe_answered_for_good_is_not_used_again() -> None:
    """A refusal that no retry changes may be kept under its key: the next attempt takes another at once."""
    refused = replace(attempt(1, Result.NOT_SENT, answered=True), spent_key=True)
    assert next_idempotency_key(KEY, [refused]) == f"{KEY}:2"
    again = replace(refused, number=2, idempotency_key=f"{KEY}:2")
    assert next_idempotency_key(KEY, [refused, again]) == f"{KEY}:3"


@pytest.mark.parametrize("result", [Result.ACCEPTED, Result.DUPLICATE])
def test_a_key_under_which_it_was_taken_is_not_used_again(result: Result) -> None:
    """It goes again because that did not count: a replay of the answer would be taken for a new one."""
    assert next_idempotency_key(KEY, [attempt(1, result, answered=True)]) == f"{KEY}:2"
    after_nothing = [attempt(1, Result.UNKNOWN), attempt(2, result, answered=True)]
    assert next_idempotency_key(KEY, after_nothing) == f"{KEY}:2"


@pytest.mark.parametrize("since", [Result.NOT_SENT, Result.UNKNOWN])
@pytest.mark.parametrize("taken", [Result.ACCEPTED, Result.DUPLICATE])
@pytest.mark.parametrize("result", [Result.ACCEPTED, Result.DUPLICATE])
def test_what_was_taken_and_did_not_count_guards_its_identifier_for_a_day(
    result: Result, taken: Result, since: Result
) -> None:
    """Until then a duplicate, or the stream's 200, may only mean the attempt that a report denied."""
    earlier = (attempt(1, taken), attempt(2, since, at=T0 + HOUR))
    answer = Outcome(result=result, at=T0 + 2 * HOUR)
    judged = verdict(earlier, T0 + IDENTIFIER_KEPT - 1, answer)
    assert judged == Verdict(state=State.IN_DOUBT, in_doubt_reason=InDoubtReason.IDENTIFIER_TAKEN)


def test_after_a_day_the_streams_answer_means_this_attempt() -> None:
    """The identifier of what did not count is free again by then, so that a 200 says that it is in."""
    at = T0 + IDENTIFIER_KEPT
    judged = verdict((attempt(1, Result.ACCEPTED),), at, Outcome(result=Result.ACCEPTED, at=at))
    assert judged == Verdict(state=State.ACCEPTED, accepted_at=at, accepted_from=at, accepted_by=at)


def test_a_200_that_names_its_event_is_one_of_this_attempt() -> None:
    """v1 and v2 refuse duplicates: what they take under another key is counted now."""
    answer = Outcome(result=Result.ACCEPTED, at=T0 + HOUR, created=T0 + HOUR)
    assert verdict((attempt(1, Result.ACCEPTED),), T0 + HOUR, answer).state is State.ACCEPTED


def test_no_key_goes_two_ways() -> None:
    """What was tried one way and certainly not taken goes another way under a key of its own."""
    refused = attempt(result=Result.NOT_SENT)
    assert next_idempotency_key(KEY, (refused,), Way.V2) == f"{KEY}:2"
    by_v2 = replace(refused, idempotency_key=f"{KEY}:2", way=Way.V2)
    assert next_idempotency_key(KEY, (refused, by_v2), Way.V2) == f"{KEY}:2"
    assert next_idempotency_key(KEY, (refused, by_v2), Way.V1) == KEY
    streamed = replace(refused, idempotency_key="mlb1-x", way=Way.STREAM)
    assert next_idempotency_key(KEY, (streamed,), Way.V1) == KEY


def test_an_acceptance_without_a_time_may_be_of_an_earlier_attempt() -> None:
    """The stream's 200 spans the unknown attempts; one that names its time does not."""
    outcome = Outcome(result=Result.ACCEPTED, at=T0 + 60 * SECOND)
    spanning = verdict(UNKNOWN, T0 + 50 * SECOND, outcome)
    assert (spanning.accepted_from, spanning.accepted_by) == (T0, T0 + 60 * SECOND)
    alone = verdict(NONE, T0, outcome)
    assert alone.accepted_from == alone.accepted_by == alone.accepted_at == T0 + 60 * SECOND
    named = verdict(UNKNOWN, T0, replace(outcome, created=T0 + SECOND))
    assert named.accepted_from == named.accepted_by == T0 + SECOND
