"""Idempotency keys by the rules of Stripe's v1 API."""

from collections import deque
from dataclasses import dataclass

from meterledger.simulator.api_errors import (
    BAD_REQUEST,
    CONFLICT,
    SERVER_ERROR,
    ApiError,
    ConcurrentKeyError,
    IdempotencyMismatchError,
)
from meterledger.simulator.instants import DAY_SECONDS

KEY_LIFE_SECONDS = DAY_SECONDS
MAX_KEY_LENGTH = 255  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """The first answer under a key; stored_at in epoch seconds."""

    fingerprint: int
    status: int
    body: bytes
    stored_at: float


class IdempotencyStore:
    """The keys of one account that are younger than 24 hours."""

    def __init__(self) -> None:
        self._answers: dict[str, StoredAnswer] = {}
        self._by_age: deque[tuple[float, str]] = deque()
        self._in_use: set[str] = set()

    def recall(self, key: str, fingerprint: int, now: float) -> StoredAnswer | None:
        """
        Return the answer to replay, or None where the request is to be carried out.

        Args:
            key: The Idempotency-Key header.
            fingerprint: Stands for the request's path and parameters.
            now: Seconds since the epoch.

        Raises:
            ApiError: The key is too long, is in use this moment, or came with other parameters before.
        """
        if len(key) > MAX_KEY_LENGTH:
            raise ApiError(f"An idempotency key has at most {MAX_KEY_LENGTH} characters.")
        if key in self._in_use:
            raise ConcurrentKeyError(
                "Another request with this idempotency key is in progress.",
                status=CONFLICT,
                code="idempotency_key_in_use",
            )
        self._forget_expired(now)
        stored = self._answers.get(key)
        if stored is None or now - stored.stored_at >= KEY_LIFE_SECONDS:
            return None
        if stored.fingerprint != fingerprint:
            raise IdempotencyMismatchError(
                "An idempotency key can only come back with the same parameters it was first used with."
            )
        return stored

    def keep(self, key: str, answer: StoredAnswer) -> None:
        """
        Store a first answer, unless it is a refusal.

        Every 4xx of this API comes from checking the request, the duplicate identifier included, and
        checks are made anew each time. That is the reading which protects a client least.
        """
        if BAD_REQUEST <= answer.status < SERVER_ERROR:
            return
        self._answers[key] = answer
        self._by_age.append((answer.stored_at, key))

    def hold(self, key: str) -> None:
        """Mark a key as in use until its answer has left."""
        self._in_use.add(key)

    def release(self, key: str) -> None:
        """Mark a key as free again."""
        self._in_use.discard(key)

    def _forget_expired(self, now: float) -> None:
        while self._by_age and now - self._by_age[0][0] >= KEY_LIFE_SECONDS:
            stored_at, key = self._by_age.popleft()
            stored = self._answers.get(key)
            if stored is not None and stored.stored_at == stored_at:
                del self._answers[key]
