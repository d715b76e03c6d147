"""How long the program takes to start."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import PROGRAM, run
from benchmarks.scale import Scale
from benchmarks.table import Line


def bench_startup(_folder: Path, scale: Scale) -> Iterator[Line]:
    """Compare ``meterledger --version`` with an interpreter that imports what reads its options."""
    ours: list[float] = []
    peer: list[float] = []
    for _ in range(scale.starts):
        ours.append(run([PROGRAM, "--version"]).seconds)
        peer.append(run([sys.executable, "-c", "import typer"]).seconds)
    yield Line(
        what="start-up: --version vs python -c 'import typer'",
        ours=f"{min(ours) * 1000:.0f} ms",
        peer=f"{min(peer) * 1000:.0f} ms",
        value=min(ours) / min(peer),
        at_most=1.5,
    )
