"""Push over v1: events per second against a bare loop over Stripe's SDK, both to the local simulator."""

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.data import write_config, write_usage
from benchmarks.importing import import_with_meterledger
from benchmarks.processes import PROGRAM, BrokenBenchmarkError, run
from benchmarks.scale import Scale
from benchmarks.table import Line

from support.simulator_process import SimulatorProcess

CONCURRENCY = 32
_KEY = "sk_test_benchmark"
_EVENT_NAME = "api_requests"
_LEAST_RATIO = 0.7
_MICROSECONDS = 1_000_000

Times = tuple[float, float]
"""Seconds of the whole process, and seconds of sending."""


def bench_push(folder: Path, scale: Scale) -> Iterator[Line]:
    """Compare ``meterledger push`` with the loop, as whole processes and by sending alone."""
    ours: list[Times] = []
    peer: list[Times] = []
    for number in scale.limited_rounds():
        # New ids and a new ledger each time.
        file = folder / f"push-{number}.csv"
        write_usage(file, scale.events, customers=scale.customers, seed=100 + number)
        ledger = folder / f"push-{number}.db"
        import_with_meterledger(folder, file, scale.events, ledger_name=ledger.name, keep=True)
        # Who goes first changes from round to round.
        for side in (ours, peer) if number % 2 else (peer, ours):
            with _simulator(folder) as simulator:
                if side is ours:
                    side.append(_push(folder, ledger, simulator, scale.events))
                else:
                    side.append(_loop(file, simulator, scale.events))
                _check_counted(simulator, scale.events)
    for what, index, least in (("whole process", 0, _LEAST_RATIO), ("sending alone", 1, None)):
        our_best, peer_best = (min(times[index] for times in side) for side in (ours, peer))
        yield Line(
            what=f"push, {scale.events:,} events over v1, vs bare SDK loop, {what}",
            ours=f"{scale.events / our_best:,.0f} events/s",
            peer=f"{scale.events / peer_best:,.0f} events/s",
            value=peer_best / our_best,
            at_least=least,
        )


def _simulator(folder: Path) -> SimulatorProcess:
    """
    Start a simulator for one side.

    Each has its own: what the loop has sent is foreign usage to a ledger. Two calls at once for a customer
    and meter are taken: the loop does not keep them apart, and would be refused.
    """
    return SimulatorProcess("--seed-from", str(write_config(folder)), "--concurrent-calls", "taken")


def _push(folder: Path, ledger: Path, simulator: SimulatorProcess, events: int) -> Times:
    finished = run(
        [
            *(PROGRAM, "--config", write_config(folder), "--ledger", ledger),
            *("push", "--concurrency", str(CONCURRENCY), "--format", "json"),
        ],
        environment={"STRIPE_API_KEY": _KEY, "STRIPE_API_BASE": simulator.url},
    )
    accepted = json.loads(finished.stdout)["accepted"]
    if accepted != events:
        raise BrokenBenchmarkError(f"{accepted} events of {events} were accepted")
    with closing(sqlite3.connect(ledger)) as connection:
        (sending,) = connection.execute("SELECT finished_at - started_at FROM pushes").fetchone()
    return finished.seconds, sending / _MICROSECONDS


def _loop(file: Path, simulator: SimulatorProcess, events: int) -> Times:
    script = Path(__file__).with_name("sdk_loop.py")
    finished = run(
        [
            *(sys.executable, script, file, "--base", simulator.url, "--key", _KEY),
            *("--event-name", _EVENT_NAME, "--concurrency", str(CONCURRENCY)),
        ]
    )
    printed = json.loads(finished.stdout)
    if printed["events"] != events:
        raise BrokenBenchmarkError(f"the loop sent {printed['events']} events of {events}")
    return finished.seconds, printed["seconds"]


def _check_counted(simulator: SimulatorProcess, events: int) -> None:
    counted = simulator.ledger()["identifier_totals"]["counted"]
    if counted != events:
        raise BrokenBenchmarkError(f"the simulator counted {counted} events of {events}")
