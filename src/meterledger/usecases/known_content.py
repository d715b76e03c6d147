"""Known content: what the ledger says of a file before it is read, by its SHA-256."""

from meterledger.domain.instant import SECOND, Instant, to_text
from meterledger.domain.usage import shown
from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.database import Row


def refuse_other_billing(ledger: Ledger, file: str, sha256: str, source: str) -> None:
    """Raise UsageError if content that is to be called already billed waits to be sent, or was sent."""
    row = ledger.imports.to_be_sent(sha256, source)
    if row is not None:
        which = _which(row["id"], row["started_at"])
        raise UsageError(
            f"{file} was imported as usage to be sent, by {which}, and stays that",
            hint=f"take it back first: `meterledger imports void {row['id']} --note TEXT`",
        )


def skip_notice(file: str, known: Row) -> str:
    """Say that a file is not read again, and why."""
    how = ", as already billed" if known["already_billed"] else ""
    which = _which(known["id"], known["finished_at"])
    return f"{file} is in the ledger by {which}{how}; it is not read again without --again."


def other_source_warning(ledger: Ledger, file: str, sha256: str, source: str) -> str:
    """Warn of content that is in the ledger under another source; empty if it is not."""
    row = ledger.imports.under_other_source(sha256, source)
    if row is None:
        return ""
    return (
        f"{file} has the content of import {row['id']}, which is of the source {shown(row['source'])}: under "
        f"{shown(source)} the same usage has other usage keys, and is billed twice; "
        "`meterledger imports void` takes one of the two back"
    )


def _which(number: int, at: Instant) -> str:
    return f"import {number} of {to_text(at - at % SECOND)}"
