"""The one table that comes out."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

_WIDTH = 132


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: two measurements and what they come to; without a target it informs and judges nothing."""

    what: str
    ours: str
    peer: str = "-"
    value: float | None = None
    """The ratio, or with a ``unit`` an amount; None where the peer is missing."""
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self) -> str:
        """The target as text."""
        if self.at_least is not None:
            return f">= {self.at_least:g}{self.unit}"
        if self.at_most is not None:
            return f"<= {self.at_most:g}{self.unit}"
        return ""

    @property
    def result(self) -> str:
        """The ratio or amount as text."""
        if self.value is None:
            return "-"
        return f"{self.value:.0f}{self.unit}" if self.unit else f"{self.value:.2f}"

    @property
    def verdict(self) -> str:
        """``ok``, ``BELOW`` the target, or nothing where there is none."""
        if self.value is None:
            return "skipped"
        if self.at_least is None and self.at_most is None:
            return ""
        met = (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )
        return "ok" if met else "BELOW"


def print_table(lines: Sequence[Line], *, quick: bool) -> None:
    """Print it, in plain text."""
    title = "meterledger against its peers, best round of each"
    table = Table(title=title + " (quick: no measure of anything)" * quick, box=SIMPLE_HEAD, title_style="")
    table.add_column("what", no_wrap=True)
    for heading in ("ours", "peer", "ratio", "target"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for line in lines:
        table.add_row(line.what, line.ours, line.peer, line.result, line.target, line.verdict)
    Console(width=_WIDTH, no_color=True, highlight=False).print(table)
