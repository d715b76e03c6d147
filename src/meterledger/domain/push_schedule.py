"""The push schedule: when usage that has arrived goes to Stripe, and how long sending it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Self

from meterledger.domain.instant import DAY, MINUTE, SECOND, Instant

ASSUMED_PUSH_EVERY = 15 * MINUTE
"""Where no schedule is given, and too few pushes were seen to tell one."""

_MIN_PUSHES = 3
"""Under so many pushes no schedule is seen in them."""


class ScheduleBasis(StrEnum):
    """Where a push schedule is known from."""

    GIVEN = "given"
    OBSERVED = "observed"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSchedule:
    """Pushes at a phase plus whole multiples of an interval, both in microseconds."""

    every: int
    phase: Instant = 0
    basis: ScheduleBasis = ScheduleBasis.GIVEN
    per_second: float | None = None
    """Meter events that Stripe takes in a second; None where no limit is known."""
    waiting: Mapping[int, int] = field(default_factory=dict)
    """How many usage events each push of the history found waiting, by its number."""

    @classmethod
    def of(cls, every: int | None, pushes: Sequence[Instant], per_second: float | None = None) -> Self:
        """
        Return the schedule that was given, else the one that pushes were seen to keep.

        Pushes that were seen tell the phase too, if they keep that interval: a push on the stroke of the
        deadline comes too late, and one a minute before it does not.

        Args:
            every: The interval that was given, in microseconds; None to take what was seen.
            pushes: When pushes began, in order.
            per_second: The pace that Stripe allows.
        """
        seen = _typical_interval(pushes)
        if every is None and seen is None:
            return cls(every=ASSUMED_PUSH_EVERY, basis=ScheduleBasis.ASSUMED, per_second=per_second)
        interval = every or seen or ASSUMED_PUSH_EVERY
        return cls(
            every=interval,
            phase=pushes[-1] % interval if seen == interval else 0,
            basis=ScheduleBasis.GIVEN if every else ScheduleBasis.OBSERVED,
            per_second=per_second,
        )

    def number(self, arrival: Instant) -> int:
        """Return the number of the first push at an instant or after it."""
        return -((self.phase - arrival) // self.every)

    def first_push(self, arrival: Instant) -> Instant:
        """Return when the first push at an instant or after it begins."""
        return self.phase + self.number(arrival) * self.every

    def last_push(self, until: Instant) -> Instant:
        """Return when the last push at an instant or before it begins."""
        return until - (until - self.phase) % self.every

    def sending(self, number: int) -> int:
        """Return how long a push sends what it found waiting, in microseconds: a second at the least."""
        return self.seconds_to_send(self.waiting.get(number, 0)) * SECOND

    def seconds_to_send(self, events: int) -> int:
        """Return how long so many meter events take at the pace that Stripe allows, in whole seconds."""
        return max(1, -int(-events // self.per_second)) if self.per_second else 1


def _typical_interval(pushes: Sequence[Instant]) -> int | None:
    """
    Return the median interval in whole minutes, at least one; None where there are too few pushes.

    What several pushes sent that began at one instant, one push would have sent.
    """
    begun = sorted(set(pushes))
    if len(begun) < _MIN_PUSHES:
        return None
    gaps = sorted(later - earlier for earlier, later in pairwise(begun))
    median = gaps[len(gaps) // 2]
    return min(max(MINUTE, (median + MINUTE // 2) // MINUTE * MINUTE), DAY)
