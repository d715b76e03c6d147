"""A plan of faults: those that were thought out, and those that a seed brings."""

from dataclasses import dataclass, field, replace
from typing import Annotated

import msgspec

from meterledger.simulator.faults.fault import Fault
from meterledger.simulator.faults.kinds import RANDOM_KINDS, Kind

MAX_FAULTS = 1000
MAX_SEED = 10**15  # no reader of JSON rounds it


class RandomFaults(msgspec.Struct, frozen=True, kw_only=True):
    """
    Faults that a seed brings.

    Attributes:
        seed: The same one and the same requests in the same order give the same faults.
        rate: The share of requests that are struck, 0 to 1.
        kinds: What they are struck with, each as likely as the others.
        on: Where, see `places`.
        delay: How long a slow answer is held back, e.g. `3s`.
    """

    seed: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEED)] = 0
    rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    kinds: tuple[Kind, ...] = RANDOM_KINDS
    on: str = "meter_events"
    delay: str = "1s"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """Every fault, in the order in which they are asked; of those that are due, the first one strikes."""

    faults: tuple[Fault, ...] = ()
    random: RandomFaults = field(default_factory=RandomFaults)


NO_FAULTS = FaultPlan()


def with_random(plan: FaultPlan, *, seed: int | None, rate: float | None) -> FaultPlan:
    """
    Return a plan with another seed or rate, where they are given.

    Raises:
        ValueError: The seed is negative, or the rate does not lie between 0 and 1.
    """
    random = plan.random
    if seed is not None:
        if not 0 <= seed <= MAX_SEED:
            raise ValueError(f"a seed is a whole number from 0 to {MAX_SEED}")
        random = msgspec.structs.replace(random, seed=seed)
    if rate is not None:
        if not 0 <= rate <= 1:
            raise ValueError("a rate of faults lies between 0 and 1")
        random = msgspec.structs.replace(random, rate=rate)
    return replace(plan, random=random)
