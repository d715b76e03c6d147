"""The audit as a page: where it goes, and what must be there before the ledger is read."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from meterledger.cli.output import say
from meterledger.cli.written_file import STDOUT, refuse_own_files, refuse_to_overwrite, written_file
from meterledger.errors import UsageError

if TYPE_CHECKING:
    from meterledger.cli.context import Context
    from meterledger.usecases.audit_answer import Audit, AuditOptions


def check_page_options(
    output: Path | None, context: "Context", *, is_html: bool, explain: bool, force: bool
) -> None:
    """Raise UsageError where the options contradict each other, or the page could not be made or written."""
    if not is_html:
        if output is not None or force:
            raise UsageError("--output and --force are for --format html", hint="other formats go to stdout")
        return
    if explain:
        raise UsageError("--explain has no page", hint="take --format table, json or csv")
    if output is None and sys.stdout.isatty():
        raise UsageError("a page is no text for a terminal", hint="name a file, such as --output report.html")
    if output is not None and output != STDOUT:
        refuse_own_files(output, context)
        refuse_to_overwrite(output, force=force)
    from meterledger.reporting.charts import refuse_without_library

    refuse_without_library()


def write_page(
    result: "Audit", options: "AuditOptions", context: "Context", output: Path | None, *, force: bool
) -> None:
    """Write the page to a file, or to stdout where none is named."""
    from meterledger.domain.instant import SECOND
    from meterledger.reporting.audit_page import Rules, audit_page

    invoicing = context.settings.invoicing
    asked = [
        f"{what} {name}"
        for what, name in (("customer", options.customer), ("meter", options.meter))
        if name is not None
    ]
    rules = Rules(
        safety_margin=invoicing.safety_margin // SECOND,
        retry_time=invoicing.retry_time // SECOND,
        asked=", ".join(asked),
    )
    page = audit_page(result, rules).encode(errors="replace")
    with written_file(None if output == STDOUT else output, force=force) as file:
        file.write(page)
    if output not in (None, STDOUT) and not context.quiet:
        say(f"{result.verdict}: the report is in {output}. It holds customers' usage: send it with care.")
