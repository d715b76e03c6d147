"""What will happen by itself, by the simulator's clock: invoices, reports, ends of subscriptions."""

import heapq
import math
from typing import NamedTuple


class Happening(NamedTuple):
    """
    Something that falls due.

    Whoever carries it out looks whether it still applies: a draft may have been given another deadline
    since. So nothing is ever taken out of the timeline, it only runs off.

    Attributes:
        due: Seconds since the epoch.
        number: Keeps what is due at the same instant in the order it was planned.
        what: Names the function that carries it out.
        object_id: What it happens to.
    """

    due: float
    number: int
    what: str
    object_id: str


class Timeline:
    """The happenings of one account."""

    def __init__(self) -> None:
        self._planned: list[Happening] = []
        self._numbers = 0

    @property
    def next_due(self) -> float:
        """When the next one is due, in seconds since the epoch; infinity where there is none."""
        return self._planned[0].due if self._planned else math.inf

    def plan(self, due: float, what: str, object_id: str) -> None:
        """Plan a happening for an instant in epoch seconds."""
        self._numbers += 1
        heapq.heappush(self._planned, Happening(due, self._numbers, what, object_id))

    def take(self, now: float) -> Happening | None:
        """Take out the next happening that is due by now (epoch seconds), if there is one."""
        if self.next_due > now:
            return None
        return heapq.heappop(self._planned)
