"""What readers bring of a row before anything is known of its meaning, and what makes it unreadable."""

from collections.abc import Mapping
from dataclasses import dataclass

from meterledger.domain.row_check import Values
from meterledger.domain.usage import Reason
from meterledger.readers.lines import MAX_ROW_BYTES, foreign_bytes_shown, is_too_long

ANY = "*"
"""Ends a name that stands for all that begins so."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What to bring of each row: fields by their names in the file, in the order they are brought in.

    In JSON and Parquet a name with dots is first taken as a key as it stands, else as a path of keys.
    ``payload.*`` is a whole object there, and ``payload_*`` all columns of that prefix in CSV: each as the
    JSON text of a flat object, keys without the prefix, text or null. A name that ends in a star is never
    that of a single key or column.
    """

    names: tuple[str, ...]
    required: Mapping[str, str]
    """Name in the file -> the field it stands for, of those that a header must have."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row cannot be read at all."""

    reason: Reason
    message: str


RawRow = tuple[int, Values | RowProblem, str]
"""The line a row starts on, its fields in the order wanted, and its text."""


def malformed(message: str) -> RowProblem:
    """Return the problem of a row that breaks the rules of its format."""
    return RowProblem(Reason.MALFORMED_ROW, f"{message}; mend the row")


def too_long() -> RowProblem:
    """Return the problem of a row larger than a row may be."""
    return RowProblem(Reason.ROW_TOO_LONG, f"it is larger than {MAX_ROW_BYTES} bytes; split it")


def unreadable(raw: str, *, oversized: bool = False) -> RowProblem | None:
    """Return the problem of a row whose text is no text, or too long; None if there is none."""
    try:
        raw.encode()
    except UnicodeEncodeError as error:
        shown_bytes = foreign_bytes_shown(raw[error.start : error.end])
        return RowProblem(
            Reason.NOT_UTF8, f"it holds {shown_bytes}, which is no UTF-8; save the file as UTF-8"
        )
    if oversized or is_too_long(raw):
        return too_long()
    if "\0" in raw:
        return malformed("it holds a NUL character")
    return None
