"""Sessions of the stream: a token in place of the key, for 15 minutes. Never shown, logged or stored."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from meterledger.domain.delivery import Outcome, Result
from meterledger.domain.instant import MINUTE, Instant
from meterledger.stripe_gateway.outcomes import (
    NOT_SENT_STATUSES,
    REFUSED_STATUSES,
    error_texts,
    outcome_of_odd_success,
    outcome_of_refusal,
    outcome_without_answer,
)
from meterledger.stripe_gateway.v2_outcomes import instant_of
from meterledger.stripe_gateway.wire import WireAnswer

RENEWED_AHEAD = MINUTE
"""So long before its end a session is renewed: longer than a request may take."""

_OK = 200
_UNAUTHORIZED, _FORBIDDEN = 401, 403


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    token: str = field(repr=False)
    expires_at: Instant


@dataclass(slots=True, kw_only=True)
class StreamSessions:
    """Keeps one session at a time, and makes the next before it ends."""

    ask: Callable[[], Awaitable[WireAnswer | Exception]]
    clock: Callable[[], Instant]
    livemode: bool
    _session: _Session | None = None
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def secret(self) -> str | None:
        """The token in use, to keep it out of whatever is told."""
        return self._session.token if self._session else None

    async def token(self) -> str | Outcome:
        """Return a token that holds, or why there is none: then nothing was sent."""
        async with self._making:
            if self._session is None or self.clock() >= self._session.expires_at - RENEWED_AHEAD:
                made = self._made(await self.ask())
                if isinstance(made, Outcome):
                    return made
                self._session = made
            return self._session.token

    def forget(self, token: str) -> None:
        """Let a session be over; another task may have made the next one since."""
        if self.secret == token:
            self._session = None

    def _made(self, answer: WireAnswer | Exception) -> _Session | Outcome:
        at = self.clock()
        if isinstance(answer, Exception):
            return replace(outcome_without_answer(answer, at), result=Result.NOT_SENT)
        if answer.status != _OK:
            return self._refused(answer, at)
        found = answer.json()
        found = found if isinstance(found, dict) else {}
        token, expires_at = found.get("authentication_token"), instant_of(found.get("expires_at"))
        is_session = (
            found.get("object") == "v2.billing.meter_event_session"
            and found.get("livemode") is self.livemode
            and isinstance(token, str)
            and token.isascii()
            and token.isprintable()
            and token.strip() == token != ""
        )
        if not is_session or expires_at is None:
            odd = outcome_of_odd_success(answer, at, "no session of the stream")
            return replace(odd, result=Result.NOT_SENT)
        return _Session(token=str(token), expires_at=expires_at)

    def _refused(self, answer: WireAnswer, at: Instant) -> Outcome:
        """Without a session no batch leaves; where Stripe will not give one, going on makes no sense."""
        refused = outcome_of_refusal(answer, Result.UNKNOWN, at)
        code, kind, _ = error_texts(answer)
        later = NOT_SENT_STATUSES - {_UNAUTHORIZED, _FORBIDDEN}
        for_good = answer.status in REFUSED_STATUSES and "rate_limit" not in (code, kind)
        stops = answer.status not in later and (refused.stops_run or for_good)
        return replace(refused, result=Result.NOT_SENT, stops_run=stops)
