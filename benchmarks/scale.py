"""How much is measured, and how often."""

import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The amounts of one run."""

    rows: int
    """Rows of the files whose import is timed."""
    many_rows: int
    """Rows of the file that shows that memory does not grow with the file."""
    parts_held: int
    """How many times ``rows`` a large ledger holds."""
    events: int
    """Meter events of one push over v1; of the stream more."""
    load: int
    """Meter events of the load on the simulator, by one call each; of the stream more."""
    customers: int = 1_000
    starts: int
    """How often each program is started."""
    rounds: int
    """Rounds of everything else, at most."""
    seconds: float = 45.0
    """After so long a benchmark begins no further round."""

    def limited_rounds(self) -> Iterator[int]:
        """Yield the number of each round: the first always, the others while there is time."""
        begun = time.perf_counter()
        for number in range(self.rounds):
            if number and time.perf_counter() - begun > self.seconds:
                return
            yield number


FULL = Scale(
    rows=1_000_000, many_rows=4_000_000, parts_held=10, events=12_000, load=20_000, starts=15, rounds=5
)
QUICK = Scale(rows=100_000, many_rows=300_000, parts_held=2, events=2_000, load=4_000, starts=5, rounds=1)
