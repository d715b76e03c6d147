"""Select refused rows: by number, or by what they have in common."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from meterledger.domain.usage import Reason
from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.database import Row
from meterledger.ledger.rejects import RejectFilter

REJECTION, CONFLICT = "rejection", "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which refused rows a command is about: those of ``ids``, else those that match the rest."""

    ids: Sequence[int] = ()
    matching: RejectFilter = field(default_factory=RejectFilter)
    reasons: Sequence[str] = ()
    file: str = ""
    """The name as `rejects list` shows it, or a glob."""

    def takes(self, row: Row) -> bool:
        """Tell whether a row is asked for, by what SQL does not look at."""
        if self.reasons and row["reason"] not in self.reasons:
            return False
        return not self.file or row["file"] == self.file or fnmatchcase(row["file"], self.file)


def selected(ledger: Ledger, selection: Selection) -> Iterator[Row]:
    """
    Yield the refused rows of a selection, oldest first.

    Raises:
        UsageError: It names a reason or a number that does not exist.
    """
    _refuse_unknown_reasons(selection.reasons)
    if selection.ids:
        yield from by_number(ledger, selection.ids)
        return
    yield from filter(selection.takes, ledger.rejects.matching(selection.matching))


def by_number(ledger: Ledger, ids: Iterable[int]) -> Iterator[Row]:
    """Yield refused rows by their numbers; raises UsageError for one that does not exist."""
    for number in sorted(set(ids)):
        row = ledger.rejects.find(number)
        if row is None:
            raise UsageError(
                f"there is no refused row {number}", hint="`meterledger rejects list --all` shows every id"
            )
        yield row


def open_by_number(ledger: Ledger, ids: Iterable[int], kind: str) -> list[Row]:
    """Return open refused rows of one kind by their numbers; raises UsageError for any other."""
    rows = list(by_number(ledger, ids))
    for row in rows:
        if row["closed_at"] is not None:
            raise UsageError(f"refused row {row['id']} is closed already, as {row['closed_as']}")
        if row["kind"] != kind:
            raise UsageError(f"refused row {row['id']} is a {row['kind']}", hint=_HINTS[row["kind"]])
    return rows


_HINTS = {
    REJECTION: "`meterledger rejects dismiss` closes rejections",
    CONFLICT: "conflicts are settled by `meterledger rejects keep`, or `meterledger rejects accept-as-new`",
}


def _refuse_unknown_reasons(reasons: Iterable[str]) -> None:
    known = [*(reason.value for reason in Reason), CONFLICT]
    for reason in reasons:
        if reason not in known:
            close = difflib.get_close_matches(reason, known, n=1, cutoff=0.4)
            raise UsageError(
                f"there is no reason code {reason}" + (f"; did you mean {close[0]}?" if close else ""),
                hint=f"the codes are {', '.join(known)}",
            )
