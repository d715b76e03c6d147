"""The simulator's clock: it runs beside the real one, can be set, jump and stand still."""

from collections.abc import Callable

from meterledger.simulator.instants import checked_instant


class SimulatedClock:
    """
    The only time the simulated Stripe knows.

    Args:
        real: The real clock, in seconds since the epoch; asked only while this clock runs.
        start: Where to start, in seconds since the epoch; the real time when None.
        frozen: Stand still until told otherwise.
    """

    def __init__(
        self, real: Callable[[], float], *, start: float | None = None, frozen: bool = False
    ) -> None:
        self._real = real
        self._ahead_seconds = 0.0 if start is None else start - real()
        self._standing_at: float | None = None
        if frozen:
            self._standing_at = real() if start is None else start

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._standing_at is not None

    def now(self) -> float:
        """Return the simulator's time in seconds since the epoch."""
        if self._standing_at is not None:
            return self._standing_at
        return self._real() + self._ahead_seconds

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
