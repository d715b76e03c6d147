"""What is printed: data on stdout, people's words and progress on stderr, hostile text made harmless."""

import codecs
import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from meterledger.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite
    from rich.console import Console
    from rich.table import Table

    from meterledger.errors import MeterledgerError

_PIPE_WIDTH = 160
_COLUMN_GAP = 2
_MIN_FOLDED = 24
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class Format(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class PreviewFormat(StrEnum):
    """How a preview is printed; ``jsonl`` is exactly the request bodies."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    JSONL = "jsonl"


class AuditFormat(StrEnum):
    """How an audit is printed; ``html`` is one page for people, to a file."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    HTML = "html"


def console(*, stderr: bool = False) -> "Console":
    """Return a console for people: coloured on a terminal, plain in a pipe."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False, emoji=False)


def say(message: str, *, style: str | None = None) -> None:
    """Say something to people, on stderr; the text is taken literally."""
    from rich.text import Text

    console(stderr=True).print(Text(harmless(message), style=style or ""), soft_wrap=True)


def say_error(error: "MeterledgerError") -> None:
    """Say what went wrong and what to do next, on stderr."""
    from rich.text import Text

    out = console(stderr=True)
    out.print(Text("Error: ", style="bold red") + Text(harmless(error.message), style=""), soft_wrap=True)
    if error.hint:
        out.print(Text("  " + harmless(error.hint)), soft_wrap=True)


def harmless(text: str) -> str:
    """Escape what a terminal would obey; line feeds stay."""
    from meterledger.domain.usage import ascii_controls_escaped

    return "\n".join(ascii_controls_escaped(line) for line in text.split("\n"))


def _escaped(text: str) -> str:
    """Escape as JSON does, if it must: control and format characters, such as those that turn text around."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def print_line(text: str) -> None:
    """Print one line of a log on stdout, and at once; what is no printable character is escaped."""
    from meterledger.domain.usage import ascii_controls_escaped

    sys.stdout.write(ascii_controls_escaped(text) + "\n")
    sys.stdout.flush()


def print_json(schema: str, document: dict[str, Any]) -> None:
    """Print one JSON document on stdout; what a terminal would obey is escaped, and read back as it was."""
    whole = {"schema": f"meterledger.{schema}/1", **document}
    text = _indented(whole, ensure_ascii=not _takes_any_character())
    sys.stdout.write(_escaped_lines(text) + "\n")


def _indented(document: dict[str, Any], *, ensure_ascii: bool) -> str:
    """Return what json makes with ``indent=2``, for which it has no fast encoder: an audit may have 20 MB."""
    import msgspec

    try:
        return msgspec.json.format(json.dumps(document, ensure_ascii=ensure_ascii), indent=2)
    except (msgspec.DecodeError, UnicodeEncodeError):
        # Half a surrogate pair, which msgspec takes for no text.
        return json.dumps(document, ensure_ascii=ensure_ascii, indent=2)


def _escaped_lines(text: str) -> str:
    if text.replace("\n", "").isprintable():
        return text
    return "\n".join(map(_escaped, text.split("\n")))


def print_json_line(schema: str, document: dict[str, Any]) -> None:
    """Print one JSON document as one line on stdout, so that many can follow each other."""
    sys.stdout.write(json_line({"schema": f"meterledger.{schema}/1", **document}))


def json_line(document: Mapping[str, Any]) -> str:
    """Return a JSON document as one line of ASCII, to be read back as it was."""
    return _escaped(json.dumps(document)) + "\n"


def print_json_stream(
    schema: str,
    head: dict[str, Any],
    key: str,
    items: Iterable[dict[str, Any]],
    tail: Callable[[], dict[str, Any]],
) -> None:
    """
    Print one JSON document whose list is written item by item, so that it may be of any length.

    Args:
        schema: As of `print_json`.
        head: What comes before the list.
        key: The list's.
        items: What is in it.
        tail: Returns what comes after it, when all items were drawn.
    """

    def text(value: object) -> str:
        return _escaped(json.dumps(value, ensure_ascii=not _takes_any_character()))

    def member(name: str, value: object) -> str:
        return f"  {text(name)}: {text(value)}"

    out = sys.stdout
    whole = {"schema": f"meterledger.{schema}/1", **head}
    out.write("{\n" + "".join(f"{member(*one)},\n" for one in whole.items()) + f"  {text(key)}: [")
    separator = "\n    "
    for item in items:
        out.write(separator + text(item))
        separator = ",\n    "
    after = [member(*one) for one in tail().items()]
    out.write("\n  ]" + "".join(f",\n{one}" for one in after) + "\n}\n")


def _takes_any_character() -> bool:
    return codecs.lookup(sys.stdout.encoding).name == "utf-8"


def print_error_json(error: "MeterledgerError", document: dict[str, Any] | None = None) -> None:
    """Print an error as JSON, with what was done before it where there is anything."""
    print_json(
        "error",
        {
            "code": int(error.exit_code),
            "message": error.message,
            "hint": error.hint,
            **(document or {}),
        },
    )


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows as CSV, as `write_csv` does."""
    write_csv(sys.stdout, columns, rows)


def write_csv(file: "SupportsWrite[str]", columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """
    Write rows as CSV.

    Text that a spreadsheet would take for a formula gets a quote in front; control and format characters
    are escaped.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value) for value in row])


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return "" if value is None else value
    is_formula = value.startswith(_FORMULA_STARTS) and not _is_number(value)
    return "'" * is_formula + _escaped(value)


