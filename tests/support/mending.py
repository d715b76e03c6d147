"""Refused rows on their way out of a ledger and back: exported, retried, settled, in made-up time."""

import io
from pathlib import Path
from typing import Any

from meterledger.ledger import open_ledger
from meterledger.ledger.rejects import RejectFilter
from meterledger.usecases.accept_as_new import AcceptedAsNew, NewUsage, accept_as_new
from meterledger.usecases.dismiss_rejects import dismiss_rejects
from meterledger.usecases.export_rejects import ExportReport, export_rejects
from meterledger.usecases.retry_rejects import RetryReport, retry_rejects
from meterledger.usecases.select_rejects import REJECTION, Selection
from support.importing import CONFIG, Importing

BUILDS = CONFIG + "[meters.builds]\nfeatures = ['builds']\n"
"""The config after it learnt a feature."""


class Mending(Importing):
    """A folder with a config, a ledger and usage files, whose refused rows are mended."""

    def export(self, kind: str = REJECTION, **selection: Any) -> tuple[bytes, ExportReport]:
        """Return what an export writes, and its report."""
        written = io.BytesIO()
        wanted = Selection(matching=RejectFilter(kind=kind, **selection))
        with open_ledger(self.ledger_path) as ledger:
            report = export_rejects(ledger, wanted, written.write)
        return written.getvalue(), report

    def retry(self, *ids: int, **options: Any) -> RetryReport:
        """Read refused rows again: those named, else all open rejections."""
        wanted = Selection(ids=ids) if ids else Selection(matching=RejectFilter(kind=REJECTION))
        with open_ledger(self.ledger_path) as ledger:
            return retry_rejects(ledger, self.settings, wanted, clock=self.clock, **options)

    def dismiss(self, *ids: int, note: str = "seen", kind: str = REJECTION) -> None:
        """Close refused rows."""
        with open_ledger(self.ledger_path) as ledger:
            dismiss_rejects(ledger, Selection(ids=ids), note=note, now=self.clock(), kind=kind)

    def accept(self, reject: int, request_id: str, **options: Any) -> AcceptedAsNew:
        """Take the row of a conflict under another request_id."""
        wanted = NewUsage(reject=reject, request_id=request_id, note="said so")
        with open_ledger(self.ledger_path) as ledger:
            return accept_as_new(ledger, self.settings, wanted, clock=self.clock, **options)

    def open_ids(self) -> list[int]:
        """Return the numbers of what is open."""
        return [
            number for (number,) in self.query("SELECT id FROM rejects WHERE closed_at IS NULL ORDER BY 1")
        ]

    def counts_add_up(self) -> bool:
        """Tell whether every import accounts for every row it read."""
        found = self.query(
            "SELECT rows_read, accepted + duplicates + conflicts + rejected, accepted, finished_at, "
            "(SELECT COUNT(*) FROM usage_events WHERE import = imports.id) FROM imports"
        )
        return all(
            rows == counted and accepted == stored and finished
            for rows, counted, accepted, finished, stored in found
        )


def mending(folder: Path) -> Mending:
    """Return an empty ledger with a config beside it, in a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return Mending(folder)
