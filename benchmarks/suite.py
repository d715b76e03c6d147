"""
Ratios of meterledger to named peers, measured side by side in one run.

Absolute numbers depend on the machine and on what else it does; ratios of one run hold. Both sides of a
ratio take turns, and each counts with its best round. Nothing here fails for being slow.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.auditing import bench_audit
from benchmarks.import_forms import bench_forms, bench_large, bench_memory
from benchmarks.importing import bench_import
from benchmarks.processes import BrokenBenchmarkError
from benchmarks.pushing import bench_push, bench_stream
from benchmarks.reporting import bench_report
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.sealing import bench_sealing
from benchmarks.simulating import bench_simulator
from benchmarks.startup import bench_startup
from benchmarks.table import Line, print_table

BENCHMARKS: dict[str, Callable[[Path, Scale], Iterator[Line]]] = {
    "startup": bench_startup,
    "import": bench_import,
    "forms": bench_forms,
    "large": bench_large,
    "memory": bench_memory,
    "push": bench_push,
    "sealing": bench_sealing,
    "stream": bench_stream,
    "simulator": bench_simulator,
    "audit": bench_audit,
    "report": bench_report,
}


def main() -> int:
    """Run what was asked for, print the table; 1 if something broke, whatever the ratios."""
    parser = argparse.ArgumentParser(description="Ratios of meterledger to named peers, in one run.")
    parser.add_argument(
        "--quick", action="store_true", help="small amounts and one round: does it run at all?"
    )
    parser.add_argument("--only", choices=BENCHMARKS, metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}")
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    lines: list[Line] = []
    broken = False
    with tempfile.TemporaryDirectory(prefix="meterledger-bench-") as folder:
        for name, bench in BENCHMARKS.items():
            if options.only not in (None, name):
                continue
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                lines.extend(bench(Path(folder), scale))
            except BrokenBenchmarkError as error:
                broken = True
                print(f"{name} broke: {error}", file=sys.stderr)
    print_table(lines, quick=options.quick)
    return int(broken)
