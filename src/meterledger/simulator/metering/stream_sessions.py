"""Sessions of the meter event stream: a token in place of a key, for 15 minutes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from meterledger.simulator.instants import DAY_SECONDS, MINUTE_SECONDS
from meterledger.simulator.state.book import Book, Journal

SESSION_SECONDS = 15 * MINUTE_SECONDS
REMEMBERED_SECONDS = DAY_SECONDS  # for so long after its end a token is refused as expired, not as unknown
TOKEN_PREFIX = "tok_sess_"  # noqa: S105 - the opening of every token, no token

_TOKEN_BYTES = 16  # of digest in a token


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSession:
    """A session; instants are in epoch seconds. Its token must not be shown anywhere but to its maker."""

    id: str
    token: str
    created: float
    expires_at: float

    def is_expired(self, now: float) -> bool:
        """Tell whether the session is over; now is in epoch seconds."""
        return now >= self.expires_at


class SessionBook:
    """
    The sessions of one account.

    Args:
        journal: Hears of every change.
    """

    KIND = "stream_session"

    def __init__(self, journal: Journal) -> None:
        self._book = Book(StreamSession, self.KIND, "meter event session", journal)
        self._by_token: dict[str, StreamSession] = {}

    def open(self, session_id: str, owner: str, now: float) -> StreamSession:
        """
        Make a session.

        Args:
            session_id: Its id, which no other session of the account has.
            owner: The account's id and mode as one text, so that no two accounts share a token.
            now: Seconds since the epoch.
        """
        for session in list(self._long_over(now)):
            self._book.drop(session.id)
            del self._by_token[session.token]
        digest = hashlib.blake2b(f"{owner}|{session_id}|{now}".encode(), digest_size=_TOKEN_BYTES)
        session = StreamSession(
            id=session_id,
            token=TOKEN_PREFIX + digest.hexdigest(),
            created=now,
            expires_at=now + SESSION_SECONDS,
        )
        return self._index(self._book.put(session))

    def expire(self, token: str, now: float) -> None:
        """Let a session be over before its time, at an instant in epoch seconds."""
        session = self.find(token)
        if session is not None and not session.is_expired(now):
            self._index(self._book.put(replace(session, expires_at=now)))

    def find(self, token: str) -> StreamSession | None:
        """Return the session with a token, over or not, or None where there is none."""
        return self._by_token.get(token)

    def restore(self, key: str, document: bytes) -> None:
        """Take in a session of a state file."""
        self._book.restore(key, document)
        self._index(self._book.get(key))

    def _index(self, session: StreamSession) -> StreamSession:
        self._by_token[session.token] = session
        return session

    def _long_over(self, now: float) -> Iterator[StreamSession]:
        for session in self._book:
            if now - session.expires_at < REMEMBERED_SECONDS:
                return  # they stand in the order they were made
            yield session
