"""
Planning and sealing: totals, sealing alone, roll-ups, memory, and the first request after a kill.

Absolute figures, each with its bound; a roll-up has the import of the same usage as its peer.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.data import write_config, write_usage
from benchmarks.importing import import_with_meterledger, program_on, remove_database
from benchmarks.processes import BrokenBenchmarkError, Finished, run
from benchmarks.scale import Scale
from benchmarks.table import Line

from support.simulator_process import SimulatorProcess

_KEY = "sk_test_benchmark"
_LEAST_PREVIEWED = 150_000  # usage events a second
_LEAST_SEALED = 40_000  # usage events a second
_MOST_MEGABYTES = 250
_MOST_SECONDS_TO_RECOVER = 2
_LEFT_UNSEALED = 5_000
_SENT_BEFORE_THE_KILL = 500
_PATIENCE_SECONDS = 60.0
_MEGABYTE = 1_000_000
_ROLLUP = """\
rollup = "day"
settle = "1m"

[invoicing]
anchors = "calendar"
"""
_DAYS = 10


def bench_sealing(folder: Path, scale: Scale) -> Iterator[Line]:
    """Measure what a push does before its first request, and what becomes of a push that was killed."""
    yield _previewed(folder, scale)
    for way, least in (("stream", _LEAST_SEALED), ("v1", None)):
        yield _sealed_alone(folder, scale, way, least)
    for way in ("stream", "v1"):
        yield from _rolled_up(folder, scale, way)
    yield _memory(folder, scale)
    yield _recovered(folder, scale)


def _previewed(folder: Path, scale: Scale) -> Line:
    ledger = _filled(folder, scale, scale.rows)
    seconds = min(_preview(folder, ledger, scale.rows).seconds for _ in scale.limited_rounds())
    remove_database(ledger)
    return Line(
        what=f"preview totals of {scale.rows:,} usage events, {scale.customers:,} customers",
        ours=f"{scale.rows / seconds:,.0f}/s",
        value=scale.rows / seconds,
        unit="/s",
        at_least=_LEAST_PREVIEWED,
    )


def _preview(folder: Path, ledger: Path, rows: int) -> Finished:
    finished = run([*program_on(folder, ledger.name), "preview"])
    if f"{rows:,}" not in finished.stdout:
        raise BrokenBenchmarkError(f"the preview does not tell of {rows:,} meter events")
    return finished


def _sealed_alone(folder: Path, scale: Scale, way: str, least: int | None) -> Line:
    events = scale.rows // 5
    rates = []
    for _ in scale.limited_rounds():
        ledger = _filled(folder, scale, events)
        rates.append(events / _seal(folder, ledger, events, "--api", way))
        remove_database(ledger)
    return Line(
        what=f"sealing {events:,} usage events one to one for {way}, nothing sent",
        ours=f"{max(rates):,.0f}/s",
        value=max(rates),
        unit="/s",
        at_least=least,
    )


def _seal(folder: Path, ledger: Path, events: int, *options: str) -> float:
    script = Path(__file__).with_name("seal_alone.py")
    printed = json.loads(run([sys.executable, script, write_config(folder), ledger, *options]).stdout)
    if printed["sealed"] != events:
        raise BrokenBenchmarkError(f"{printed['sealed']} usage events of {events} were sealed")
    seconds: float = printed["seconds"]
    return seconds


def _rolled_up(folder: Path, scale: Scale, way: str) -> Iterator[Line]:
    """Push usage that was rolled up by customer and day, and compare it with its import."""
    file = folder / "rolled-up.csv"
    imported, pushed, sealed = [], [], 0
    for number in scale.limited_rounds():
        ledger = folder / "rolled-up.db"
        customers = scale.customers
        write_usage(file, scale.rows, customers=customers, seed=300 + number, days=_DAYS)
        imported.append(
            import_with_meterledger(folder, file, scale.rows, ledger_name=ledger.name, keep=True).seconds
        )
        with _simulator(folder) as simulator:
            finished = _push(folder, ledger, simulator, "--api", way, rolled_up=True)
        pushed.append(finished.seconds)
        sealed = json.loads(finished.stdout)["accepted"]
        if not customers * _DAYS // 2 <= sealed <= customers * (_DAYS + 1):
            raise BrokenBenchmarkError(f"{sealed} meter events were accepted, not about {customers * _DAYS}")
        remove_database(ledger)
    file.unlink()
    yield Line(
        what=f"{scale.rows:,} usage events rolled up into {sealed:,}, sealed and pushed by {way}, vs import",
        ours=f"{min(pushed):.2f} s",
        peer=f"{min(imported):.2f} s",
        value=min(imported) / min(pushed),
        at_least=1 if way == "stream" else None,
    )


def _memory(folder: Path, scale: Scale) -> Line:
    events = scale.rows // 2
    ledger = _filled(folder, scale, events)
    with _simulator(folder) as simulator:
        finished = _push(folder, ledger, simulator, "--api", "stream")
    if json.loads(finished.stdout)["accepted"] != events:
        raise BrokenBenchmarkError(f"not all of {events} meter events were accepted")
    remove_database(ledger)
    return Line(
        what=f"peak memory of a push of {events:,} pending usage events",
        ours=f"{finished.peak_bytes / _MEGABYTE:,.0f} MB",
        value=finished.peak_bytes / _MEGABYTE,
        unit=" MB",
        at_most=_MOST_MEGABYTES,
    )


def _recovered(folder: Path, scale: Scale) -> Line:
    """Kill a push of a full ledger in the middle, and time the next one until its first request."""
    ledger = _filled(folder, scale, scale.rows)
    accepted = scale.rows - _LEFT_UNSEALED
    _seal(folder, ledger, accepted, "--accept", "--limit", str(accepted), "--api", "stream")
    with _simulator(folder) as simulator:
        killed = _start_push(folder, ledger, simulator)
        _wait_for(simulator, _SENT_BEFORE_THE_KILL)
        killed.kill()
        killed.wait()
        time.sleep(0.5)  # what it sent last is answered by then
        sent = _sent(simulator)
        begun = time.perf_counter()
        recovering = _start_push(folder, ledger, simulator)
        _wait_for(simulator, sent + 1)
        seconds = time.perf_counter() - begun
        if recovering.wait():
            raise BrokenBenchmarkError("the push after the kill did not end well")
    remove_database(ledger)
    return Line(
        what=f"first request after a kill, {scale.rows:,} usage events in the ledger",
        ours=f"{seconds:.2f} s",
        value=seconds,
        unit=" s",
        at_most=_MOST_SECONDS_TO_RECOVER,
    )


def _filled(folder: Path, scale: Scale, rows: int) -> Path:
    """Return a new ledger with so much unsealed usage."""
    file = folder / "sealing.csv"
    write_usage(file, rows, customers=scale.customers, seed=200)
    ledger = folder / "sealing.db"
    import_with_meterledger(folder, file, rows, ledger_name=ledger.name, keep=True)
    file.unlink()
    return ledger


def _simulator(folder: Path) -> SimulatorProcess:
    return SimulatorProcess("--seed-from", str(write_config(folder)))


def _push(
    folder: Path, ledger: Path, simulator: SimulatorProcess, *options: str, rolled_up: bool = False
) -> Finished:
    program = program_on(folder, ledger.name)
    if rolled_up:
        config = folder / "rolled-up.toml"
        config.write_text(write_config(folder).read_text() + _ROLLUP)
        program[program.index("--config") + 1] = config
    return run([*program, "push", "--format", "json", *options], environment=_environment(simulator))


def _start_push(folder: Path, ledger: Path, simulator: SimulatorProcess) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(part) for part in (*program_on(folder, ledger.name), "push")],
        env={**os.environ, **_environment(simulator)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _environment(simulator: SimulatorProcess) -> Mapping[str, str]:
    return {
        "STRIPE_API_KEY": _KEY,
        "STRIPE_API_BASE": simulator.url,
        "STRIPE_METER_EVENTS_BASE": simulator.url,
    }


def _wait_for(simulator: SimulatorProcess, sent: int) -> None:
    begun = time.perf_counter()
    while _sent(simulator) < sent:
        if time.perf_counter() - begun > _PATIENCE_SECONDS:
            raise BrokenBenchmarkError(f"no {sent} meter events were sent in {_PATIENCE_SECONDS:.0f} s")
        time.sleep(0.01)


def _sent(simulator: SimulatorProcess) -> int:
    """Return how many requests brought meter events so far."""
    return sum(
        row["count"]
        for row in simulator.ledger()["requests"]
        if row["method"] == "POST" and row["path"] == "/v1/billing/meter_events"
    )
