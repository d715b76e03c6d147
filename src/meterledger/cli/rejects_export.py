"""`meterledger rejects export`: refused rows as a file to mend and import."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meterledger.cli.context import Context, context_of
from meterledger.cli.output import say
from meterledger.cli.rejects_filters import Ids, KindOption, chosen, of_kind, with_filters
from meterledger.cli.written_file import STDOUT, refuse_own_files, written_file

if TYPE_CHECKING:
    from meterledger.usecases.export_rejects import ExportReport
    from meterledger.usecases.select_rejects import Selection


@with_filters
def export(
    ctx: typer.Context,
    ids: Ids = None,
    *,
    selection: "Selection",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file; - is stdout.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    with_closed: Annotated[
        bool, typer.Option("--all", help="Also those that are closed: accepted since, or dismissed.")
    ] = False,
) -> None:
    """
    Write open rejections as a file in their source's own format, to mend and import again.

    The reason columns in front are ignored by an import, and the text behind them is untouched:
    look at the file before you open it in a spreadsheet. Conflicts only with --kind conflict.
    """
    from meterledger.usecases.export_rejects import export_rejects

    context = context_of(ctx)
    selection = of_kind(chosen(ids, selection), KindOption.REJECTION)
    selection = replace(selection, matching=replace(selection.matching, with_closed=with_closed))
    output = None if output == STDOUT else output
    refuse_own_files(output, context)
    with context.ledger() as ledger, written_file(output, force=force) as file:
        report = export_rejects(ledger, selection, file.write)
    _say(report, output, context)


def _say(report: "ExportReport", output: Path | None, context: Context) -> None:
    from meterledger.usecases.findings import counted

    if report.cut:
        left_out = counted(len(report.cut), "row is", "rows are")
        say(
            f"{left_out} left out, of which only the first 64 KiB are kept: "
            f"{', '.join(map(str, report.cut[:10]))}. Mend them in their files."
        )
    if report.not_utf8:
        rows = counted(report.not_utf8, "row holds", "rows hold")
        say(f"{rows} bytes that are no UTF-8, written as they were.")
    if context.quiet:
        return
    where = f" to {output}" if output else ""
    say(f"{counted(report.rows, 'refused row')} written{where}.")
    say(f"Next: mend them, then `meterledger import --source {report.source} {output or 'FILE'}`.")
