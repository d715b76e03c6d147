"""Shrinking leaves out what a failure does not need, and nothing else."""

from meterledger.domain.instant import HOUR
from meterledger.proving.history import SUM, History, ImportFile, PlanFaults, Push, Row, Wait
from meterledger.proving.shrinking import shrunk

ROWS = tuple(Row(key=f"r{n}", customer="cus_a", feature=SUM, quantity="1", at=0) for n in range(9))
HISTORY = History(
    seed=7,
    steps=(
        PlanFaults(faults=({"kind": "slow", "delay": "1s"}, {"kind": "reset", "times": 3, "skip": 1})),
        ImportFile(rows=ROWS, crash_at=3),
        Wait(span=HOUR),
        Push(limit=3, concurrency=4, crash_at=9),
        Push(),
    ),
)


def needs_a_row_and_a_reset(history: History) -> bool:
    """Fail where row r4 is imported while resets are planned."""
    faults = [
        fault["kind"] for step in history.steps if isinstance(step, PlanFaults) for fault in step.faults
    ]
    keys = [row.key for step in history.steps if isinstance(step, ImportFile) for row in step.rows]
    return "reset" in faults and "r4" in keys


def test_what_the_failure_needs_is_left() -> None:
    """Two steps of five, one row of nine, one plain fault of two."""
    smallest = shrunk(HISTORY, needs_a_row_and_a_reset)

    assert smallest == History(
        seed=7, steps=(PlanFaults(faults=({"kind": "reset"},)), ImportFile(rows=(ROWS[4],)))
    )


def test_the_tries_are_bounded() -> None:
    """However slow a history is, the search ends."""
    tried: list[History] = []

    def fails(history: History) -> bool:
        tried.append(history)
        return needs_a_row_and_a_reset(history)

    shrunk(HISTORY, fails, tries=5)
    assert len(tried) == 5


def test_what_fails_only_once_stays_as_it_was() -> None:
    """A failure that does not come again is told with every step it had."""
    assert shrunk(HISTORY, lambda _history: False) == HISTORY
