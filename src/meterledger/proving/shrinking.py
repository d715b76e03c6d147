"""Shrinking: from a history that fails to the smallest that still fails in the same way."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from meterledger.proving.history import History, ImportCustomers, ImportFile, PlanFaults, Push, Step, size_of

MAX_TRIES = 300
"""Histories that are lived to find a smaller one: some two minutes at most."""

Steps = tuple[Step, ...]
_Part = TypeVar("_Part")


def shrunk(history: History, still_fails: Callable[[History], bool], tries: int = MAX_TRIES) -> History:
    """
    Return the smallest history that is found by leaving things out, greedily.

    Args:
        history: One that fails.
        still_fails: Lives a history, and tells whether it fails in the same way.
        tries: How often it may be asked.
    """
    smaller = True
    while smaller and tries > 0:
        smaller = False
        for steps in _smaller(history.steps):
            if tries <= 0:
                break
            tries -= 1
            tried = History(seed=history.seed, steps=steps)
            if still_fails(tried):
                history, smaller = tried, True
                break
    return history


def _smaller(steps: Steps) -> Iterator[Steps]:
    """Yield what is left if something is left out: the largest pieces first, and no history twice."""
    seen = [steps]  # a plan of faults is a mapping: there is no set of such
    candidates = [*_without_runs(steps), *_with_smaller_steps(steps)]
    for candidate in sorted(candidates, key=size_of):
        if candidate not in seen:
            seen.append(candidate)
            yield candidate


def _without_runs(steps: Steps) -> Iterator[Steps]:
    length = len(steps)
    while length > 1:
        length = (length + 1) // 2
        for start in range(0, len(steps), length):
            yield steps[:start] + steps[start + length :]


def _with_smaller_steps(steps: Steps) -> Iterator[Steps]:
    for number, step in enumerate(steps):
        for other in _smaller_steps(step):
            yield (*steps[:number], other, *steps[number + 1 :])


def _smaller_steps(step: Step) -> Iterator[Step]:  # noqa: C901 # one case for each kind of step
    match step:
        case ImportFile():
            if step.crash_at:
                yield replace(step, crash_at=None)
            for rows in _without_parts(step.rows):
                yield replace(step, rows=rows)
        case PlanFaults():
            for faults in _without_parts(step.faults):
                yield replace(step, faults=faults)
            for number, fault in enumerate(step.faults):
                for key in ("skip", "times"):
                    less = {name: value for name, value in fault.items() if name != key}
                    yield replace(step, faults=(*step.faults[:number], less, *step.faults[number + 1 :]))
        case ImportCustomers():
            for lines in _without_parts(step.lines):
                yield replace(step, lines=lines)
        case Push():
            simpler = (
                replace(step, crash_at=None),
                replace(step, jump_after=None, jump=0),
                replace(step, held_after=None, held=0),
                replace(step, include_closed=False),
                replace(step, retry_rejected=False, retry_code=None),
                replace(step, limit=None),
                replace(step, concurrency=1),
            )
            yield from (one for one in simpler if one != step)


def _without_parts(parts: tuple[_Part, ...]) -> Iterator[tuple[_Part, ...]]:
    """Yield the two halves, and then all but one."""
    if len(parts) > 1:
        half = len(parts) // 2
        yield parts[:half]
        yield parts[half:]
        for number in range(len(parts)):
            yield parts[:number] + parts[number + 1 :]
