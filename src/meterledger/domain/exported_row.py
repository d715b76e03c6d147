"""
Rows of an export of refused rows: the reason columns in front, and the row as it stood behind them.

The row behind them is never touched, so that a row that cannot be read comes out as it went in, can be
mended there, and is recognized when it comes back.
"""

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

REASON_COLUMNS = (
    "meterledger_reject",
    "meterledger_reason",
    "meterledger_message",
    "meterledger_file",
    "meterledger_line",
)
"""What an export puts in front of each row; an import ignores them as fields."""

_JSON_TEXT = r'"(?:[^"\\]|\\.)*"'
_JSON_VALUES = (r"(\d+)", f"({_JSON_TEXT})", _JSON_TEXT, f"({_JSON_TEXT})", r"(\d+)")
_JSON_ROW = re.compile(
    r"(\s*)\{\s*"
    + r"\s*,\s*".join(
        rf'"{name}"\s*:\s*{value}' for name, value in zip(REASON_COLUMNS, _JSON_VALUES, strict=True)
    )
    + r"(\s*,|\} )(.*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedRow:
    """A row of an export: the reject it names with where that stands, and the row itself."""

    reject: int
    file: str
    line: int
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowForm:
    """How rows and reason columns are written together; ``delimiter`` is None for JSON objects."""

    delimiter: str | None

    def header(self, header: str) -> str:
        """Return the first line of an export, of files with a header."""
        return self._joined([*REASON_COLUMNS, header])

    def row(self, reasons: Mapping[str, object], raw: str) -> str:
        """Return one row of an export; ``reasons`` has a value for each reason column."""
        values = [reasons[name] for name in REASON_COLUMNS]
        if self.delimiter is None:
            return _json_row(dict(zip(REASON_COLUMNS, values, strict=True)), raw)
        text = io.StringIO()
        # Every field is quoted: a quote that is left open in the row before then ends here, at an error,
        # and cannot swallow the rows behind it.
        csv.writer(text, delimiter=self.delimiter, quoting=csv.QUOTE_ALL, lineterminator="").writerow(values)
        return self._joined([text.getvalue(), raw])

    def own_header(self, header: str) -> str | None:
        """Return the header behind the reason columns; None if this is no export."""
        split = self._split_csv(header)
        return split[1] if split and split[0] == REASON_COLUMNS else None

    def split(self, raw: str) -> ExportedRow | None:
        """Return a row of an export without its reason columns; None if it has none."""
        if self.delimiter is None:
            return _split_json(raw)
        if (split := self._split_csv(raw)) is None:
            return None
        (reject, _, _, file, line), own = split
        if not (reject.isdecimal() and line.isdecimal()):
            return None
        return ExportedRow(reject=int(reject), file=file, line=int(line), raw=own)

    def _joined(self, parts: list[str]) -> str:
        return (self.delimiter or "").join(parts)

    def _split_csv(self, raw: str) -> tuple[tuple[str, ...], str] | None:
        if self.delimiter is None:
            return None
        mark = re.escape(self.delimiter)
        field = rf'((?:"(?:[^"]|"")*"|[^"\n{mark}][^\n{mark}]*|)){mark}'
        match = re.compile(field * len(REASON_COLUMNS)).match(raw)
        if match is None:
            return None
        return tuple(_unquoted(text) for text in match.groups()), raw[match.end() :]


def is_json_export(first_row: str) -> bool:
    """Tell by its first row whether a file of JSON objects is an export."""
    return _split_json(first_row) is not None


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text.strip()


def _json_row(reasons: dict[str, object], raw: str) -> str:
    keys = json.dumps(reasons, ensure_ascii=False, separators=(",", ":"))
    white, brace, inside = raw.partition("{")
    if brace and not white.strip() and not inside.lstrip().startswith("}"):
        return f"{white}{keys[:-1]},{inside}"
    # What is no object is no row either, before and after: it stands behind, to be mended.
    return f"{keys} {raw}"


def _split_json(raw: str) -> ExportedRow | None:
    match = _JSON_ROW.match(raw)
    if match is None:
        return None
    white, reject, _, file, line, between, behind = match.groups()
    own = behind if between == "} " else f"{white}{{{behind}"
    try:
        name = json.loads(file)
    except ValueError:
        return None
    return ExportedRow(reject=int(reject), file=name, line=int(line), raw=own)
