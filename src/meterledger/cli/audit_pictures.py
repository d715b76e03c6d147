"""The audit's pictures for a terminal: plain characters, 80 columns."""

from typing import TYPE_CHECKING

from rich.text import Text

from meterledger.cli.output import console, count_text, harmless
from meterledger.config.duration import duration_text, grace_text
from meterledger.domain.instant import SECOND
from meterledger.domain.lateness import BIN_EDGES, MIN_SAMPLES, Landing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterledger.usecases.audit_answer import Audit, DelayLine, SourceAmounts

WIDTH = 80
MOST_PICTURES = 4
"""Histograms, and MOST_BARS bars: those with the most usage events."""

MOST_BARS = 12
_MARKS = {
    Landing.LANDED: ("#", "green"),
    Landing.OPEN: (".", "blue"),
    Landing.AT_RISK: ("?", "yellow"),
    Landing.MISSED: ("x", "red"),
}
_NAME = 28
_HISTOGRAM_BAR = 50


def print_pictures(result: "Audit") -> None:
    """Print histograms of delays and a bar for each source, where there is enough usage to see something."""
    lines = [line for line in result.delays if line.kind == "ingestion" and line.summary.count >= MIN_SAMPLES]
    lines.sort(key=lambda line: -line.summary.count)
    if lines:
        _print_title("From use to acceptance, against the grace period (usage events)")
        for line in lines[:MOST_PICTURES]:
            _print_histogram(line, result.grace_period)
        _print_left_out(len(lines) - MOST_PICTURES)
    bars = [one for one in result.sources if _events(one) >= MIN_SAMPLES]
    bars.sort(key=lambda one: -_events(one))
    if bars:
        _print_title("Where usage of each source stands: # landed  . open  ? at risk  x missed")
        for one in bars[:MOST_BARS]:
            _print_bar(one)
        _print_left_out(len(bars) - MOST_BARS)
        console().print()


def bar_lengths(parts: "Sequence[int]", width: int) -> list[int]:
    """Divide a bar by parts of a whole: what is not nothing is seen, and all of it is filled."""
    whole = sum(parts)
    lengths = [max(part * width // whole, 1) if part else 0 for part in parts]
    largest = max(range(len(parts)), key=lambda at: parts[at])
    lengths[largest] += width - sum(lengths)
    return lengths


def _print_histogram(line: "DelayLine", grace_period: int) -> None:
    _print(Text(_named(line.source, line.event_name, WIDTH - 2)))
    counts = line.histogram
    grace_bin = sum(edge <= grace_period for edge in BIN_EDGES)
    filled = [at for at, count in enumerate(counts) if count]
    before_grace = max(grace_bin - 1, 0)
    last = max(*filled, before_grace)
    most = max(counts)
    for at in range(min(*filled, before_grace), last + 1):
        if at == grace_bin:
            _print(_grace_line(grace_period))
        label = f"up to {_edge(at)}" if at < len(BIN_EDGES) else "longer"
        bar = "#" * -(-counts[at] * _HISTOGRAM_BAR // most)
        figures = f"  {label:>9}  {count_text(counts[at]):>13}  "
        _print(
            Text(figures if bar else figures.rstrip()) + Text(bar, "yellow" if at >= grace_bin else "green")
        )
    if grace_bin > last:
        _print(_grace_line(grace_period))
    console().print()


def _grace_line(grace_period: int) -> Text:
    within = "" if grace_period in BIN_EDGES else ", within the next line"
    words = f"  -- grace period {grace_text(grace_period * SECOND)}{within} "
    return Text(words + "-" * (WIDTH - 1 - len(words)), "bold")


def _edge(at: int) -> str:
    return duration_text(BIN_EDGES[at] * SECOND)


def _print_bar(one: "SourceAmounts") -> None:
    counts = [one.amounts[where].events for where in _MARKS]
    width = WIDTH - _NAME - 18
    bar = Text("")
    for (mark, style), length in zip(_MARKS.values(), bar_lengths(counts, width), strict=True):
        bar.append(mark * length, style)
    name = _named(one.source, one.event_name, _NAME)
    _print(Text(f"  {name:<{_NAME}} ") + bar + Text(f" {count_text(sum(counts)):>13}"))


def _events(one: "SourceAmounts") -> int:
    return sum(amount.events for amount in one.amounts.values())


def _named(source: str, event_name: str | None, width: int) -> str:
    name = harmless(f"{source}, {event_name or '(no meter)'}".replace("\n", " "))
    return name if len(name) <= width else f"{name[: width - 3]}..."


def _print_title(title: str) -> None:
    _print(Text(title, "bold"))


def _print_left_out(left: int) -> None:
    if left > 0:
        _print(Text(f"  and {left} more", "dim"))


def _print(text: Text) -> None:
    console().print(text, soft_wrap=True)
