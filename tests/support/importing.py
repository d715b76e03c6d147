"""A ledger on disk and usage files beside it, imported in made-up time."""

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from meterledger.config import Settings, Source, load_settings
from meterledger.domain.usage import Rejection, UsageEvent
from meterledger.domain.usage_columns import UsageColumns
from meterledger.ledger import Ledger, create_ledger, open_ledger
from meterledger.ledger.imports import OpenImport, WrittenChunk
from meterledger.usecases.import_usage import ImportOptions, ImportReport, import_usage

START = 1_793_491_200_000_000  # 2026-11-01T00:00:00Z
SECOND = 1_000_000
HEADER = "request_id,customer_id,subscription_id,feature,quantity,event_time,received_at,region"
CONFIG = """
[sources.gateway]
[sources.logs]
key = ["request_id", "feature"]

[meters.api_requests]
features = ["api_calls", "api_reads"]

[meters.egress]
features = ["egress_gb"]
decimal_places = 3
dimensions = ["region"]
"""


@cache
def empty_ledger() -> bytes:
    """Return a new ledger file: made once, because making one waits for the disk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "meterledger.db"
        create_ledger(path)
        return path.read_bytes()


def ledger_file(folder: Path) -> Path:
    """Write a new ledger into a folder, and return its path."""
    path = folder / "meterledger.db"
    path.write_bytes(empty_ledger())
    path.chmod(0o600)
    return path


class Ticking:
    """A clock that goes on by a second each time it is asked."""

    def __init__(self, start: int = START) -> None:
        self.now = start

    def __call__(self) -> int:
        """Return the time, in microseconds."""
        self.now += SECOND
        return self.now


class Importing:
    """A folder with a config, a ledger and usage files; the ledger is opened anew for each import."""

    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        self.folder = folder
        self.clock = Ticking()
        self.ledger_path = folder / "meterledger.db"
        self.configure(config)
        self.ledger_path.write_bytes(empty_ledger())

    def configure(self, config: str) -> None:
        """Write the config and read it."""
        path = self.folder / "meterledger.toml"
        path.write_text(config)
        self.settings: Settings = load_settings(path, folder=self.folder)

    def write(self, name: str, *rows: str, header: str = HEADER) -> str:
        """Write a CSV file, and return its path."""
        return self.write_bytes(name, "".join(f"{line}\n" for line in (header, *rows)).encode())

    def write_bytes(self, name: str, content: bytes) -> str:
        """Write a file, and return its path."""
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def run(self, *files: str, source: str = "default", **options: Any) -> ImportReport:
        """Import files as one command would."""
        with open_ledger(self.ledger_path) as ledger:
            return self.run_in(ledger, *files, source=source, **options)

    def run_in(self, ledger: Ledger, *files: str, source: str = "default", **options: Any) -> ImportReport:
        """Import files into a ledger that is open already."""
        known = self.settings.sources.get(source, Source(name=source))
        clock = options.pop("clock", self.clock)
        progress = options.pop("progress", None)
        return import_usage(
            ledger,
            self.settings,
            ImportOptions(files=files, source=known, **options),
            clock=clock,
            progress=progress,
        )

    def execute(self, statement: str) -> None:
        """Change the ledger behind the program's back."""
        with closing(sqlite3.connect(self.ledger_path)) as connection, connection:
            connection.execute(statement)

    def query(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Read the ledger with nothing of ours."""
        with self._connected() as connection:
            return connection.execute(sql, arguments).fetchall()

    def dump(self) -> list[str]:
        """Return everything that is in the ledger, as SQL."""
        with self._connected() as connection:
            return list(connection.iterdump())

    def usage(self) -> list[tuple[str, str, str, str]]:
        """Return source, request_id, customer and quantity of every usage event, by key."""
        return self.query(
            "SELECT source, request_id, customer_id, quantity FROM usage_events_readable ORDER BY 1, 2"
        )

    def rejects(self) -> list[tuple[int, str, int, bool]]:
        """Return line, reason, times seen and whether it is open, of every refused row in the ledger."""
        found = self.query("SELECT line, reason, times_seen, closed_at IS NULL FROM rejects ORDER BY id")
        return [(line, reason, seen, bool(is_open)) for line, reason, seen, is_open in found]

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.ledger_path)) as connection:
            yield connection


def row(request_id: str, quantity: str = "1", **fields: str) -> str:
    """Return one CSV row below ``HEADER``, good unless a field makes it bad."""
    values = {
        "request_id": request_id,
        "customer_id": "cus_1",
        "subscription_id": "",
        "feature": "api_calls",
        "quantity": quantity,
        "event_time": "2026-10-31T12:00:00Z",
        "received_at": "",
        "region": "",
    }
    assert fields.keys() <= values.keys()
    return ",".join((values | fields).values())


def counts(report: ImportReport, file: int | None = None) -> tuple[int, int, int, int, int]:
    """Return rows read, accepted, duplicates, conflicts and rejected, of a report or one of its files."""
    found = report.counts if file is None else report.files[file].counts
    return found.rows_read, found.accepted, found.duplicates, found.conflicts, found.rejected


def total(all_counts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Add counts."""
    return tuple(sum(column) for column in zip(*all_counts, strict=True))


def write_chunk(
    ledger: Ledger,
    target: OpenImport,
    events: Sequence[UsageEvent],
    rejections: Sequence[Rejection] = (),
    now: int = START,
) -> WrittenChunk:
    """Write one chunk of usage events as an import does; the text of a row is its line."""
    usage = UsageColumns.joined([UsageColumns.of(events)])
    return ledger.imports.write_chunk(target, usage, rejections, lambda line: f"line {line}\n", now)
