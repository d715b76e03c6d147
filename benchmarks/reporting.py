"""The audit's page of a large ledger: what it takes beyond the audit, and how large it is."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.auditing import _ledger
from benchmarks.data import write_config
from benchmarks.processes import PROGRAM, run
from benchmarks.scale import Scale
from benchmarks.table import Line

_MOST_SECONDS = 5.0
_MOST_MEGABYTES = 3.0
_MEGABYTE = 1_000_000

# A grace period that misses much, so that every table of the page is full.
_GOOD = (0, 1)
_AUDIT = ("audit", "--grace", "1m", "--by", "customer")


def bench_report(folder: Path, scale: Scale) -> Iterator[Line]:
    """Compare the audit as a page with the same audit as CSV."""
    write_config(folder)
    ledger = _ledger(folder, "report.db", scale.rows)
    program: list[str | Path] = [
        PROGRAM,
        "--config",
        folder / "meterledger.toml",
        "--ledger",
        ledger,
        *_AUDIT,
    ]
    page = folder / "report.html"
    pages, plain = [], []
    for _ in scale.limited_rounds():
        plain.append(run([*program, "--format", "csv"], good=_GOOD).seconds)
        pages.append(run([*program, "--format", "html", "--output", page, "--force"], good=_GOOD).seconds)
    ledger.unlink()
    yield Line(
        what=f"audit as a page beyond the audit, {scale.rows:,} usage events",
        ours=f"{min(pages):.2f} s",
        peer=f"{min(plain):.2f} s",
        value=min(pages) - min(plain),
        unit=" s",
        at_most=_MOST_SECONDS,
    )
    yield Line(
        what="audit as a page, size",
        ours="",
        value=page.stat().st_size / _MEGABYTE,
        unit=" MB",
        at_most=_MOST_MEGABYTES,
    )
