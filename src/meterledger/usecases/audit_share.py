"""One customer's usage in a stretch of time, as the audit counts it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from meterledger.domain.dues import Due
from meterledger.domain.instant import DAY, Instant, seconds_floor
from meterledger.domain.lateness import Delays

MOST_HOURS = 72
"""Of grace period; what is later misses the longest one too."""

HOUR_SECONDS = 3600

_nothing_to_note = deque[tuple[Any, ...]](maxlen=0).append


@dataclass(slots=True)
class Pile:
    """Usage events of one scale: how many, and the sum of their units."""

    events: int = 0
    units: int = 0

    def add(self, units: int) -> None:
        """Add one."""
        self.events += 1
        self.units += units


@dataclass(slots=True)
class Day:
    """The time between two boundaries of a rehearsed period's end, about the usage event looked at last."""

    time_of_day: Instant
    """The period end's, in microseconds, of whole seconds."""
    start: Instant = 0
    end: Instant = 0

    def move_to(self, event_time: Instant) -> None:
        """Be the day of a usage event."""
        self.start = event_time - (event_time - self.time_of_day) % DAY
        self.end = self.start + DAY


@dataclass(slots=True, kw_only=True)
class Share:
    """One customer's usage of a source, meter and scale, in a stretch of time in which it has one due."""

    customer: int
    source: str
    event_name: str | None
    feature: str
    subscription_id: str | None
    scale: int
    sealed_for: str | None
    """The meter of the meter events that carry it; None where it is unsealed."""
    due: Due
    start: Instant
    end: Instant
    is_asked_for: bool
    is_billed: bool
    """Whether any known subscription bills it, as far as one can tell."""
    delays: Delays
    safe_before: Instant
    """What was accepted before this instant has landed."""
    late_from: Instant
    cancelable_after: Instant
    """What was accepted after this instant can still be cancelled."""
    day: Day
    boundaries: tuple[Instant, Instant]
    """Between which instants the end is rehearsed: 35 days before now, and now."""
    ended_by: Instant
    """What was accepted at this instant or later came after the end; NEVER while the period lasts."""
    free: tuple[Instant, Instant] | None = None
    """Unsealed usage from between is not blocked; what else is unsealed has to be asked about."""
    left_out: str | None = None
    """Why it says nothing about delays: `backfill` or `first_import`."""
    landed: Pile = field(default_factory=Pile)
    waiting: Pile = field(default_factory=Pile)
    at_risk: Pile = field(default_factory=Pile)
    missed: Pile = field(default_factory=Pile)
    already_billed: Pile = field(default_factory=Pile)
    """Of what has landed, what nobody here sent."""
    after_end: dict[int, Pile] = field(default_factory=dict)
    """What came after the period's end, by the whole hours of grace period that it would have taken."""
    calm_until: Instant = 0
    """What was accepted before this instant, on the day it was used, has landed, and that is all of it."""
    has_unsettled: bool = False
    note_delays: Callable[[tuple[Any, ...]], None] = _nothing_to_note
    """Takes the row of each usage event that counts."""

    def __post_init__(self) -> None:
        """Find out until when usage is accepted without any line being near."""
        self.calm_until = min(self.safe_before, self.ended_by, self.cancelable_after + 1)

    @property
    def usage(self) -> Pile:
        """All of it."""
        piles = (self.landed, self.waiting, self.at_risk, self.missed)
        return Pile(sum(pile.events for pile in piles), sum(pile.units for pile in piles))

    @property
    def sampled(self) -> Pile:
        """Of all of it, what says something about delays."""
        if self.left_out:
            return Pile()
        whole, billed = self.usage, self.already_billed
        return Pile(whole.events - billed.events, whole.units - billed.units)

    @property
    def is_unsettled(self) -> bool:
        """Tell whether any of it is neither accepted nor closed."""
        return self.has_unsettled or self.waiting.events > 0

    def note_after_end(self, known_by: Instant, units: int) -> None:
        """Note a usage event that was accepted, or not even that, so long after the period's end."""
        late = seconds_floor(known_by) - seconds_floor(self.due.period.end)
        hours = min(-(-late // HOUR_SECONDS), MOST_HOURS + 1)
        pile = self.after_end.get(hours)
        if pile is None:
            pile = self.after_end[hours] = Pile()
        pile.add(units)