def _is_number(text: str) -> bool:
    return text[1:].replace(".", "", 1).isdigit()


def print_table(
    columns: Sequence[tuple[str, str]],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    caption: str = "",
) -> None:
    """
    Print a table for people.

    Args:
        columns: Heading and kind: ``left``, ``right`` for numbers, or ``fold`` for long text.
        rows: The cells; None prints as nothing.
        title: A heading above.
        caption: A line below.
    """
    from rich.text import Text

    out = console()
    cells = [["" if cell is None else harmless(str(cell)) for cell in row] for row in rows]
    if title:
        out.print(Text(title, style="bold"), soft_wrap=True)
    if _fits(columns, cells, out.width):
        out.print(_table(columns, cells))
    else:
        _print_records(columns, cells, out)
    if caption:
        out.print(Text(caption, style="dim"), soft_wrap=True)
    out.print()


def _fits(columns: Sequence[tuple[str, str]], cells: Sequence[Sequence[str]], width: int) -> bool:
    """Tell whether nothing but long text would have to wrap."""
    needed = (len(columns) - 1) * _COLUMN_GAP
    for index, (heading, kind) in enumerate(columns):
        widest = max((len(line) for row in cells for line in row[index].split("\n")), default=0)
        needed += max(len(heading), min(widest, _MIN_FOLDED) if kind == "fold" else widest)
    return needed <= width


def _table(columns: Sequence[tuple[str, str]], cells: Sequence[Sequence[str]]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    with_head = any(heading for heading, _ in columns)
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_header=with_head, padding=(0, 1, 0, 0)
    )
    for heading, kind in columns:
        table.add_column(
            heading,
            justify="right" if kind == "right" else "left",
            overflow="fold",
            no_wrap=kind != "fold",
        )
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _print_records(
    columns: Sequence[tuple[str, str]], cells: Sequence[Sequence[str]], out: "Console"
) -> None:
    """Print each row as lines of its own: on a narrow terminal nothing is cut, and ids can be copied."""
    from rich.text import Text

    widest = max(len(heading) for heading, _ in columns)
    for row in cells:
        for (heading, _), cell in zip(columns, row, strict=True):
            if cell:
                line = Text(f"{heading:<{widest}}  ", style="dim") + Text(cell.replace("\n", ", "))
                out.print(line, soft_wrap=True)
        out.print()


def count_text(count: int) -> str:
    """Write a count for people: 12,345."""
    return f"{count:,}"


def quantity_text(text: str) -> str:
    """Write a decimal text for people, its whole part in groups of three."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, point, fraction = digits.partition(".")
    return f"{sign}{int(whole):,}{point}{fraction}"


def required_note(note: str) -> str:
    """Return the note of a person without the space around it; UsageError for an empty one."""
    if not note.strip():
        raise UsageError("--note is empty", hint="say why; it is kept in the ledger")
    return note.strip()


def confirmed(question: Callable[[], str]) -> bool:
    """Ask on a terminal; where nobody can answer, the command itself is the answer."""
    if sys.stdin is None or not sys.stdin.isatty():
        return True
    say(f"{question()} [y/N]")
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    say("Nothing was changed.")
    return False
