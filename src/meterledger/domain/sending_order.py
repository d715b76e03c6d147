"""
The order of sending: what runs out of time soonest goes first, and within that customers take turns.

Usage is in lines, one for each customer and meter, and a line always goes by event_time. Numbers stand for
what waits, sixteen bytes each: a backlog may be long.
"""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from operator import le

from meterledger.domain.billing_period import MAX_GRACE_PERIOD
from meterledger.domain.blocking import MAX_AGE
from meterledger.domain.dues import DueStretch
from meterledger.domain.instant import DAY, Instant

Lane = tuple[str, str]
"""Event name and Stripe customer: one call at a time."""

Waiting = tuple[Instant, int]
"""The event_time of what waits, and its number."""

DueAt = Callable[[Instant], DueStretch]
"""Answers when usage of one kind, with some event_time, is due."""

_NOTHING: "array[int]" = array("q")
"""Stands where there is nothing yet, or nothing any more; never added to."""


def runs_out_at(due: DueStretch, event_time: Instant, now: Instant) -> tuple[Instant, Instant]:
    """
    Return when usage runs out of time next, and until which event_time that is the answer.

    The next that is ahead of: the deadline of its period, of each subscription that may bill it; once that
    is over, the end of the longest grace period that Stripe offers, until which a draft may still be open;
    and the day on which Stripe begins to find it too old.
    """
    day = event_time - event_time % DAY
    runs_out = too_old = day + MAX_AGE
    for one in due.dues:
        ends = one.deadline
        if ends <= now:
            is_final = one.invoice is not None and one.invoice.is_final
            ends = one.period.end if is_final else one.period.end + MAX_GRACE_PERIOD
        if now < ends < runs_out:
            runs_out = ends
    return runs_out, due.end if runs_out < too_old else min(due.end, day + DAY)


@dataclass(slots=True, eq=False)
class Strand:
    """What waits of one customer and meter, and is due alike."""

    line: "Line"
    due_at: DueAt
    times: "array[int]" = field(default_factory=lambda: array("q"))
    numbers: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, event_time: Instant, number: int) -> None:
        """Let something wait; of two with one event_time the lower number goes first."""
        self.times.append(event_time)
        self.numbers.append(number)

    def sort(self) -> None:
        """Put it into the order of event_time."""
        following = islice(zip(self.times, self.numbers, strict=True), 1, None)
        if all(map(le, zip(self.times, self.numbers, strict=True), following)):
            return
        pairs = sorted(zip(self.times, self.numbers, strict=True))
        self.times = array("q", (event_time for event_time, _ in pairs))
        self.numbers = array("q", (number for _, number in pairs))

    def clocks(self, now: Instant) -> list[tuple[Instant, int]]:
        """Return when what is sorted runs out of time, each with the place from which on it does."""
        found: list[tuple[Instant, int]] = []
        at = 0
        while at < len(self.times):
            event_time = self.times[at]
            runs_out, until = runs_out_at(self.due_at(event_time), event_time, now)
            found.append((runs_out, at))
            at = bisect_left(self.times, until, lo=at)
        return found


@dataclass(slots=True, eq=False)
class Line:
    """What waits of one customer and meter."""

    lane: Lane
    strands: list[Strand] = field(default_factory=list)
    judged: list[tuple[Instant, int, Instant]] = field(default_factory=list)
    """What is known to run out of time at an instant: its event_time, its number, and that."""
    times: "array[int]" = field(default_factory=lambda: _NOTHING)
    numbers: "array[int]" = field(default_factory=lambda: _NOTHING)
    gone: int = 0

    def strand(self, due_at: DueAt) -> Strand:
        """Begin a strand."""
        self.strands.append(Strand(self, due_at))
        return self.strands[-1]

    def __len__(self) -> int:
        """How much waits, or has gone."""
        return len(self.times) + len(self.judged) + sum(len(one.times) for one in self.strands)

    def sort(self, now: Instant) -> list[tuple[Instant, int]]:
        """Put its strands into one, in the order of event_time; return its clocks, as a strand does."""
        strands = [one for one in self.strands if one.times]
        self.strands = []
        for one in strands:
            one.sort()
        if len(strands) == 1 and not self.judged:
            [only] = strands
            self.times, self.numbers = only.times, only.numbers
            return only.clocks(now)
        merged = sorted(chain(self.judged, *(_each(one, now) for one in strands)))
        self.judged = []
        for one in strands:
            one.times = one.numbers = _NOTHING
        self.times = array("q", (event_time for event_time, _, _ in merged))
        self.numbers = array("q", (number for _, number, _ in merged))
        return [
            (runs_out, at)
            for at, (_, _, runs_out) in enumerate(merged)
            if not at or runs_out != merged[at - 1][2]
        ]


