"""One config while it is read: what its tables hold, and on which line each key stands."""

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from meterledger.errors import UsageError

_Table = TypeVar("_Table", bound=msgspec.Struct)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Reading:
    """One config while it is read; knows where things stand in its text."""

    path: Path | None
    text: str

    def parsed(self) -> dict[str, Any]:
        """Return the TOML; raises UsageError where it is none."""
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{self.path}: {error}", hint="mend the TOML there") from error

    def error(self, keys: tuple[str, ...], message: str, hint: str = "", *, block: int = 0) -> UsageError:
        """Return the error that names a key and where it stands; ``block`` counts [[tables]] of one name."""
        line = line_of(self.text, keys, block)
        where = f"{self.path}:{line}" if line else str(self.path)
        return UsageError(f"{where}: {'.'.join(keys)}: {message}", hint=hint)

    def refuse_unknown_keys(
        self, table: Mapping[str, Any], known: Iterable[str], keys: tuple[str, ...], *, block: int = 0
    ) -> None:
        """Raise UsageError for a key that is not known, naming the closest that is."""
        known = list(known)
        for key in table:
            if key not in known:
                raise self.error((*keys, key), "unknown key", hint=closest(key, known), block=block)

    def tables_of(self, root: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
        """Return the tables below a key of the root."""
        found = root.get(name, {})
        if not isinstance(found, dict):
            raise self.error((name,), "must be a table")
        for key, table in found.items():
            if not isinstance(table, dict):
                raise self.error((name, key), f"must be a table, [{name}.{key}]")
        return found

    def table(self, found: object, kind: type[_Table], keys: tuple[str, ...], *, block: int = 0) -> _Table:
        """Return a table with its keys and types checked."""
        if not isinstance(found, dict):
            raise self.error(keys, "must be a table", block=block)
        self.refuse_unknown_keys(found, kind.__struct_fields__, keys, block=block)
        try:
            return msgspec.convert(found, kind)
        except msgspec.ValidationError as error:
            message, _, at = str(error).partition(" - at `$.")
            key = re.split(r"[`.\[]", at)[0] if at else ""
            hint = _closest_choice(kind, key, found.get(key)) if "enum" in message else ""
            raise self.error((*keys, key) if key else keys, message, hint=hint, block=block) from error

    def checked(
        self, parse: Callable[[str], _Value], text: str, keys: tuple[str, ...], *, block: int = 0
    ) -> _Value:
        """Return what a text means; the ValueError of reading it becomes the error of its key."""
        try:
            return parse(text)
        except ValueError as error:
            raise self.error(keys, str(error), block=block) from error


def line_of(text: str, keys: tuple[str, ...], block: int = 0) -> int | None:
    """
    Return the 1-based line of a TOML text on which a key, or else its table, stands.

    Of several [[tables]] of one name it is that of the one with the number ``block``, from 0.
    """
    *parents, last = keys
    header = ".".join(parents)
    table, found, mention = "", None, None
    blocks: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip().replace('"', "").replace(" ", "")
        if bare.startswith("["):
            table = bare.strip("[]").split("]")[0]
            if bare.startswith("[["):
                blocks[table] += 1
                if blocks[table] != block + 1:
                    table = ""
                    continue
            if table == ".".join(keys) or table.startswith(".".join(keys) + "."):
                return number
            if table == header:
                found = number
        elif re.match(rf"{re.escape(last)}(\.|=)", bare) and table == header:
            return number
        elif mention is None and re.search(rf"(?<![\w-]){re.escape(last)}=", bare):
            mention = number  # in a dotted key or an inline table
    return found or mention


def _closest_choice(kind: type[msgspec.Struct], key: str, given: object) -> str:
    """Return the hint for a text that is none of those a key can have."""
    field = next((one for one in msgspec.structs.fields(kind) if one.encode_name == key), None)
    kinds = (field.type, *get_args(field.type)) if field else ()
    choices = [str(choice) for one in kinds for choice in _choices(one)]
    return closest(str(given), choices) if choices else ""


def _choices(kind: object) -> Iterable[object]:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [one.value for one in kind]
    return get_args(kind) if get_origin(kind) is Literal else ()


def closest(key: str, known: Iterable[str]) -> str:
    """Return the hint that names the known word closest to another, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
