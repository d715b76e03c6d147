"""Columns that a file must have: what is missing, and which one was probably meant."""

import difflib
import re
from collections.abc import Container, Sequence

from meterledger.domain.usage import REQUIRED_FIELDS, shown
from meterledger.errors import InputError
from meterledger.readers.raw_rows import ANY, Wanted

MAP_COLUMNS = "map the columns in the config, below [sources.NAME.columns]"
"""How a hint begins that says which columns were probably meant."""

_NEAR = 0.8
"""How much of two names has to agree, from 0 to 1, for one to be taken for the other misspelt."""
_SYNONYMS = {
    "request_id": ("id", "eventid", "transactionid", "uuid", "identifier", "idempotencykey", "messageid"),
    "customer_id": ("customer", "account", "user", "tenant", "org", "organization", "organisation", "client"),
    "feature": ("product", "metric", "meter", "type", "kind", "code", "event", "sku"),
    "quantity": ("amount", "value", "count", "units", "usage", "used", "qty"),
    "event_time": ("timestamp", "time", "ts", "date", "datetime", "createdat", "occurredat"),
}
"""Field -> what other programs call it, the likeliest first."""
_VALUE = re.compile(r"[0-9][0-9.,:TZ+ -]*")
"""What no column is called: a number or a time."""
_SPARE_ENDS = ("id", "name", "key", "code")
"""Words at the end of a column's name that say nothing of what it holds: account_id is an account."""


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
            hint=hint or likely_columns(missing, columns),
        )
    spare = {_plain(column): column for column in columns if column not in wanted.names}
    for name in wanted.names:
        if name not in found and not name.endswith(ANY) and (column := spare.get(_plain(name))):
            raise InputError(
                f"{where}: the header has no column {name}, but {shown(column)}, spelt almost the same",
                hint=f"{MAP_COLUMNS}, or rename it",
            )


def likely_columns(missing: Sequence[tuple[str, str]], columns: Sequence[str]) -> str:
    """
    Return the hint that says which columns are to be mapped, and to which names as far as that is clear.

    Args:
        missing: The fields that are missing, and the names under which they were looked for.
        columns: All columns of the file, by name.
    """
    found: dict[str, str] = {}
    for likely in (_misspelt, _synonym, _stem):
        for field, name in missing:
            spare = [column for column in columns if column not in found.values()]
            if field not in found and (column := likely(field, name, spare)):
                found[field] = column
    pairs = [
        f"{field} = {shown(found[field]) if field in found else '…'}"
        for field, _ in missing
        if field in found or field in REQUIRED_FIELDS
    ]
    if not found and any(_VALUE.fullmatch(column) for column in columns):
        header = ",".join(REQUIRED_FIELDS)
        return f"its first line looks like a row: put a header in front of it, such as {header}"
    return f"{MAP_COLUMNS}: {', '.join(pairs)}" if pairs else MAP_COLUMNS


def _misspelt(field: str, name: str, columns: Sequence[str]) -> str | None:
    by_plain_name = {_plain(column): column for column in columns}
    for wanted in (name, field):
        if close := difflib.get_close_matches(_plain(wanted), by_plain_name, n=1, cutoff=_NEAR):
            return by_plain_name[close[0]]
    return None


def _synonym(field: str, _name: str, columns: Sequence[str]) -> str | None:
    by_plain_name = {_plain(column): column for column in columns}
    return next((by_plain_name[one] for one in _SYNONYMS.get(field, ()) if one in by_plain_name), None)


def _stem(field: str, _name: str, columns: Sequence[str]) -> str | None:
    """Return the column whose last word that says something is another word for the field."""
    for column in columns:
        words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", column).lower())
        telling = [word for word in words if word not in _SPARE_ENDS]
        if telling and telling[-1] in _SYNONYMS.get(field, ()):
            return column
    return None


def _plain(name: str) -> str:
    """Return what is left of a name without case, spaces and the like."""
    return "".join(character for character in name.casefold() if character.isalnum())
