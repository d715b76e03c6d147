"""Idempotency keys: which answer a key was first given, for as long as Stripe remembers it."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from meterledger.simulator.protocol.api_errors import (
    CONFLICT,
    ApiError,
    ConcurrentKeyError,
    IdempotencyMismatchError,
)
from meterledger.simulator.state.book import Journal

MAX_KEY_LENGTH = 255  # characters
NO_ROW = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """
    The first answer under a key.

    Attributes:
        fingerprint: Stands for the request's path and parameters; 64 bits.
        status: HTTP status.
        body: JSON; None where it can be written again from the counted event at `row`.
        stored_at: Seconds since the epoch.
        row: The counted event that was answered, or -1.
    """

    fingerprint: int
    status: int
    body: bytes | None
    stored_at: float
    row: int = NO_ROW


class _Generation:
    """Answers that were stored within one life of a key, in columns: there may be one for each event."""

    def __init__(self) -> None:
        self.newest = 0.0
        self._places: dict[str, int] = {}
        self._fingerprints = array("q")
        self._stored_at = array("d")
        self._statuses = array("H")
        self._rows = array("i")
        self._bodies: list[bytes | None] = []

    def find(self, key: str) -> StoredAnswer | None:
        place = self._places.get(key)
        if place is None:
            return None
        return StoredAnswer(
            fingerprint=self._fingerprints[place],
            status=self._statuses[place],
            body=self._bodies[place],
            stored_at=self._stored_at[place],
            row=self._rows[place],
        )

    def keep(self, key: str, answer: StoredAnswer) -> None:
        self.newest = max(self.newest, answer.stored_at)
        self._places[key] = len(self._bodies)
        self._fingerprints.append(answer.fingerprint)
        self._stored_at.append(answer.stored_at)
        self._statuses.append(answer.status)
        self._rows.append(answer.row)
        self._bodies.append(answer.body)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)


class IdempotencyStore:
    """
    The keys of one account in one version of the API.

    A key's answer is found for exactly its life. What is older is forgotten a generation at a time, so
    that nothing has to be swept key by key.

    Args:
        kind: The name of such keys in the journal.
        life_seconds: How long a key is remembered.
        journal: Hears of every change.
    """

    def __init__(self, kind: str, life_seconds: float, journal: Journal) -> None:
        self.kind = kind
        self._life_seconds = life_seconds
        self._journal = journal
        self._generations: list[_Generation] = []  # the newest last
        self._opened = 0.0  # when the newest began, in epoch seconds
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
        stored = self._find(key)
        if stored is None or now - stored.stored_at >= self._life_seconds:
            return None
        if stored.fingerprint != fingerprint:
            raise IdempotencyMismatchError(
                "An idempotency key can only come back with the same parameters it was first used with."
            )
        return stored

    def keep(self, key: str, answer: StoredAnswer) -> None:
        """Store a key's answer."""
        self._generation_for(answer.stored_at).keep(key, answer)
        self._journal.put(self.kind, key, answer)

    def hold(self, key: str) -> None:
        """Mark a key as in use until its answer has left."""
        self._in_use.add(key)

    def release(self, key: str) -> None:
        """Mark a key as free again."""
        self._in_use.discard(key)

    def restore(self, key: str, document: bytes) -> None:
        """Take in a key of a state file."""
        answer = msgspec.json.decode(document, type=StoredAnswer)
        self._generation_for(answer.stored_at).keep(key, answer)

    def _find(self, key: str) -> StoredAnswer | None:
        for generation in reversed(self._generations):
            stored = generation.find(key)
            if stored is not None:
                return stored
        return None

    def _generation_for(self, stored_at: float) -> _Generation:
        if not self._generations or stored_at - self._opened >= self._life_seconds:
            self._generations.append(_Generation())
            self._opened = stored_at
        return self._generations[-1]

    def _forget_expired(self, now: float) -> None:
        while self._generations and now - self._generations[0].newest >= self._life_seconds:
            for key in self._generations.pop(0):
                if self._find(key) is None:
                    self._journal.drop(self.kind, key)
