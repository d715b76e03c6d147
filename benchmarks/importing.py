"""Import of a CSV file: rows per second against the sqlite3 shell, and peak memory."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.data import COLUMNS, write_config, write_usage
from benchmarks.processes import PROGRAM, BrokenBenchmarkError, Finished, run
from benchmarks.scale import Scale
from benchmarks.table import Line

_MEGABYTE = 1_000_000
_MOST_MEGABYTES = 200
_LEAST_RATIO = 0.45


def bench_import(folder: Path, scale: Scale) -> Iterator[Line]:
    """Compare ``meterledger import`` with the shell's ``.import``, for random and for time-ordered ids."""
    shell = shutil.which("sqlite3")
    for kind in ("random", "time-ordered"):
        file = folder / f"{kind}.csv"
        write_usage(
            file, scale.rows, customers=scale.customers, seed=1, time_ordered_ids=kind == "time-ordered"
        )
        ours: list[float] = []
        peer: list[float] = []
        for _ in scale.limited_rounds():
            ours.append(import_with_meterledger(folder, file, scale.rows).seconds)
            if shell:
                peer.append(_import_with_shell(shell, folder, file, scale.rows).seconds)
        file.unlink()
        yield Line(
            what=f"import, {scale.rows:,} rows, {kind} ids, vs sqlite3 .import",
            ours=f"{scale.rows / min(ours):,.0f} rows/s",
            peer=f"{scale.rows / min(peer):,.0f} rows/s" if peer else "no sqlite3 shell here",
            value=min(peer) / min(ours) if peer else None,
            at_least=_LEAST_RATIO if kind == "random" else None,
        )


def bench_memory(folder: Path, scale: Scale) -> Iterator[Line]:
    """Measure the memory of two imports; the peer is the smaller file, for its memory must not grow."""
    peaks: list[int] = []
    for rows in (scale.rows, scale.many_rows):
        file = folder / f"memory-{rows}.csv"
        write_usage(file, rows, customers=scale.customers, seed=2)
        peaks.append(import_with_meterledger(folder, file, rows).peak_bytes)
        file.unlink()
        yield Line(
            what=f"peak memory of an import of {rows:,} rows",
            ours=f"{peaks[-1] / _MEGABYTE:.0f} MB",
            value=peaks[-1] / _MEGABYTE,
            unit=" MB",
            at_most=_MOST_MEGABYTES,
        )


def import_with_meterledger(
    folder: Path, file: Path, rows: int, *, ledger_name: str = "import.db", keep: bool = False
) -> Finished:
    """
    Import a file into a new ledger, and check that every row went in.

    Args:
        folder: Where config and ledger are.
        file: What is imported.
        rows: How many rows it has.
        ledger_name: The ledger's file name.
        keep: Whether the ledger is still needed.
    """
    program = (PROGRAM, "--config", write_config(folder), "--ledger", folder / ledger_name)
    run([*program, "init"])
    finished = run([*program, "import", file, "--format", "json"])
    accepted = json.loads(finished.stdout)["accepted"]
    if accepted != rows:
        raise BrokenBenchmarkError(f"{accepted} rows of {rows} were accepted")
    if not keep:
        _remove_database(folder / ledger_name)
    return finished


def _import_with_shell(shell: str, folder: Path, file: Path, rows: int) -> Finished:
    """Import a file into a table with its columns and key, in one transaction."""
    database = folder / "shell.db"
    columns = ", ".join(f"{name} TEXT NOT NULL" for name in COLUMNS)
    # The shell stops at the first of these lines that fails.
    script = f"""\
.bail on
PRAGMA journal_mode = WAL;
CREATE TABLE usage_events ({columns}, UNIQUE (request_id));
BEGIN;
.import --csv --skip 1 "{file}" usage_events
COMMIT;
"""
    finished = run([shell, database], stdin=script)
    counted = run([shell, database, "SELECT COUNT(*) FROM usage_events"]).stdout.strip()
    if counted != str(rows):
        raise BrokenBenchmarkError(f"the sqlite3 shell imported {counted} rows of {rows}")
    _remove_database(database)
    return finished


def _remove_database(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
