"""Import in other forms and again: JSON lines, gzip, Parquet, a known file, files of any length."""

import csv
import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.importing import (
    KINDS,
    import_more,
    import_with_meterledger,
    program_on,
    rate,
    remove_database,
    write_kind,
)
from benchmarks.processes import run
from benchmarks.scale import Scale
from benchmarks.table import Line

_MEGABYTE = 1_000_000
_MOST_MEGABYTES = 200
_LEAST_OF_CSV = 0.8
_LEAST_AGAIN = 0.85
_MOST_SECONDS_TO_SKIP = 2
_LEDGER = "forms.db"


def bench_forms(folder: Path, scale: Scale) -> Iterator[Line]:
    """Compare other forms of one file, and reading it again, with the first reading of it as CSV."""
    for kind in KINDS:
        file = write_kind(folder / f"{kind}.csv", kind, scale.rows, scale)
        forms = {"JSONL": _as_json_lines(file), "gzip": _as_gzip(file)}
        if parquet := _as_parquet(file):
            forms["Parquet"] = parquet
        first: list[float] = []
        others: dict[str, list[float]] = {name: [] for name in (*forms, "again")}
        skipped: list[float] = []
        for _ in scale.limited_rounds():
            finished = import_with_meterledger(folder, file, scale.rows, ledger_name=_LEDGER, keep=True)
            first.append(finished.seconds)
            duplicates = {"ledger_name": _LEDGER, "accepted": 0, "duplicates": scale.rows}
            others["again"].append(import_more(folder, file, "--again", **duplicates).seconds)  # type: ignore[arg-type] # as named
            skipped.append(import_more(folder, file, **duplicates).seconds)  # type: ignore[arg-type] # as named
            remove_database(folder / _LEDGER)
            for name, path in forms.items():
                others[name].append(import_with_meterledger(folder, path, scale.rows).seconds)
        for name, seconds in others.items():
            yield Line(
                what=f"import, {kind} ids, {name} vs CSV"
                if name in forms
                else f"import --again, {kind} ids, vs first",
                ours=rate(scale.rows, min(seconds)),
                peer=rate(scale.rows, min(first)),
                value=min(first) / min(seconds),
                at_least={"again": _LEAST_AGAIN, "Parquet": None}.get(name, _LEAST_OF_CSV),
            )
        if kind == "random":
            yield Line(
                what=f"import of a known file of {file.stat().st_size / _MEGABYTE:.0f} MB, which is skipped",
                ours=f"{min(skipped):.2f} s",
                value=min(skipped),
                unit=" s",
                at_most=_MOST_SECONDS_TO_SKIP,
            )
        for path in (file, *forms.values()):
            path.unlink()


def bench_memory(folder: Path, scale: Scale) -> Iterator[Line]:
    """Measure the memory of imports: it must not grow with the file, nor with its form."""
    forms: dict[str, Callable[[Path], Path]] = {
        "CSV": lambda file: file,
        "JSONL": _as_json_lines,
        "CSV with gzip": _as_gzip,
    }
    for rows in (scale.rows, scale.many_rows):
        file = write_kind(folder / f"memory-{rows}.csv", "random", rows, scale, seed=2)
        for name, form in forms.items():
            path = form(file)
            peak = import_with_meterledger(folder, path, rows).peak_bytes
            if path != file:
                path.unlink()
            yield Line(
                what=f"peak memory of an import of {rows:,} rows, {name}",
                ours=f"{peak / _MEGABYTE:.0f} MB",
                value=peak / _MEGABYTE,
                unit=" MB",
                at_most=_MOST_MEGABYTES,
            )
        file.unlink()


def bench_large(folder: Path, scale: Scale) -> Iterator[Line]:
    """Compare the rate into a ledger that holds ten times as much with the rate into an empty one."""
    least = {"random": 0.2, "time-ordered": 0.7}
    for kind in KINDS:
        file = write_kind(folder / "more.csv", kind, scale.rows, scale, seed=3)
        empty = import_with_meterledger(folder, file, scale.rows).seconds
        held = folder / "held.csv"
        run([*program_on(folder, "large.db"), "init"])
        for part in range(scale.parts_held):
            _write_part(held, kind, part, scale)
            import_more(folder, held, ledger_name="large.db", accepted=scale.rows)
        if kind == "time-ordered":
            _write_part(file, kind, scale.parts_held, scale)
        finished = import_more(folder, file, ledger_name="large.db", accepted=scale.rows)
        remove_database(folder / "large.db")
        file.unlink()
        held.unlink()
        yield Line(
            what=f"{scale.rows:,} rows, {kind} ids, into a ledger of {scale.rows * scale.parts_held:,}",
            ours=rate(scale.rows, finished.seconds),
            peer=rate(scale.rows, empty),
            value=empty / finished.seconds,
            at_least=least[kind],
        )


def _write_part(path: Path, kind: str, part: int, scale: Scale) -> None:
    """Write one part of a long history; time-ordered ids go on where those of the part before ended."""
    write_kind(path, kind, scale.rows, scale, seed=100 + part)
    if kind == "time-ordered":
        with path.open() as file:
            lines = file.readlines()
        lines[1:] = [f"{part:02d}{line}" for line in lines[1:]]
        path.write_text("".join(lines))


def _as_json_lines(file: Path) -> Path:
    path = file.with_suffix(".jsonl")
    with file.open(newline="") as rows, path.open("w") as out:
        for row in csv.DictReader(rows):
            out.write(json.dumps({**row, "quantity": int(row["quantity"])}) + "\n")
    return path


def _as_gzip(file: Path) -> Path:
    path = file.with_name(file.name + ".gz")
    with file.open("rb") as content, gzip.open(path, "wb", compresslevel=6) as packed:
        shutil.copyfileobj(content, packed)
    return path


def _as_parquet(file: Path) -> Path | None:
    """Write it as Parquet; None without the extra that reads it."""
    try:
        from pyarrow import csv as arrow_csv  # noqa: PLC0415 # comes with an extra
        from pyarrow import parquet  # noqa: PLC0415 # as above
    except ImportError:
        return None
    path = file.with_suffix(".parquet")
    parquet.write_table(arrow_csv.read_csv(file), path)
    return path
