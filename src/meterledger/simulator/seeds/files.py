"""Which files the seeds are read from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from meterledger.simulator.metering.meters import MeterSpec
from meterledger.simulator.seeds.customers import CustomerSeed, read_customers
from meterledger.simulator.seeds.meters import read_meters
from meterledger.simulator.seeds.rows import csv_rows, jsonl_rows

MAX_FILE_BYTES = 64 * 1024 * 1024
BESIDE = ("customers.csv", "customers.jsonl")
"""What a customers file beside a config is called."""

_Seeds = TypeVar("_Seeds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """What every account starts with, and what to say of it, a line for each file."""

    meters: tuple[MeterSpec, ...] = ()
    customers: tuple[CustomerSeed, ...] = ()
    notes: tuple[str, ...] = ()


def read_seeds(config: Path | None, customers_file: Path | None) -> Seeds:
    """
    Read the seeds.

    Args:
        config: A meterledger.toml.
        customers_file: A customers file; where None, the one beside the config, if there is one.

    Raises:
        ValueError: A file cannot be read or used, or two stand beside the config; one line that names it.
    """
    meters: tuple[MeterSpec, ...] = ()
    customers: tuple[CustomerSeed, ...] = ()
    notes = []
    if config is not None:
        meters = _read(config, read_meters)
        notes.append(f"{_counted(len(meters), 'meter')} of {config}")
    file = customers_file or (None if config is None else _beside(config))
    if file is not None:
        try:
            customers = _read_customers(file)
        except ValueError as failure:
            why = "" if customers_file else " (read since it stands there; --seed-customers names another)"
            raise ValueError(f"{failure}{why}") from None
        notes.append(f"{_counted(len(customers), 'customer')} of {file}")
    return Seeds(meters=meters, customers=customers, notes=tuple(notes))


def _read_customers(file: Path) -> tuple[CustomerSeed, ...]:
    rows = jsonl_rows if file.suffix.lower() in (".jsonl", ".ndjson") else csv_rows
    return _read(file, lambda text: read_customers(rows(text)))


def _beside(config: Path) -> Path | None:
    found = [path for path in map(config.with_name, BESIDE) if path.is_file()]
    if len(found) > 1:
        raise ValueError(f"both {found[0]} and {found[1]} stand beside the config; name --seed-customers")
    return found[0] if found else None


def _read(path: Path, read: Callable[[str], _Seeds]) -> _Seeds:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as failure:
        raise ValueError(f"cannot read {path}: {failure.strerror or failure}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"cannot use {path}: it has more than {MAX_FILE_BYTES} bytes")
    try:
        return read(content.decode("utf-8-sig"))
    except ValueError as failure:
        raise ValueError(f"cannot use {path}: {failure}") from None


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
