"""Death of the process, without ending it: at a chosen commit or request, and nothing takes effect after."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from meterledger.domain.delivery import Outcome
from meterledger.ledger.database import Database, Row
from meterledger.stripe_gateway.gateway import Read
from meterledger.usecases.door import PushGateway

T = TypeVar("T")


class Crash(BaseException):
    """The process dies here; nothing catches it."""


class CrashPoints:
    """
    Counts the moments at which it matters that a process dies, and dies at one of them.

    Args:
        at: The number of the point to die at, from 1; None for a life without death.

    Attributes:
        passed: What the points were, in order.
        dead: Whether the process has died; nothing it does afterwards has an effect.
    """

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.passed: list[str] = []
        self.dead = False
        self.died = asyncio.Event()

    def check(self) -> None:
        """Stop whatever a dead process still tries."""
        if self.dead:
            raise Crash

    def point(self, what: str) -> None:
        """Pass a point, or die there."""
        self.check()
        self.passed.append(what)
        if len(self.passed) == self.at:
            self.dead = True
            self.died.set()
            raise Crash(what)


class MortalDatabase:
    """A ledger's database whose process may die before and after every commit."""

    def __init__(self, inner: Database, points: CrashPoints) -> None:
        self._inner = inner
        self._points = points
        self._depth = 0

    def rows(self, statement: str, /, **arguments: object) -> list[Row]:
        """Return every row."""
        self._points.check()
        return self._inner.rows(statement, **arguments)

    def row(self, statement: str, /, **arguments: object) -> Row | None:
        """Return the first row, if there is one."""
        self._points.check()
        return self._inner.row(statement, **arguments)

    def stream(self, statement: str, /, **arguments: object) -> Iterator[Row]:
        """Yield rows as they are read."""
        self._points.check()
        return self._inner.stream(statement, **arguments)

    def tuples(self, statement: str, /, **arguments: object) -> Iterator[tuple[Any, ...]]:
        """Yield rows as plain tuples."""
        self._points.check()
        return self._inner.tuples(statement, **arguments)

    def run(self, statement: str, /, **arguments: object) -> int:
        """Run a statement that changes rows."""
        self._points.check()
        return self._inner.run(statement, **arguments)

    def run_many(self, statement: str, rows: Iterable[tuple[object, ...]], /) -> int:
        """Run it for each row."""
        self._points.check()
        return self._inner.run_many(statement, rows)

    def run_rows(self, statement: str, rows: Sequence[tuple[object, ...]], /, **shared: object) -> int:
        """Run it for many rows at once."""
        self._points.check()
        return self._inner.run_rows(statement, rows, **shared)

    def rows_for(self, statement: str, rows: Sequence[tuple[object, ...]], /, **shared: object) -> list[Row]:
        """Return every row of a query for many rows at once."""
        self._points.check()
        return self._inner.rows_for(statement, rows, **shared)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One write transaction, with a point before its commit and one after it."""
        self._points.check()
        if self._depth:
            yield
            return
        self._depth += 1
        try:
            with self._inner.transaction():
                yield
                self._points.point("before a commit")
        finally:
            self._depth -= 1
        self._points.point("after a commit")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One read transaction."""
        self._points.check()
        with self._inner.snapshot():
            yield

    def tide(self) -> int:
        """Return a number that changes with the commits of others."""
        self._points.check()
        return self._inner.tide()

    def check_integrity(self) -> list[str]:
        """Return what the database finds wrong with its own file."""
        return self._inner.check_integrity()

    def close(self) -> None:
        """Close the file."""
        self._inner.close()


@dataclass(slots=True, kw_only=True)
class MortalGateway:
    """A gateway whose process may die before a request leaves, and before its answer arrives."""

    inner: PushGateway
    points: CrashPoints
    on_answer: Callable[[int], None]
    """Called with the number of the answer, after it came over the wire."""
    answers: int = 0
    flying: list[asyncio.Future[Outcome]] = field(default_factory=list)

    async def account_id(self) -> Read:
        """Return the account's id."""
        return await self.inner.account_id()

    async def account_meters(self) -> Read:
        """Return the meters."""
        return await self.inner.account_meters()

    async def meter_ids(self) -> Read:
        """Return the meters' ids."""
        return await self.inner.meter_ids()

    async def window_values(self, meter_id: str, customer: str, span: tuple[int, int], grouping: str) -> Read:
        """Return what a meter makes of a customer's windows."""
        return await self.inner.window_values(meter_id, customer, span, grouping)

    async def send(self, body: dict[str, Any], idempotency_key: str) -> Outcome:
        """Send one meter event by v1."""
        return await self._sent(self.inner.send(body, idempotency_key))

    async def send_v2(self, body: dict[str, Any], idempotency_key: str) -> Outcome:
        """Send one meter event by v2."""
        return await self._sent(self.inner.send_v2(body, idempotency_key))

    async def send_batch(self, events: Sequence[dict[str, Any]], idempotency_key: str) -> Outcome:
        """Send a batch by the stream."""
        return await self._sent(self.inner.send_batch(events, idempotency_key))

    async def _sent(self, sending: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Send a request; what has left arrives, even if its process is dead by then."""
        try:
            self.points.point("before a request")
        except BaseException:
            sending.close()
            raise
        sent = asyncio.ensure_future(sending)
        self.flying.append(sent)
        outcome = await asyncio.shield(sent)
        self.answers += 1
        self.on_answer(self.answers)
        self.points.point("before an answer")
        return outcome

    async def landed(self) -> None:
        """Wait until everything that has left has arrived."""
        await asyncio.gather(*self.flying, return_exceptions=True)


async def until_death(living: Coroutine[Any, Any, T], points: CrashPoints) -> T:
    """Run something to its end, or to that of its process; raises Crash then."""
    points.died = asyncio.Event()  # of this loop: one process may run several, one after another
    task = asyncio.ensure_future(living)
    died = asyncio.ensure_future(points.died.wait())
    await asyncio.wait({task, died}, return_when=asyncio.FIRST_COMPLETED)
    died.cancel()
    if not points.dead:
        return task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    raise Crash
