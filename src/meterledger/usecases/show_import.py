"""Show an import: its file, how it was read, and what became of its rows."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.database import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownImport:
    """One import as the ledger knows it."""

    row: Row
    """The columns of the import, with its source's name."""
    mapping: Any
    """How the source's fields were read; None for an import of an earlier version."""
    usage_events: dict[str, int]
    """State -> count: unsealed, closed, or the state of the meter event."""
    open_rejections: int
    open_conflicts: int
    next_command: str
    """What to run next; empty where nothing is left to do with the import itself."""


def show_import(ledger: Ledger, number: int) -> ShownImport:
    """Gather what is known of an import; raises UsageError if there is none of that number."""
    with ledger.database.snapshot():
        row = ledger.reports.import_by_number(number)
        if row is None:
            raise UsageError(
                f"there is no import {number}", hint="`meterledger imports list` shows their numbers"
            )
        states = ledger.closures.usage_by_state(number)
        rejections, conflicts = ledger.reports.open_rejects_of(number)
    return ShownImport(
        row=row,
        mapping=json.loads(row["mapping"]) if row["mapping"] else None,
        usage_events=states,
        open_rejections=rejections,
        open_conflicts=conflicts,
        next_command=_next_command(row, rejections + conflicts),
    )


def _next_command(row: Row, open_rejects: int) -> str:
    if row["voided_at"] is not None:
        return ""
    if row["finished_at"] is None:
        return "" if row["completed_by"] else import_command(row)
    return "meterledger rejects list" if open_rejects else ""


def import_command(row: Row) -> str:
    """Return the command that imports the same file again."""
    words = ["meterledger", "import"]
    if row["source"] != "default":
        words += ["--source", row["source"]]
    words += ["--backfill"] * row["backfill"] + ["--already-billed"] * row["already_billed"]
    return shlex.join([*words, row["path"] or row["file"]])
