"""The faults in force: asked once for each request, and whenever something is published."""

import random
from collections.abc import Iterator

from meterledger.simulator.faults.fault import Encounter, Fault
from meterledger.simulator.faults.kinds import REASONS, Kind, only_on
from meterledger.simulator.faults.log import RANDOM_FAULT, FaultLog
from meterledger.simulator.faults.places import covers
from meterledger.simulator.faults.plan import NO_FAULTS, FaultPlan, RandomFaults
from meterledger.simulator.faults.strike import Strike, strike_with


class ArmedFault:
    """
    A fault in force, and how often it met the requests it is meant for.

    Args:
        fault: The fault.
        number: Its number in the plan, from 1.
        seed: Decides its chances.

    Attributes:
        matched: How many requests it was meant for.
        struck: How many of them it hit.
    """

    def __init__(self, fault: Fault, number: int, seed: int) -> None:
        self.fault = fault
        self.number = number
        self.matched = 0
        self.struck = 0
        self._chances = random.Random(f"{seed}:{number}")  # noqa: S311 - what is wanted is to be repeatable

    def is_due(self) -> bool:
        """Count a request that the fault is meant for, and tell whether it is this one's turn."""
        fault = self.fault
        self.matched += 1
        turn = self.matched - fault.skip
        if turn < 1 or turn % fault.every or 0 < fault.most <= self.struck:
            return False
        return fault.chance >= 1 or self._chances.random() < fault.chance


class RandomSource:
    """
    Faults by a seed.

    Args:
        settings: How many of them and which.

    Attributes:
        matched: How many requests could have been struck.
        struck: How many were.
    """

    def __init__(self, settings: RandomFaults) -> None:
        self.settings = settings
        self.matched = 0
        self.struck = 0
        self._chances = random.Random(settings.seed)  # noqa: S311 - what is wanted is to be repeatable

    def draw(self, encounter: Encounter) -> Fault | None:
        """Return the fault that strikes a request, if one does."""
        settings = self.settings
        if not settings.rate or not covers(settings.on, encounter.pattern):
            return None
        self.matched += 1
        if self._chances.random() >= settings.rate:
            return None
        kinds = [kind for kind in settings.kinds if covers(only_on(kind), encounter.pattern)]
        return self._fault(self._chances.choice(kinds)) if kinds else None

    def _fault(self, kind: Kind) -> Fault:
        chances, on = self._chances, self.settings.on
        match kind:
            case Kind.SERVER_ERROR:
                stored, counted = chances.choice((True, False)), chances.choice((True, False))
                return Fault(kind=kind, on=on, stored=stored, counted=counted)
            case Kind.RATE_LIMITED:
                return Fault(kind=kind, on=on, reason=chances.choice(REASONS))
            case Kind.SLOW:
                return Fault(kind=kind, on=on, delay=self.settings.delay)
            case _:
                return Fault(kind=kind, on=on)


class FaultBook:
    """
    The faults in force.

    Args:
        plan: What the simulator was started with.
    """

    def __init__(self, plan: FaultPlan) -> None:
        self._first_plan = plan
        self.reset()

    def reset(self) -> None:
        """Go back to the plan that the simulator was started with, and forget every strike."""
        self.log = FaultLog()
        self.use(self._first_plan)

    def use(self, plan: FaultPlan) -> None:
        """Put a plan in the place of the one in force; the log stays."""
        seed = plan.random.seed
        self.armed = [ArmedFault(fault, number, seed) for number, fault in enumerate(plan.faults, 1)]
        self.random = RandomSource(plan.random)

    def end(self) -> None:
        """End all faults; the log stays."""
        self.use(NO_FAULTS)

    @property
    def is_idle(self) -> bool:
        """Whether no fault can strike, so that nobody need ask."""
        return not self.armed and not self.random.settings.rate

    def strike(self, encounter: Encounter) -> Strike | None:
        """
        Tell what strikes a request, and note it in the log.

        Every fault counts the requests it is meant for. Of those whose turn it is the first in the plan
        strikes; a random one does where no planned one does.
        """
        chosen = None
        for armed in self.armed:
            subject = armed.fault.subject(encounter)
            if subject is None or not armed.is_due():
                continue
            if armed.fault.kind.is_standing:
                armed.struck += 1
                self.log.note(armed.number, armed.fault, encounter, subject)
            elif chosen is None:
                armed.struck += 1
                chosen = armed.number, armed.fault, subject
        drawn = self.random.draw(encounter)
        if drawn is not None and chosen is None:
            self.random.struck += 1
            chosen = RANDOM_FAULT, drawn, encounter.subjects[0]
        if chosen is None:
            return None
        number, fault, subject = chosen
        self.log.note(number, fault, encounter, subject)
        return strike_with(fault, encounter.pattern[1:3])

    def report_delay(self) -> float:
        """Return how much later than Stripe's usual an error report comes, in seconds."""
        return max((fault.delay_seconds for fault in self._standing(Kind.REPORTS_LATE)), default=0.0)

    def report_samples(self) -> int | None:
        """Return how many events an error report names at most; None where no fault says so."""
        return min((fault.samples for fault in self._standing(Kind.REPORTS_PARTIAL)), default=None)

    def summary_lag(self) -> float:
        """Return how much later than it was told to the simulator shows events in summaries, in seconds."""
        return max((fault.delay_seconds for fault in self._standing(Kind.SUMMARIES_LAG)), default=0.0)

    def _standing(self, kind: Kind) -> Iterator[Fault]:
        return (armed.fault for armed in self.armed if armed.fault.kind is kind)
