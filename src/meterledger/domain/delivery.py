"""
Delivery: the states of a meter event, what an attempt may come to, and what follows from it.

The rule behind all of it: an unknown outcome is only settled by knowledge. ``Unknown`` means that
Stripe may have taken the event; ``NotSent`` that it certainly did not take *this* attempt, which says
nothing about an earlier one.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from meterledger.domain.instant import HOUR, SECOND, Instant
from meterledger.domain.way import Way

RESEND_HORIZON = 23 * HOUR
"""Stripe promises that an identifier is unique for at least 24 h; an hour is kept for clocks and queues."""

IDENTIFIER_KEPT = 25 * HOUR
"""For so long after an attempt Stripe may know its identifier: 24 h, and an hour for clocks and queues."""

MAX_ATTEMPTS_PER_RUN = 5
MIN_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
ANSWERS_PER_KEY = 2
"""Complete retryable answers under one Idempotency-Key before the next attempt takes another: Stripe may
replay a stored answer for 24 h."""


class State(StrEnum):
    """The state of a meter event."""

    PENDING = "pending"
    SENDING = "sending"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    IN_DOUBT = "in_doubt"
    CANCELED = "canceled"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.SENDING, State.CANCELED}),
    State.SENDING: frozenset({State.PENDING, State.ACCEPTED, State.REJECTED, State.IN_DOUBT}),
    State.IN_DOUBT: frozenset({State.PENDING, State.ACCEPTED, State.CONFIRMED, State.REJECTED}),
    State.ACCEPTED: frozenset({State.CONFIRMED, State.REJECTED, State.IN_DOUBT, State.CANCELED}),
    State.CONFIRMED: frozenset({State.REJECTED, State.IN_DOUBT, State.CANCELED}),
    State.REJECTED: frozenset(),
    State.CANCELED: frozenset(),
}
"""Every legal change of state; the ledger refuses any other."""


class InDoubtReason(StrEnum):
    """Why nobody but a person, an error report or reconciliation can settle a meter event."""

    OUTCOME_UNKNOWN = "outcome_unknown"
    IDENTIFIER_TAKEN = "identifier_taken"
    UNKNOWN_REPORT = "unknown_report"


class Result(StrEnum):
    """What one attempt came to, as the ledger records it."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """Stripe says the identifier exists already."""
    TAKEN = "taken"
    """The Idempotency-Key was used with another request."""
    REJECTED = "rejected"
    """Stripe says this event can never be taken."""
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One finished attempt: the result, and what Stripe answered."""

    result: Result
    at: Instant
    """When the answer, or the lack of one, was known."""
    answered: bool = False
    """Whether a complete HTTP answer came back."""
    http_status: int | None = None
    code: str | None = None
    message: str | None = None
    stripe_request_id: str | None = None
    created: Instant | None = None
    """``created`` of an accepted meter event."""
    retry_after_seconds: float | None = None
    should_retry: bool | None = None
    rate_limited: bool = False
    """Stripe said that requests come too fast, and not that this one met another."""
    stops_run: bool = False
    """Going on would be wrong: the key was refused, or the answer came from something that is no Stripe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An earlier attempt of the same meter event; ``result`` is None while in flight."""

    number: int
    idempotency_key: str
    started_at: Instant
    finished_at: Instant | None
    result: Result | None
    answered: bool = False
    settled: bool = False
    way: Way = Way.V1
    spent_key: bool = False
    """Stripe answered for good what may change: it may keep to that answer under this key."""

    @property
    def may_have_reached(self) -> bool:
        """Tell whether Stripe may have taken this attempt without our knowing."""
        return self.result in (None, Result.UNKNOWN) and not self.settled

    @property
    def was_taken(self) -> bool:
        """Tell whether Stripe said that it has the identifier; sent again, a report or a person denied it."""
        return self.result in (Result.ACCEPTED, Result.DUPLICATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The state a meter event gets after an attempt, with what goes with that state."""

    state: State
    in_doubt_reason: InDoubtReason | None = None
    accepted_at: Instant | None = None
    accepted_from: Instant | None = None
    accepted_by: Instant | None = None
    rejection_code: str | None = None
    rejection_message: str | None = None
    retry: bool = False
    """Whether trying again in this run makes sense."""


def verdict(earlier: Sequence[Attempt], started_at: Instant, outcome: Outcome) -> Verdict:
    """Return what an attempt that began at ``started_at`` means, given the attempts before it."""
    unknown = [attempt for attempt in earlier if attempt.may_have_reached]
    match outcome.result:
        case Result.ACCEPTED if not _may_mean_another(earlier, started_at, outcome):
            return _after_acceptance(unknown, outcome)
        case Result.DUPLICATE if not _may_mean_another(earlier, started_at, outcome):
            return _after_duplicate(unknown, started_at)
        case Result.ACCEPTED | Result.DUPLICATE | Result.TAKEN:
            return Verdict(state=State.IN_DOUBT, in_doubt_reason=InDoubtReason.IDENTIFIER_TAKEN)
        case Result.REJECTED:
            return _after_rejection(unknown, outcome)
        case Result.NOT_SENT:
            return Verdict(state=State.SENDING if unknown else State.PENDING, retry=not outcome.stops_run)
        case Result.UNKNOWN:
            return Verdict(state=State.SENDING, retry=not outcome.stops_run)
        case _:
            assert_never(outcome.result)


def _may_mean_another(earlier: Sequence[Attempt], started_at: Instant, outcome: Outcome) -> bool:
    """
    Tell whether an answer may only mean that Stripe knows the identifier of an attempt it did not count.

    That one was taken, a report or a person denied that it counts, and it is sent again. A duplicate, and
    the stream's 200, which drops duplicates without a word, then prove nothing until the identifier is free.
    """
    is_proof = outcome.result is Result.ACCEPTED and outcome.created is not None
    return not is_proof and any(
        attempt.was_taken and attempt.started_at > started_at - IDENTIFIER_KEPT for attempt in earlier
    )


def _after_acceptance(unknown: Sequence[Attempt], outcome: Outcome) -> Verdict:
    """
    Accepted when the answer says; one that does not say it (the stream's) may come of an earlier attempt.

    The stream drops duplicates without a word: its 200 only proves that by now all is in.
    """
    at = outcome.created if outcome.created is not None else outcome.at
    first = at
    if outcome.created is None:
        first = min((attempt.started_at for attempt in unknown), default=at)
    at = max(first, at)
    return Verdict(state=State.ACCEPTED, accepted_at=at, accepted_from=first, accepted_by=at)


def _after_duplicate(unknown: Sequence[Attempt], started_at: Instant) -> Verdict:
    """Ours if this ledger had sent it with an unknown outcome; else somebody else used the identifier."""
    if not unknown:
        return Verdict(state=State.IN_DOUBT, in_doubt_reason=InDoubtReason.IDENTIFIER_TAKEN)
    first, by = acceptance_bounds(unknown, started_at)
    return Verdict(state=State.ACCEPTED, accepted_at=by, accepted_from=first, accepted_by=by)


def _after_rejection(unknown: Sequence[Attempt], outcome: Outcome) -> Verdict:
    """A refusal proves nothing about an earlier attempt whose outcome is unknown."""
    if unknown:
        return Verdict(state=State.SENDING, retry=False)
    return Verdict(
        state=State.REJECTED,
        rejection_code=outcome.code or f"http_{outcome.http_status}",
        rejection_message=outcome.message or "",
    )


def acceptance_bounds(unknown: Sequence[Attempt], latest: Instant) -> tuple[Instant, Instant]:
    """Return the first and the last instant at which unknown attempts can have been accepted."""
    first = min(attempt.started_at for attempt in unknown)
    ends = [latest if attempt.finished_at is None else attempt.finished_at for attempt in unknown]
    return first, max(first, min(max(ends), latest))


def resolution(attempts: Sequence[Attempt], *, sent: bool, now: Instant) -> Verdict:
    """Return what a person's word means: accepted within the attempts, or pending again."""
    if not sent:
        return Verdict(state=State.PENDING)
    first = min((attempt.started_at for attempt in attempts), default=now)
    by = max((attempt.finished_at or now for attempt in attempts), default=now)
    by = max(first, by)  # a clock may have gone back by a little
    return Verdict(state=State.ACCEPTED, accepted_at=by, accepted_from=first, accepted_by=by)


def is_past_horizon(attempts: Sequence[Attempt], now: Instant) -> bool:
    """Tell whether an attempt that may have reached Stripe is too old to send the identifier again."""
    return any(
        attempt.may_have_reached and attempt.started_at <= now - RESEND_HORIZON for attempt in attempts
    )


def next_idempotency_key(identifier: str, earlier: Sequence[Attempt], way: Way = Way.V1) -> str:
    """
    Return the Idempotency-Key of the next attempt.

    The identifier at first, and as long as no answer comes. After two complete retryable answers under
    one key ``:2``, then ``:3``: Stripe stores answers under a key, failures included. After one that no
    retry would change it is so at once, and after one that took it: its replay would prove nothing. No key
    goes two ways: there it would be another request.
    """
    last = next((attempt for attempt in reversed(earlier) if attempt.way is way), None)
    if last is None and all(attempt.idempotency_key != identifier for attempt in earlier):
        return identifier
    if last is not None and not (last.spent_key or last.was_taken):
        key = last.idempotency_key
        answers = sum(1 for attempt in earlier if attempt.idempotency_key == key and attempt.answered)
        if answers < ANSWERS_PER_KEY:
            return key
    return _another_key(identifier, earlier)


def _another_key(identifier: str, earlier: Sequence[Attempt]) -> str:
    """Return the identifier with the number that follows those of all keys so far."""
    parts = [attempt.idempotency_key.rpartition(":") for attempt in earlier]
    numbers = (int(number) for name, _, number in parts if name == identifier and number.isdigit())
    return f"{identifier}:{max(numbers, default=1) + 1}"


def key_taken_up_again(
    identifier: str, earlier: Sequence[Attempt], with_another_body: AbstractSet[str], way: Way = Way.V1
) -> str:
    """
    Return the next Idempotency-Key of a meter event whose identifier went before, and was not taken.

    Args:
        identifier: Its identifier.
        earlier: The attempts made under it: those of what was dissolved, then its own.
        with_another_body: The keys among theirs that something answered to when another body went under them:
            Stripe refuses a key that comes again with another request.
        way: How it goes now.
    """
    key = next_idempotency_key(identifier, earlier, way)
    if key not in with_another_body:
        return key
    return _another_key(identifier, earlier)


def backoff_seconds(failures: int, chance: float, retry_after_seconds: float | None = None) -> float:
    """
    Return how long to wait before the next attempt: full jitter, within 0.5 and 30 seconds.

    Args:
        failures: Attempts of this run that failed, at least 1.
        chance: A number in [0, 1).
        retry_after_seconds: What Stripe asked for, if it did; longer waits win, up to the maximum.
    """
    ceiling = min(MAX_BACKOFF_SECONDS, MIN_BACKOFF_SECONDS * (1 << failures))
    wait = MIN_BACKOFF_SECONDS + chance * (ceiling - MIN_BACKOFF_SECONDS)
    return min(MAX_BACKOFF_SECONDS, max(wait, retry_after_seconds or 0.0))


CLOCK_WARNING = 120 * SECOND
CLOCK_LIMIT = 600 * SECOND
"""How far the local clock may be from Stripe's ``Date`` before a push warns, and before it stops."""

LEDGER_AHEAD_LIMIT = 120 * SECOND
"""How far ahead of now an instant in the ledger may be: past that the clock was set back."""
