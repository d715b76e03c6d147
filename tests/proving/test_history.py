"""Histories are drawn from their seed alone."""

from meterledger.proving.drawing import draw
from meterledger.proving.history import (
    BackUp,
    Configure,
    History,
    ImportCustomers,
    ImportFile,
    PlanFaults,
    Push,
    Restore,
    SetClockBack,
    Settle,
    Wait,
    WriteOff,
)

MANY = range(60)


def texts(history: History) -> list[str]:
    """Return the steps as people read them."""
    return [str(step) for step in history.steps]


def test_a_seed_draws_the_same_history_again() -> None:
    """Whoever is told a seed lives what was lived."""
    assert all(draw(seed) == draw(seed) for seed in MANY)
    assert len({tuple(texts(draw(seed))) for seed in MANY}) == len(MANY)


def test_every_kind_of_step_is_drawn() -> None:
    """In a few dozen histories there is everything that can happen, crashes and jumps included."""
    steps = [step for seed in MANY for step in draw(seed).steps]

    assert {type(step) for step in steps} == {
        ImportFile, Push, PlanFaults, Wait, SetClockBack, Settle, Configure, ImportCustomers, WriteOff,
        BackUp, Restore,
    }  # fmt: skip
    assert any(isinstance(step, Push) and step.crash_at for step in steps)
    assert any(isinstance(step, Push) and step.jump_after for step in steps)
    assert any(isinstance(step, Push) and step.held_after for step in steps)
    assert any(isinstance(step, Push) and step.retry_code for step in steps)
    assert any(isinstance(step, Push) and step.include_closed for step in steps)
    assert any(isinstance(step, Push) and step.limit for step in steps)
    assert any(isinstance(step, ImportFile) and step.crash_at for step in steps)
    assert {fault["kind"] for step in steps if isinstance(step, PlanFaults) for fault in step.faults} == {
        "answer_lost", "request_lost", "server_error", "rate_limited", "conflict", "slow", "reset",
        "delivered_twice", "rejected_later",
    }  # fmt: skip


def test_a_row_with_a_flaw_is_no_row_that_import_takes() -> None:
    """Each flaw changes what stands in the file."""
    rows = [
        row for seed in MANY for step in draw(seed).steps if isinstance(step, ImportFile) for row in step.rows
    ]
    flaws = {row.flaw for row in rows} - {None}

    assert len(flaws) == 6
    for row in rows:
        if row.flaw is not None:
            assert row.flaw in str(row)
