"""The simulator: events per second over v1 and the stream, memory for each event, and its start."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.data import write_config
from benchmarks.load_generator import Way
from benchmarks.processes import PROGRAM, BrokenBenchmarkError, resident_bytes, run
from benchmarks.scale import Scale
from benchmarks.table import Line

from support.simulator_process import SimulatorProcess

_KEY = "sk_test_benchmark"
_EVENT_NAME = "api_requests"
_WAYS: tuple[Way, ...] = ("v1", "stream")
_LEAST_A_SECOND: dict[Way, int] = {"v1": 1_200, "stream": 20_000}
_LOADS: dict[Way, int] = {"v1": 1, "stream": 10}  # the stream is quicker, so that it gets more events
_WORDS: dict[Way, str] = {"v1": "v1", "stream": "the stream"}
_CONNECTIONS: dict[Way, int] = {"v1": 16, "stream": 4}
_EVENTS_REMEMBERED = 5  # times the load
_MOST_BYTES = 400  # of growth for each event
_MOST_MILLISECONDS = 1_500  # to the first answer
_WARM_UP_EVENTS = 5_000
_PROGRAMS = {
    "python -m meterledger.simulator": (sys.executable, "-m", "meterledger.simulator"),
    "meterledger simulator": (str(PROGRAM), "simulator"),
}


def bench_simulator(folder: Path, scale: Scale) -> Iterator[Line]:
    """Measure the simulator with a raw HTTP client beside it; absolute figures, for two cores."""
    config = write_config(folder)
    for way in _WAYS:
        events = scale.load * _LOADS[way]
        seconds = min(_time(config, way, events) for _ in scale.limited_rounds())
        yield Line(
            what=f"simulator, {events:,} events over {_WORDS[way]}",
            ours=f"{events / seconds:,.0f} events/s",
            value=events / seconds,
            unit="/s",
            at_least=_LEAST_A_SECOND[way],
        )
        yield _memory(config, way, scale.load * _EVENTS_REMEMBERED)
    for name, program in _PROGRAMS.items():
        milliseconds = min(_start(program) for _ in range(scale.starts)) * 1000
        yield Line(
            what=f"start to the first answer, {name}",
            ours=f"{milliseconds:.0f} ms",
            value=milliseconds,
            unit=" ms",
            at_most=_MOST_MILLISECONDS,
        )


def _time(config: Path, way: Way, events: int) -> float:
    """Return the seconds in which a new simulator counts events."""
    with SimulatorProcess("--seed-from", str(config)) as simulator:
        seconds = _send(simulator, way, events, seed=1)
        _check_counted(simulator, events)
    return seconds


def _memory(config: Path, way: Way, events: int) -> Line:
    with SimulatorProcess("--seed-from", str(config)) as simulator:
        _send(simulator, way, _WARM_UP_EVENTS, seed=1)
        before = resident_bytes(simulator.process.pid)
        _send(simulator, way, events, seed=2)
        after = resident_bytes(simulator.process.pid)
        _check_counted(simulator, _WARM_UP_EVENTS + events)
    grown = None if before is None or after is None else (after - before) / events
    return Line(
        what=f"memory for each of {events:,} events over {_WORDS[way]}",
        ours="-" if grown is None else f"{grown:.0f} bytes",
        value=grown,
        unit=" bytes",
        at_most=_MOST_BYTES,
    )


def _start(program: tuple[str, ...]) -> float:
    """Return the seconds from the start of a program to its first answer."""
    begun = time.perf_counter()
    with SimulatorProcess(program=program) as simulator:
        simulator.ledger()
        return time.perf_counter() - begun


def _send(simulator: SimulatorProcess, way: Way, events: int, *, seed: int) -> float:
    finished = run(
        [
            *(sys.executable, Path(__file__).with_name("load_generator.py"), way),
            *("--base", simulator.url, "--key", _KEY, "--event-name", _EVENT_NAME),
            *("--events", str(events), "--connections", str(_CONNECTIONS[way]), "--seed", str(seed)),
        ]
    )
    printed = json.loads(finished.stdout)
    if printed["refused"]:
        raise BrokenBenchmarkError(f"calls were refused, by status: {printed['refused']}")
    seconds: float = printed["seconds"]
    return seconds


def _check_counted(simulator: SimulatorProcess, events: int) -> None:
    counted = simulator.ledger()["identifier_totals"]["counted"]
    if counted != events:
        raise BrokenBenchmarkError(f"the simulator counted {counted} events of {events}")
