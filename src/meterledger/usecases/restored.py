"""Whether the ledger is older than its last push: what the head file beside it says."""

from dataclasses import dataclass

from meterledger.domain.instant import Instant, to_text
from meterledger.ledger import Ledger
from meterledger.ledger.baselines import PushRow
from meterledger.ledger.head import Head, HeadFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the ledger stands to its head: older than its last push or not, and what is to be told."""

    is_behind: bool = False
    warning: str = ""


def stand_to_head(ledger: Ledger) -> Standing:
    """Compare the ledger with its head; a damaged head counts as one that is ahead."""
    latest = ledger.baselines.latest_push()
    head_file = HeadFile(ledger.path)
    try:
        head = head_file.read()
    except ValueError as error:
        return Standing(is_behind=True, warning=f"{error}: whether the ledger is its latest cannot be told")
    if head is None:
        warning = (
            f"there is no {head_file.path.name} beside the ledger, though it has pushed: whether it is "
            "older than its last push cannot be told"
        )
        return Standing(warning=warning if ledger.baselines.may_have_sent() else "")
    if _has(head, ledger.baselines.push_by_number(head.push)):
        return Standing()
    ours = f"its own last push is number {latest.number}" if latest else "it knows of no push"
    return Standing(
        is_behind=True,
        warning=f"this ledger is older than its last push: {head_file.path.name} tells of push {head.push}, "
        f"begun {to_text(head.started_at)}, but {ours} (a restored backup, or a ledger made anew)",
    )


def note_push(ledger: Ledger, push: int) -> None:
    """Write the head, before the first claim of a push and at its end; LedgerError if that fails."""
    row = ledger.baselines.push_by_number(push)
    if row is None:
        raise AssertionError("unreachable: the push is recorded before its head")
    HeadFile(ledger.path).write(Head(push=row.number, started_at=row.started_at, finished_at=row.finished_at))


def _has(head: Head, row: PushRow | None) -> bool:
    """Tell whether the ledger has the push of the head, ended where the head says that it did."""
    if row is None or row.started_at != head.started_at:
        return False
    ended: Instant | None = head.finished_at
    return ended is None or ended == row.finished_at
