"""The simulator's clock: it runs beside the real one, can be set, jump and stand still."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from meterledger.simulator.instants import LATEST_EPOCH_SECONDS, checked_instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """
    What a clock goes on from.

    Attributes:
        standing_at: Where it stands, in epoch seconds; None where it runs.
        ahead_seconds: How far it runs ahead of the real clock.
        latest: What it showed last, in epoch seconds.
    """

    standing_at: float | None
    ahead_seconds: float
    latest: float


class SimulatedClock:
    """
    The only time the simulated Stripe knows.

    Args:
        real: The real clock, in seconds since the epoch; asked only while this clock runs.
        start: Where to start, in seconds since the epoch; the real time when None, or where a state file
            left it.
        frozen: Stand still, or run, until told otherwise; when None, run, or do as a state file says.
    """

    KIND = "clock"

    def __init__(
        self, real: Callable[[], float], *, start: float | None = None, frozen: bool | None = None
    ) -> None:
        self._real = real
        self._given_start = start
        self._given_frozen = frozen
        self._ahead_seconds = 0.0 if start is None else start - real()
        self._standing_at: float | None = None
        if frozen:
            self._standing_at = real() if start is None else start

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._standing_at is not None

    def now(self) -> float:
        """Return the simulator's time in seconds since the epoch; with the year 9999 it ends."""
        if self._standing_at is not None:
            return self._standing_at
        return min(self._real() + self._ahead_seconds, LATEST_EPOCH_SECONDS)

    def set(self, instant: float) -> None:
        """
        Move to the instant (seconds since the epoch) and stand still there.

        Raises:
            ValueError: The instant lies before 1970 or after 9999.
        """
        self._standing_at = checked_instant(instant)

    def advance(self, seconds: float) -> None:
        """
        Jump ahead, running or standing as before.

        Raises:
            ValueError: The jump would leave the year 9999.
        """
        target = checked_instant(self.now() + seconds)
        if self._standing_at is None:
            self._ahead_seconds = target - self._real()
        else:
            self._standing_at = target

    def freeze(self) -> None:
        """Stand still at the present instant."""
        self._standing_at = self.now()

    def run(self) -> None:
        """Go on from the present instant, as fast as the real clock."""
        self._ahead_seconds = self.now() - self._real()
        self._standing_at = None

    def state(self) -> ClockState:
        """Return what to go on from after a restart."""
        return ClockState(standing_at=self._standing_at, ahead_seconds=self._ahead_seconds, latest=self.now())

    def restore(self, _key: str, document: bytes) -> None:
        """
        Go on from the state of a state file, unless another start was given.

        A clock that ran has run on meanwhile, as far ahead of the real one as before; it never goes back.
        """
        if self._given_start is not None:
            return
        state = msgspec.json.decode(document, type=ClockState)
        self._standing_at = state.standing_at
        self._ahead_seconds = max(state.ahead_seconds, state.latest - self._real())
        if self._given_frozen:
            self.freeze()
        elif self._given_frozen is not None:
            self.run()
