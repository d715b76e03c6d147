"""Known content: what the ledger says of a file before it is read, by its SHA-256."""

from meterledger.domain.instant import SECOND, to_text
from meterledger.domain.usage import shown
from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.database import Row


def refuse_other_billing(file: str, known: Row, *, already_billed: bool) -> None:
    """Raise UsageError if usage that waits to be sent, or was sent, is now called already billed."""
    if already_billed and not known["already_billed"]:
        raise UsageError(
            f"{file} was imported as usage to be sent, by {_which(known)}, and stays that",
            hint=f"take it back first: `meterledger imports void {known['id']} --note TEXT`",
        )


def skip_notice(file: str, known: Row) -> str:
    """Say that a file is not read again, and why."""
    how = ", as already billed" if known["already_billed"] else ""
    return f"{file} is in the ledger by {_which(known)}{how}; it is not read again without --again."


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


def _which(known: Row) -> str:
    finished = known["finished_at"]
    return f"import {known['id']} of {to_text(finished - finished % SECOND)}"
