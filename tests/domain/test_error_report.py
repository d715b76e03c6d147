"""What it means for a meter event that a report names it."""

import pytest

from meterledger.domain.delivery import TRANSITIONS, Attempt, InDoubtReason, Result, State
from meterledger.domain.error_report import KNOWN_REPORT_CODES, report_verdict

END = 1_000


def attempt(result: Result | None, started_at: int = 0, number: int = 1) -> Attempt:
    """Make an attempt."""
    return Attempt(
        number=number,
        idempotency_key="k",
        started_at=started_at,
        finished_at=None if result is None else started_at + 1,
        result=result,
    )


ACCEPTED = [attempt(Result.ACCEPTED)]
UNKNOWN = [attempt(Result.UNKNOWN)]


def judged(state: State, attempts: list[Attempt], code: str = "no_meter", end: int | None = END) -> object:
    """Return the state that follows; None if nothing changes."""
    verdict = report_verdict(state, attempts, code, "why", end)
    if verdict is None:
        return None
    assert verdict.state in TRANSITIONS[state]
    assert (verdict.rejection_code, verdict.rejection_message) == (
        (code, "why") if verdict.state is State.REJECTED else (None, None)
    )
    assert verdict.in_doubt_reason == (
        InDoubtReason.UNKNOWN_REPORT if verdict.state is State.IN_DOUBT else None
    )
    return verdict.state


@pytest.mark.parametrize("code", sorted(KNOWN_REPORT_CODES))
@pytest.mark.parametrize(
    ("state", "attempts"),
    [
        (State.ACCEPTED, ACCEPTED),
        (State.CONFIRMED, ACCEPTED),
        (State.SENDING, UNKNOWN),
        (State.IN_DOUBT, UNKNOWN),
    ],
)
def test_a_known_code_is_knowledge(state: State, attempts: list[Attempt], code: str) -> None:
    """What Stripe took, or may have taken, is not counted: rejected."""
    assert judged(state, attempts, code) is State.REJECTED


@pytest.mark.parametrize("state", [State.ACCEPTED, State.CONFIRMED, State.SENDING])
def test_an_unknown_code_is_doubt(state: State) -> None:
    """The list of codes is open: what a new one means nobody knows."""
    assert judged(state, ACCEPTED, "something_new") is State.IN_DOUBT


def test_what_is_in_doubt_stays_so_by_an_unknown_code() -> None:
    """Its reason stays too."""
    assert judged(State.IN_DOUBT, UNKNOWN, "something_new") is None


@pytest.mark.parametrize("state", [State.PENDING, State.REJECTED, State.CANCELED])
def test_what_is_not_out_is_left_alone(state: State) -> None:
    """Rejected or taken back already; or certainly never taken."""
    assert judged(state, UNKNOWN) is None


def test_a_single_attempt_is_what_the_report_is_about() -> None:
    """Whatever the clocks say."""
    assert judged(State.ACCEPTED, [attempt(Result.ACCEPTED, END + 500)]) is State.REJECTED
    assert judged(State.ACCEPTED, ACCEPTED, end=None) is State.REJECTED


@pytest.mark.parametrize("result", [Result.ACCEPTED, Result.UNKNOWN, None])
def test_a_later_attempt_may_have_counted(result: Result | None) -> None:
    """Nobody documents that an identifier that failed stays taken: an attempt after the window is doubt."""
    attempts = [attempt(Result.UNKNOWN), attempt(result, END, 2)]
    state = State.ACCEPTED if result is Result.ACCEPTED else State.SENDING
    assert judged(state, attempts) is State.IN_DOUBT
    assert judged(State.IN_DOUBT, attempts) is None
    assert judged(state, attempts, end=None) is State.IN_DOUBT
    assert judged(state, [attempts[0], attempt(result, END - 1, 2)]) is State.REJECTED


@pytest.mark.parametrize("result", [Result.DUPLICATE, Result.NOT_SENT])
def test_a_later_attempt_that_was_turned_away_changes_nothing(result: Result) -> None:
    """Stripe had one of them, and rejected it."""
    attempts = [attempt(Result.UNKNOWN), attempt(result, END + 5, 2)]
    assert judged(State.ACCEPTED, attempts) is State.REJECTED


def test_a_report_about_somebody_elses_event_settles_nothing() -> None:
    """Where no attempt of ours can have been taken, it is not about ours: a person settles it."""
    taken = [attempt(Result.DUPLICATE)]
    assert judged(State.IN_DOUBT, taken) is None
    assert judged(State.ACCEPTED, taken) is State.IN_DOUBT
