"""The sample data, cut and re-dated for a demonstration: usage that Stripe would still take today."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path

from meterledger.domain.instant import Instant, to_datetime
from meterledger.errors import InputError

GATEWAY = "usage-gateway.csv"
WORKERS = "usage-workers.jsonl"
CONFIG = "meterledger.toml"

# (file, lines of it, what the next row begins with: a cut inside a quoted field would break a row)
_CUTS = ((GATEWAY, 4_500, b"req_"), (WORKERS, 1_500, b"{"))
_DATE = re.compile(rb"2026-(10|11)-(\d\d)")
_EPOCH_MILLISECONDS = re.compile(rb"\b17\d{11}\b")
_DAY_MILLISECONDS = 86_400_000


def sample_folder() -> Path:
    """Return where the sample data is: inside an installed package, or beside the source."""
    installed = Path(str(resources.files("meterledger"))) / "sample_data"
    beside = Path(__file__).resolve().parents[3] / "sample_data"
    for folder in (installed, beside):
        if (folder / CONFIG).is_file():
            return folder
    raise InputError("the sample data is not installed", hint="install meterledger again")


def write_sample(folder: Path, now: Instant) -> None:
    """Write config and usage files, moved by whole days so that the latest usage is of yesterday."""
    source = sample_folder()
    (folder / CONFIG).write_bytes((source / CONFIG).read_bytes())
    cut = {name: _first_lines(source / name, count, begin) for name, count, begin in _CUTS}
    last = max(
        datetime(2026, int(month), int(day), tzinfo=UTC).date()
        for month, day in _DATE.findall(b"".join(cut[GATEWAY]))
    )
    move = _mover((to_datetime(now).date() - timedelta(days=1) - last).days)
    for name, lines in cut.items():
        (folder / name).write_bytes(b"".join(move(line) for line in lines))


def _first_lines(path: Path, count: int, begin: bytes) -> list[bytes]:
    lines = path.read_bytes().splitlines(keepends=True)
    while count < len(lines) and not lines[count].startswith(begin):
        count += 1
    return lines[:count]


def _mover(days: int) -> Callable[[bytes], bytes]:
    def date_moved(match: re.Match[bytes]) -> bytes:
        try:
            found = date(2026, int(match[1]), int(match[2]))
        except ValueError:
            return match[0]  # the 32nd of a month is one of the sample's bad rows
        return (found + timedelta(days=days)).isoformat().encode()

    def milliseconds_moved(match: re.Match[bytes]) -> bytes:
        return str(int(match[0]) + days * _DAY_MILLISECONDS).encode()

    return lambda line: _EPOCH_MILLISECONDS.sub(milliseconds_moved, _DATE.sub(date_moved, line))
