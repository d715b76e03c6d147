"""Push: events per second against bare loops over Stripe's SDK, all to the local simulator."""

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

from benchmarks.data import write_config, write_usage
from benchmarks.importing import import_with_meterledger
from benchmarks.processes import PROGRAM, BrokenBenchmarkError, run
from benchmarks.scale import Scale
from benchmarks.table import Line

from support.simulator_process import SimulatorProcess

CONCURRENCY = 32
_KEY = "sk_test_benchmark"
_EVENT_NAME = "api_requests"
_MICROSECONDS = 1_000_000
_STREAM_LOAD = 10  # the stream is quicker, so that it gets more events
_PLAIN_SHARE = 5  # one call after the other is slow, so that it gets fewer

Way = Literal["v1", "stream", "plain"]
Times = tuple[float, float]
"""Seconds of the whole process, and seconds of sending."""


def bench_push(folder: Path, scale: Scale) -> Iterator[Line]:
    """Compare ``meterledger push`` over v1 with the loop, as whole processes and by sending alone."""
    ours, peer = _rounds(folder, scale, "v1", scale.events)
    yield from _lines(f"push, {scale.events:,} events over v1", scale.events, ours, peer, least=0.8)


def bench_stream(folder: Path, scale: Scale) -> Iterator[Line]:
    """Compare ``meterledger push`` over the stream with that loop, and with one call after the other."""
    events = scale.events * _STREAM_LOAD
    ours, peer = _rounds(folder, scale, "stream", events)
    what = f"push, {events:,} events over the stream"
    yield from _lines(what, events, ours, peer, least=0.7)
    few = scale.events // _PLAIN_SHARE
    file = folder / "plain.csv"
    write_usage(file, few, customers=scale.customers, seed=99)
    with _simulator(folder) as simulator:
        plain, _ = _loop(file, simulator, few, "plain")
        _check_counted(simulator, few)
    best = min(seconds for seconds, _ in ours)
    yield Line(
        what=f"{what}, vs MeterEvent.create one by one, whole process",
        ours=f"{events / best:,.0f} events/s",
        peer=f"{few / plain:,.0f} events/s",
        value=(events / best) / (few / plain),
        at_least=8,
    )


def _rounds(folder: Path, scale: Scale, way: Way, events: int) -> tuple[list[Times], list[Times]]:
    ours: list[Times] = []
    peer: list[Times] = []
    for number in scale.limited_rounds():
        # New ids and a new ledger each time.
        file = folder / f"push-{way}-{number}.csv"
        write_usage(file, events, customers=scale.customers, seed=100 + number)
        ledger = folder / f"push-{way}-{number}.db"
        import_with_meterledger(folder, file, events, ledger_name=ledger.name, keep=True)
        # Who goes first changes from round to round.
        for side in (ours, peer) if number % 2 else (peer, ours):
            with _simulator(folder) as simulator:
                if side is ours:
                    side.append(_push(folder, ledger, simulator, events, way))
                else:
                    side.append(_loop(file, simulator, events, way))
                _check_counted(simulator, events)
    return ours, peer


def _lines(what: str, events: int, ours: list[Times], peer: list[Times], *, least: float) -> Iterator[Line]:
    for part, index, at_least in (("whole process", 0, least), ("sending alone", 1, None)):
        our_best, peer_best = (min(times[index] for times in side) for side in (ours, peer))
        yield Line(
            what=f"{what}, vs bare SDK loop, {part}",
            ours=f"{events / our_best:,.0f} events/s",
            peer=f"{events / peer_best:,.0f} events/s",
            value=peer_best / our_best,
            at_least=at_least,
        )


def _simulator(folder: Path) -> SimulatorProcess:
    """
    Start a simulator for one side.

    Each has its own: what the loop has sent is foreign usage to a ledger. Two calls at once for a customer
    and meter are taken: the loop does not keep them apart, and would be refused.
    """
    return SimulatorProcess("--seed-from", str(write_config(folder)), "--concurrent-calls", "taken")


def _push(folder: Path, ledger: Path, simulator: SimulatorProcess, events: int, way: Way) -> Times:
    finished = run(
        [
            *(PROGRAM, "--config", write_config(folder), "--ledger", ledger),
            *("push", "--api", way, "--concurrency", str(CONCURRENCY), "--format", "json"),
        ],
        environment={"STRIPE_API_KEY": _KEY, "STRIPE_API_BASE": simulator.url},
    )
    accepted = json.loads(finished.stdout)["accepted"]
    if accepted != events:
        raise BrokenBenchmarkError(f"{accepted} events of {events} were accepted")
    with closing(sqlite3.connect(ledger)) as connection:
        (sending,) = connection.execute("SELECT finished_at - started_at FROM pushes").fetchone()
    return finished.seconds, sending / _MICROSECONDS


def _loop(file: Path, simulator: SimulatorProcess, events: int, way: Way) -> Times:
    script = Path(__file__).with_name("sdk_loop.py")
    finished = run(
        [
            *(sys.executable, script, file, "--base", simulator.url, "--key", _KEY),
            *("--event-name", _EVENT_NAME, "--concurrency", str(CONCURRENCY), "--way", way),
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
