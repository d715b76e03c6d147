"""Time that is made up: an event loop that jumps to its next timer instead of waiting for it."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")

SECOND = 1_000_000


class Time:
    """
    The clock of a test.

    Args:
        start: The first instant, in microseconds since the epoch.

    Attributes:
        seconds: What a stopwatch shows; it never goes back.
        start: The instant at which the stopwatch showed zero.
    """

    def __init__(self, start: int) -> None:
        self.seconds = 0.0
        self.start = start

    def clock(self) -> int:
        """Return the instant, in microseconds since the epoch."""
        return self.start + round(self.seconds * SECOND)

    def monotonic(self) -> float:
        """Return the stopwatch, in seconds."""
        return self.seconds

    def advance(self, microseconds: int) -> None:
        """Let the clock jump, and the stopwatch stand: a pause between two runs."""
        self.start += microseconds


class DeadlockError(Exception):
    """Nothing is left that could go on, and nothing waits for a timer."""


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, time: Time) -> None:
        super().__init__()
        self._time = time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise DeadlockError
            self._time.seconds += max(timeout, 0.0)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on such a time; for code that speaks to nothing outside its process."""

    def __init__(self, time: Time) -> None:
        super().__init__(_JumpingSelector(time))
        self._time = time

    def time(self) -> float:
        """Return the made-up stopwatch, in seconds."""
        return self._time.seconds


def run_in(time: Time, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine to its end in made-up time; DeadlockError if it would wait for ever."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(time)) as runner:
        return runner.run(coroutine)
