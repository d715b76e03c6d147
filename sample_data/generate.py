"""
Write the sample data: one month of usage from two sources, with what real files have wrong with them.

The seed is fixed, so every run writes the same bytes. README.md tells what each file holds. How many rows an
import into an empty ledger must accept, skip and refuse is written to expected.json, counted from what this
script plants and not by reading the files back.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that a script finds the modules beside it

from sample_data.planted import GATEWAY, WORKERS
from sample_data.planting import plant
from sample_data.told import counts, irregularities, readme, table
from sample_data.usage import gateway_rows, make_customers, worker_rows

SEED = 20261001
HERE = Path(__file__).resolve().parent


def make_files() -> dict[str, bytes]:
    """Make every file's name and content; the same ones at each call."""
    rng = random.Random(SEED)
    customers = make_customers(rng)
    planted = (
        (GATEWAY, plant(rng, GATEWAY, *gateway_rows(rng, customers))),
        (WORKERS, plant(rng, WORKERS, *worker_rows(rng, customers))),
    )
    expected = {
        source.file: {
            **counts(source, lines),
            "irregularities": [found._asdict() for found in irregularities(source, lines)],
        }
        for source, lines in planted
    }
    files = {source.file: source.header + b"".join(line.data for line in lines) for source, lines in planted}
    files["expected.json"] = (json.dumps(expected, indent=1, ensure_ascii=False) + "\n").encode()
    page = (HERE / "README.md").read_text(encoding="utf-8")
    tables = "".join(table(source, lines) for source, lines in planted)
    files["README.md"] = readme(page, tables).encode()
    return files


def main() -> None:
    """Write the files to the folder that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="default: beside this script")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, content in make_files().items():
        (out / name).write_bytes(content)
        print(f"{out / name}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
