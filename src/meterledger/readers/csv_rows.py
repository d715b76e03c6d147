"""Rows of CSV and its relatives: text between delimiters, quoted as RFC 4180 has it."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import msgspec

from meterledger.domain.row_check import Values
from meterledger.domain.usage import shown
from meterledger.errors import InputError
from meterledger.readers.columns import refuse_missing
from meterledger.readers.lines import MAX_ROW_BYTES, PhysicalLines
from meterledger.readers.raw_rows import ANY, RawRow, Wanted, malformed, unreadable

_LIKELY_DELIMITERS = {
    ";": ("semicolons", "';'"),
    "\t": ("tabs", "tab"),
    "|": ("bars", "'|'"),
    ",": ("commas", "','"),
}
"""Delimiter -> how it is called, and how it is written on a command line."""
_AT_END = "unexpected end of data"
"""What the csv module says where the file ends within quotes."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a CSV file: its text without the line end, and where the wanted columns stand."""

    raw: str
    width: int
    positions: Sequence[int]
    """Where each wanted column stands; an absent one behind the last."""
    groups: Sequence[Sequence[tuple[str, int]]]
    """Of each wanted group its columns, without the prefix, and where they stand."""
    pick: Callable[[Sequence[str | None]], Values]
    """Takes the fields of a row, and None behind them for what is absent."""


def read_header(file: str, lines: PhysicalLines, wanted: Wanted, delimiter: str) -> Header:
    """
    Read the first line that is not blank.

    Raises:
        InputError: It is no header, lacks a required column, or names a wanted one twice.
    """
    csv.field_size_limit(MAX_ROW_BYTES)
    fields: list[str] = []
    line, raw = 1, ""
    try:
        for fields in csv.reader(lines, strict=True, delimiter=delimiter):  # noqa: B007 # used behind
            line, raw = lines.taken + 1, lines.take()
            if raw.strip():
                break
    except csv.Error as error:
        raise InputError(
            f"{file}:{lines.taken + 1}: the header is no CSV: {error}", hint="mend its first line"
        ) from error
    if problem := unreadable(raw, oversized=lines.oversized):
        raise InputError(f"{file}:{line}: the header cannot be read: {problem.message}")
    names = [name.strip() for name in fields] if raw.strip() else []
    positions = _positions(f"{file}:{line}", names, wanted, delimiter)
    pick = itemgetter(*positions) if len(positions) > 1 else _only(positions)
    return Header(raw.rstrip("\r\n"), len(names), positions, _groups(names, wanted), pick)


def _only(positions: Sequence[int]) -> Callable[[Sequence[str | None]], Values]:
    """Pick as ``itemgetter`` does, which gives no tuple for one position."""
    return lambda fields: tuple(fields[position] for position in positions)


def csv_rows(lines: PhysicalLines, header: Header, delimiter: str) -> Iterator[RawRow]:
    """Read the rows behind a header."""
    width, pick, groups = header.width, header.pick, header.groups
    quoted_late = _quoted_late(header, delimiter)
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    while True:
        line = lines.taken + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # A stray quote would swallow the lines behind it: only the first one is given up.
            is_open = not lines.is_one_line or str(error) == _AT_END
            message = "a quote is opened and not closed" if is_open else str(error)
            raw = lines.take_first()
            reader = csv.reader(lines, strict=True, delimiter=delimiter)
            yield line, unreadable(raw, oversized=lines.oversized) or malformed(message), raw
            continue
        raw = lines.take()
        if lines.has_foreign_bytes or lines.oversized or len(raw) * 4 > MAX_ROW_BYTES:
            problem = unreadable(raw, oversized=lines.oversized)
            if problem:
                yield line, problem, raw
                continue
        if len(fields) != width:
            if raw.strip():
                yield line, malformed(_other_width(len(fields), width)), raw
            continue
        if '"' in raw and quoted_late(fields, raw):
            yield line, malformed("a quote stands behind white space, and not at the start of its field"), raw
            continue
        fields.append(None)  # type: ignore[arg-type] # what an absent column reads as
        for group in groups:
            fields.append(msgspec.json.encode({key: fields[at] for key, at in group}).decode())
        yield line, pick(fields), raw


def _other_width(fields: int, width: int) -> str:
    return f"it has {fields} field{'s' * (fields != 1)}, the header has {width}"


def _quoted_late(header: Header, delimiter: str) -> Callable[[Sequence[str], str], bool]:
    """Return what tells whether white space stands before the quotes of a wanted field of a row."""
    wanted = {*header.positions, *(at for group in header.groups for _, at in group)}
    positions = sorted(at for at in wanted if at < header.width)
    mark = re.escape(delimiter)
    field = re.compile(rf'("(?:[^"]|"")*+"|[^{mark}]*+)(?:{mark}|\Z)')

    def tell(fields: Sequence[str], raw: str) -> bool:
        likely = [at for at in positions if fields[at][:1].isspace() and fields[at].lstrip()[:1] == '"']
        # White space and a quote may be what the quotes are there for.
        return bool(likely) and any(field.findall(raw.rstrip("\r\n"))[at][:1] != '"' for at in likely)

    return tell


def _positions(where: str, header: Sequence[str], wanted: Wanted, delimiter: str) -> list[int]:
    """Return where each wanted column stands: an absent optional one behind the last, then the groups."""
    counts = Counter(header)
    groups = [name for name in wanted.names if _is_group(name)]
    prefixes = tuple(name.removesuffix(ANY) for name in groups)
    single = {name for name in wanted.names if not name.endswith(ANY)}
    read = [name for name in counts if name in single or name.startswith(prefixes)]
    if twice := [name for name in read if counts[name] > 1]:
        raise InputError(
            f"{where}: the header names column {shown(twice[0])} more than once", hint="rename one of them"
        )
    refuse_missing(where, header, wanted, counts, hint=_delimiter_hint(header, delimiter))
    places = {name: header.index(name) for name in single & counts.keys()}
    places |= {name: len(header) + 1 + at for at, name in enumerate(groups)}
    return [places.get(name, len(header)) for name in wanted.names]


def _is_group(name: str) -> bool:
    """Tell whether a name stands for all columns of a prefix; ``.*`` is an object, which CSV has not."""
    return name.endswith(ANY) and not name.endswith(f".{ANY}")


def _groups(header: Sequence[str], wanted: Wanted) -> list[list[tuple[str, int]]]:
    prefixes = [name.removesuffix(ANY) for name in wanted.names if _is_group(name)]
    return [
        [(column.removeprefix(prefix), at) for at, column in enumerate(header) if column.startswith(prefix)]
        for prefix in prefixes
    ]


def _delimiter_hint(header: Sequence[str], delimiter: str) -> str:
    """Return what to do about a header that is one column and holds what might be meant to part it."""
    if header and header[0].lower().startswith("sep="):
        return "its first line speaks to a spreadsheet alone: take it out, and say the --delimiter"
    if len(header) != 1:
        return ""
    for other, (spoken, written) in _LIKELY_DELIMITERS.items():
        if other != delimiter and other in header[0]:
            return f"it looks separated by {spoken}: say --delimiter {written}"
    return ""
