"""Columns that a file must have: what is missing, and which one was probably meant."""

import difflib
from collections.abc import Container, Sequence

from meterledger.domain.usage import shown
from meterledger.errors import InputError
from meterledger.readers.raw_rows import ANY, Wanted

_MAP_COLUMNS = "map the columns in the config, below [sources.NAME.columns]"


def refuse_missing(
    where: str, columns: Sequence[str], wanted: Wanted, found: Container[str], *, hint: str = ""
) -> None:
    """
    Refuse a file that lacks a required column, or has any wanted one in another spelling.

    Args:
        where: The file, and the line of the header.
        columns: All columns of the file, by name.
        wanted: What is to be brought of each row.
        found: The wanted names that the file has.
        hint: What to do, where more is known than names tell.

    Raises:
        InputError: It names the columns, and the ones that were probably meant.
    """
    missing = [(field, name) for name, field in wanted.required.items() if name not in found]
    if missing:
        listed = ", ".join(name for _, name in missing)
        raise InputError(
            f"{where}: the header lacks the required column{'s' * (len(missing) > 1)} {listed}; "
            f"it has {shown(', '.join(columns), 200)}",
            hint=hint or _likely_columns(missing, columns),
        )
    spare = {_plain(column): column for column in columns if column not in wanted.names}
    for name in wanted.names:
        if name not in found and not name.endswith(ANY) and (column := spare.get(_plain(name))):
            raise InputError(
                f"{where}: the header has no column {name}, but {shown(column)}, spelt almost the same",
                hint=f"{_MAP_COLUMNS}, or rename it",
            )


def _likely_columns(missing: Sequence[tuple[str, str]], columns: Sequence[str]) -> str:
    by_plain_name = {column.lower().replace(" ", "_"): column for column in columns}
    pairs = []
    for field, name in missing:
        close = difflib.get_close_matches(name, by_plain_name, n=1)
        if close := close or difflib.get_close_matches(field, by_plain_name, n=1, cutoff=0.5):
            pairs.append(f"{field} = {shown(by_plain_name[close[0]])}")
    found = ", ".join(pairs) or 'event_time = "ts"'
    return f"{_MAP_COLUMNS}: {found}"


def _plain(name: str) -> str:
    """Return what is left of a name without case, spaces and the like."""
    return "".join(character for character in name.casefold() if character.isalnum())
