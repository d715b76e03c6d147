"""Import of a CSV file: rows per second against the sqlite3 shell and sqlite-utils, on the same file."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.data import COLUMNS, write_config, write_usage
from benchmarks.processes import PROGRAM, BrokenBenchmarkError, Finished, run
from benchmarks.scale import Scale
from benchmarks.table import Line

KINDS = ("random", "time-ordered")
_LEAST_OF_SHELL = {"random": 0.75, "time-ordered": 0.5}
_LEAST_OF_SQLITE_UTILS = 12
_SQLITE_UTILS = Path(sys.executable).with_name("sqlite-utils")


def bench_import(folder: Path, scale: Scale) -> Iterator[Line]:
    """Compare ``meterledger import`` with its peers, for random and for time-ordered ids."""
    shell = shutil.which("sqlite3")
    for kind in KINDS:
        file = write_kind(folder / f"{kind}.csv", kind, scale.rows, scale)
        ours: list[float] = []
        peer: list[float] = []
        for _ in scale.limited_rounds():
            ours.append(import_with_meterledger(folder, file, scale.rows).seconds)
            if shell:
                peer.append(_import_with_shell(shell, folder, file, scale.rows).seconds)
        # One round is enough for a peer that is an order of magnitude away.
        other = _import_with_sqlite_utils(folder, file, scale.rows).seconds
        file.unlink()
        yield Line(
            what=f"import, {scale.rows:,} rows, {kind} ids, vs sqlite3 .import",
            ours=rate(scale.rows, min(ours)),
            peer=rate(scale.rows, min(peer)) if peer else "no sqlite3 shell here",
            value=min(peer) / min(ours) if peer else None,
            at_least=_LEAST_OF_SHELL[kind],
        )
        yield Line(
            what=f"import, {scale.rows:,} rows, {kind} ids, vs sqlite-utils insert",
            ours=rate(scale.rows, min(ours)),
            peer=rate(scale.rows, other),
            value=other / min(ours),
            at_least=_LEAST_OF_SQLITE_UTILS,
        )


def rate(rows: int, seconds: float) -> str:
    """Write how many rows a second that is."""
    return f"{rows / seconds:,.0f} rows/s"


def write_kind(path: Path, kind: str, rows: int, scale: Scale, *, seed: int = 1) -> Path:
    """Write a file of usage with ids of a kind."""
    write_usage(path, rows, customers=scale.customers, seed=seed, time_ordered_ids=kind == "time-ordered")
    return path


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
    run([*program_on(folder, ledger_name), "init"])
    finished = import_more(folder, file, ledger_name=ledger_name, accepted=rows)
    if not keep:
        remove_database(folder / ledger_name)
    return finished


def import_more(
    folder: Path, file: Path, *options: str, ledger_name: str, accepted: int, duplicates: int = 0
) -> Finished:
    """Import a file into a ledger that is there, and check what became of its rows."""
    finished = run([*program_on(folder, ledger_name), "import", file, "--format", "json", *options])
    answer = json.loads(finished.stdout)
    if (answer["accepted"], answer["duplicates"]) != (accepted, duplicates):
        raise BrokenBenchmarkError(
            f"{answer['accepted']} rows were accepted and {answer['duplicates']} are duplicates, "
            f"not {accepted} and {duplicates}"
        )
    return finished


def program_on(folder: Path, ledger_name: str) -> list[str | Path]:
    """Return the program with its config and a ledger."""
    return [PROGRAM, "--config", write_config(folder), "--ledger", folder / ledger_name]


def remove_database(path: Path) -> None:
    """Remove a database with all that stands beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


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
    remove_database(database)
    return finished


def _import_with_sqlite_utils(folder: Path, file: Path, rows: int) -> Finished:
    """Insert a file into a table whose primary key is the request_id."""
    database = folder / "sqlite-utils.db"
    finished = run(
        [_SQLITE_UTILS, "insert", database, "usage_events", file, "--csv", "--pk", "request_id", "--silent"]
    )
    (counted,) = json.loads(run([_SQLITE_UTILS, database, "SELECT COUNT(*) AS n FROM usage_events"]).stdout)
    if counted["n"] != rows:
        raise BrokenBenchmarkError(f"sqlite-utils inserted {counted['n']} rows of {rows}")
    remove_database(database)
    return finished
