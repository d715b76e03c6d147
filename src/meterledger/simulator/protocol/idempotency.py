"""Idempotency keys: which answer a key was first given, for as long as Stripe remembers it."""

import hashlib
import struct
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

_DIGEST_BYTES = 16
_RECORD = struct.Struct(f"<{_DIGEST_BYTES}sqdHi")  # digest, fingerprint, stored_at, status, row
_FREE = -1  # a slot of a table that leads to no place
_FIRST_SLOTS = 64  # a power of two, as every size of a table
_MAX_GENERATION = 100_000  # keys; bounds how long the growth of a table can hold a call up


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
    """
    Answers that were stored within one life of a key.

    There may be one for each event, so they stand packed in one row of bytes. Keys are known by their
    digests and found through a table of places: a dict of the keys took more memory than all that is kept
    of an event.
    """

    def __init__(self) -> None:
        self.newest = 0.0
        self._records = bytearray()
        self._bodies: dict[int, bytes] = {}
        self._table = array("i", [_FREE]) * _FIRST_SLOTS

    def __len__(self) -> int:
        return len(self._records) // _RECORD.size

    def __iter__(self) -> Iterator[bytes]:
        return (self._digest(place) for place in range(len(self)))

    def find(self, digest: bytes) -> StoredAnswer | None:
        place = self._table[self._slot(digest)]
        if place == _FREE:
            return None
        _, fingerprint, stored_at, status, row = _RECORD.unpack_from(self._records, place * _RECORD.size)
        return StoredAnswer(
            fingerprint=fingerprint,
            status=status,
            body=self._bodies.get(place),
            stored_at=stored_at,
            row=row,
        )

    def keep(self, digest: bytes, answer: StoredAnswer) -> None:
        self.newest = max(self.newest, answer.stored_at)
        slot = self._slot(digest)
        place = self._table[slot]
        if place == _FREE:
            place = self._table[slot] = len(self)
            self._records.extend(bytes(_RECORD.size))
        _RECORD.pack_into(
            *(self._records, place * _RECORD.size, digest),
            *(answer.fingerprint, answer.stored_at, answer.status, answer.row),
        )
        self._bodies.pop(place, None)
        if answer.body is not None:
            self._bodies[place] = answer.body
        if len(self) * 2 > len(self._table):
            self._grow()

    def _slot(self, digest: bytes) -> int:
        """Return the slot that leads to a key, or the free one where it belongs."""
        table, last = self._table, len(self._table) - 1
        slot = int.from_bytes(digest) & last
        while (place := table[slot]) != _FREE and self._digest(place) != digest:
            slot = (slot + 1) & last
        return slot

    def _digest(self, place: int) -> bytes:
        start = place * _RECORD.size
        return bytes(self._records[start : start + _DIGEST_BYTES])

    def _grow(self) -> None:
        self._table = array("i", [_FREE]) * (2 * len(self._table))
        for place, digest in enumerate(self):
            self._table[self._slot(digest)] = place


class IdempotencyStore:
    """
    The keys of one account in one version of the API.

    A key's answer is found for exactly its life. What is older is forgotten a generation at a time, so
    that nothing has to be swept key by key. The journal knows a key by its digest.

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
        stored = self._find(_digest(key))
        if stored is None or now - stored.stored_at >= self._life_seconds:
            return None
        if stored.fingerprint != fingerprint:
            raise IdempotencyMismatchError(
                "An idempotency key can only come back with the same parameters it was first used with."
            )
        return stored

    def keep(self, key: str, answer: StoredAnswer) -> None:
        """Store a key's answer."""
        digest = _digest(key)
        self._generation_for(answer.stored_at).keep(digest, answer)
        self._journal.put(self.kind, digest.hex(), answer)

    def hold(self, key: str) -> None:
        """Mark a key as in use until its answer has left."""
        self._in_use.add(key)

    def release(self, key: str) -> None:
        """Mark a key as free again."""
        self._in_use.discard(key)

    def restore(self, key: str, document: bytes) -> None:
        """Take in a key of a state file."""
        answer = msgspec.json.decode(document, type=StoredAnswer)
        self._generation_for(answer.stored_at).keep(bytes.fromhex(key), answer)

    def _find(self, digest: bytes) -> StoredAnswer | None:
        for generation in reversed(self._generations):
            stored = generation.find(digest)
            if stored is not None:
                return stored
        return None

    def _generation_for(self, stored_at: float) -> _Generation:
        if (
            not self._generations
            or stored_at - self._opened >= self._life_seconds
            or len(self._generations[-1]) >= _MAX_GENERATION
        ):
            self._generations.append(_Generation())
            self._opened = stored_at
        return self._generations[-1]

    def _forget_expired(self, now: float) -> None:
        while self._generations and now - self._generations[0].newest >= self._life_seconds:
            for digest in self._generations.pop(0):
                if self._find(digest) is None:
                    self._journal.drop(self.kind, digest.hex())


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()