def _each(strand: Strand, now: Instant) -> Iterator[tuple[Instant, int, Instant]]:
    """Yield what waits in a strand one by one, with when it runs out of time."""
    clocks = strand.clocks(now)
    ends = [start for _, start in clocks[1:]] + [len(strand.times)]
    for (runs_out, start), end in zip(clocks, ends, strict=True):
        for at in range(start, end):
            yield strand.times[at], strand.numbers[at], runs_out


@dataclass(frozen=True, slots=True)
class _Run:
    """A part of a line that runs out of time at once; it comes after the parts before it."""

    line: Line
    start: int
    end: int

    @property
    def first(self) -> Waiting:
        return self.line.times[self.start], self.line.numbers[self.start]


@dataclass(slots=True)
class SendingOrder:
    """
    All that waits.

    Of one line always by event_time: what is urgent takes along what comes before it in its line.
    """

    now: Instant
    _lines: list[Line] = field(default_factory=list)

    def line(self, lane: Lane) -> Line:
        """Begin a line; there is one for a lane whose order matters."""
        self._lines.append(Line(lane))
        return self._lines[-1]

    def __len__(self) -> int:
        """How much waits, or has gone."""
        return sum(map(len, self._lines))

    def draw(self, take_place: Callable[[Lane], bool] = lambda _lane: True) -> Iterator[Waiting | None]:
        """
        Yield what waits in the order of sending; it is sorted when the first is drawn.

        Args:
            take_place: Takes a place in a lane for what is yielded next, or says that it may have no more.
                Then the next in order goes instead; None is yielded where nothing else is left.
        """
        begun: list[_Urgency] = []
        for runs in self._by_urgency():
            begun.append(_Urgency(runs))
            more = True
            while more:
                yield from _all_of(begun[:-1], take_place)
                more = yield from begun[-1].turn(take_place)
            begun = [one for one in begun if one.customers]
        while begun:
            given = yield from _all_of(begun, take_place)
            begun = [one for one in begun if one.customers]
            if begun and not given:
                yield None

    def _by_urgency(self) -> Iterator[list[_Run]]:
        found: dict[Instant, list[_Run]] = {}
        for line in self._lines:
            for runs_out, run in _runs(line, line.sort(self.now)):
                found.setdefault(runs_out, []).append(run)
        for runs_out in sorted(found):
            yield found.pop(runs_out)


def _runs(line: Line, clocks: Sequence[tuple[Instant, int]]) -> Iterator[tuple[Instant, _Run]]:
    """Yield the runs of a line, the last first: each with when it, or what is after it, runs out of time."""
    end = start = len(line.times)
    urgency: Instant | None = None
    for runs_out, earlier in reversed(clocks):
        if urgency is not None and runs_out < urgency:
            yield urgency, _Run(line, start, end)
            end = start
        urgency, start = runs_out if urgency is None else min(urgency, runs_out), earlier
    if urgency is not None:
        yield urgency, _Run(line, start, end)


class _Urgency:
    """What runs out of time at once: by customer, each with its lines."""

    def __init__(self, runs: list[_Run]) -> None:
        by_customer: dict[str, deque[_Run]] = {}
        # Whose oldest usage waits longest comes first.
        for run in sorted(runs, key=lambda one: one.first):
            by_customer.setdefault(run.line.lane[1], deque()).append(run)
        self.customers = list(by_customer.values())

    def turn(self, take_place: Callable[[Lane], bool]) -> Generator[Waiting, None, bool]:
        """Yield one for each customer, of its lines in turn; return whether there was any."""
        customers, self.customers = self.customers, []
        given = False
        for runs in customers:
            for _ in range(len(runs)):
                run = runs[0]
                line = run.line
                at = line.gone
                # What runs out of time later waits for what comes before it in its line.
                is_next = at >= run.start and take_place(line.lane)
                if is_next and at + 1 == run.end:
                    runs.popleft()
                elif len(runs) > 1:
                    runs.rotate(-1)
                if is_next:
                    given = True
                    line.gone = at + 1
                    yield line.times[at], line.numbers[at]
                    break
            if runs:
                self.customers.append(runs)
        return given


def _all_of(
    urgencies: Sequence[_Urgency], take_place: Callable[[Lane], bool]
) -> Generator[Waiting, None, bool]:
    """Yield all that may go, the most urgent first; return whether there was any."""
    given = False
    for one in urgencies:
        while (yield from one.turn(take_place)):
            given = True
    return given
