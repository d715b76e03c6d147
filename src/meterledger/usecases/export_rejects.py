"""Export: refused rows as a file in their source's own format, to be mended and imported again."""

from collections.abc import Callable
from dataclasses import dataclass, field

from meterledger.domain.exported_row import REASON_COLUMNS, RowForm
from meterledger.domain.usage import Reason, is_cut, original_bytes
from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.database import Row
from meterledger.readers import InputFormat
from meterledger.usecases.reading_again import WITH_HEADER
from meterledger.usecases.select_rejects import Selection, selected

_DEFAULT_DELIMITER = ","
_IMPORTS_LISTED = 5


@dataclass(slots=True, kw_only=True)
class ExportReport:
    """What was written."""

    rows: int = 0
    source: str | None = None
    input_format: str = InputFormat.JSONL
    cut: list[int] = field(default_factory=list)
    """Left out, since not the whole row is kept."""
    not_utf8: int = 0
    """Written with their bytes as they were, which no program can read as UTF-8."""


@dataclass(frozen=True, slots=True)
class _Group:
    """What the rows of one file have in common."""

    source: str
    delimiter: str | None
    header: str | None

    @property
    def form(self) -> RowForm:
        """How its rows are written."""
        return RowForm(delimiter=self.delimiter)


def export_rejects(ledger: Ledger, selection: Selection, write: Callable[[bytes], object]) -> ExportReport:
    """
    Write refused rows as one file.

    Raises:
        UsageError: There are none, or they do not fit into one file.
    """
    report = ExportReport()
    with ledger.database.snapshot():
        group = _one_group(ledger, selection)
        if group.header is not None:
            report.input_format = InputFormat.TSV if group.delimiter == "\t" else InputFormat.CSV
            write(group.form.header(group.header).encode() + b"\n")
        report.source = group.source
        last = None
        for row in selected(ledger, selection):
            if is_cut(row["raw"]):
                report.cut.append(row["id"])
                continue
            place = (row["import"], row["line"], row["raw"])
            if place == last:
                continue  # another feature of the same wide row
            last = place
            write(_line(row, group.form))
            report.rows += 1
            report.not_utf8 += row["reason"] == Reason.NOT_UTF8
    return report


def _line(row: Row, form: RowForm) -> bytes:
    values = (row["id"], row["reason"], row["message"], row["file"], row["line"])
    raw = original_bytes(row["raw"], row["reason"]).decode(errors="surrogateescape")
    if row["input_format"] == InputFormat.JSON:
        # An element of a list may stand on several lines; line ends are white space between its tokens.
        raw = raw.replace("\r", " ").replace("\n", " ")
    text = form.row(dict(zip(REASON_COLUMNS, values, strict=True)), raw)
    return text.encode(errors="surrogateescape") + b"\n"


def _one_group(ledger: Ledger, selection: Selection) -> _Group:
    """Return what all rows have in common."""
    imports: dict[_Group, set[int]] = {}
    for row in selected(ledger, selection):
        imports.setdefault(_group_of(row), set()).add(row["import"])
    if not imports:
        raise UsageError("no refused row is asked for", hint="`meterledger rejects list` shows what is open")
    if len(imports) > 1:
        raise UsageError(
            f"these rows do not fit into one file: they come from {_listed(imports)}",
            hint="export them one by one, with --source and --import",
        )
    return next(iter(imports))


def _group_of(row: Row) -> _Group:
    if row["input_format"] not in WITH_HEADER:
        return _Group(row["source"], None, None)
    if row["header"] is None:
        raise UsageError(
            f"refused row {row['id']} cannot be exported: the header of {row['file']} is not on record",
            hint="import the file again with --again, or leave it out with --source or --import",
        )
    return _Group(row["source"], row["delimiter"] or _DEFAULT_DELIMITER, row["header"])


def _listed(imports: dict[_Group, set[int]]) -> str:
    """List the groups with the options that tell them apart."""
    return "; ".join(
        f"--source {group.source} ({'JSON' if group.header is None else 'CSV'}) "
        + ", ".join(f"--import {number}" for number in sorted(numbers)[:_IMPORTS_LISTED])
        + (" and more" if len(numbers) > _IMPORTS_LISTED else "")
        for group, numbers in imports.items()
    )
