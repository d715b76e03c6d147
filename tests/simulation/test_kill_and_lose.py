"""The command line against a Stripe that shares nothing with it: killed, held and cheated at random."""

import random
from pathlib import Path

import pytest

from support.independent_stripe import IndependentStripe
from support.kill_and_lose import GONE, METERS, START, Job
from support.mishap import Mishap


def live(folder: Path, seed: int, rounds: int, mishaps: float) -> Job:
    """Live a history of processes; a failure tells its seed, and what was done."""
    chance = random.Random(seed)  # noqa: S311 # chance to be repeated
    with IndependentStripe(METERS, random.Random(seed), now=START, mishaps=mishaps) as stripe:  # noqa: S311
        stripe.refused_later.add(GONE)
        job = Job(folder, stripe, chance)
        try:
            job.prepare()
            job.import_some()
            for _ in range(rounds):
                job.round()
            job.finish()
        except BaseException as error:
            error.add_note(f"seed {seed}:\n" + "\n".join(job.told[-60:]))
            raise
    return job


def test_each_row_counts_once_however_it_is_killed(tmp_path: Path) -> None:
    """Killed, held and cheated in five rounds: each row is counted once, or listed, and none twice."""
    job = live(tmp_path, seed=1, rounds=5, mishaps=0.15)
    assert job.killed + job.paused > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 22))
def test_each_row_counts_once_in_long_histories(tmp_path: Path, seed: int) -> None:
    """The same over forty rounds, in weather from fair to foul."""
    job = live(tmp_path, seed, rounds=40, mishaps=(0.02, 0.15, 0.35)[seed % 3])
    assert job.killed > 5
    assert job.paused > 0
    assert seed % 3 == 0 or job.stripe.struck.keys() == set(Mishap)
