"""Findings below a report."""

from typing import TYPE_CHECKING

from meterledger.cli.output import console, harmless

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterledger.usecases.findings import Finding

_STYLES = {"info": "cyan", "warning": "yellow", "error": "bold red"}


def print_findings(findings: "Sequence[Finding]") -> None:
    """Print findings, the weightiest first."""
    from rich.text import Text

    from meterledger.usecases.findings import weightiest_first

    for finding in weightiest_first(findings):
        line = Text(f"{finding.code} ", style=_STYLES[finding.severity]) + Text(harmless(finding.message))
        console().print(line, soft_wrap=True)
