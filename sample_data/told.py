"""What is told about the files: counts and places of the irregularities, for expected.json and README.md."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from sample_data.planting import ACCEPTED, BLANK, CONFLICT, DUPLICATE, LATE_KIND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sample_data.planting import Line, Source

BEGIN_TABLE, END_TABLE = "<!-- irregularities: begin -->\n", "<!-- irregularities: end -->\n"


def counts(source: Source, lines: list[Line]) -> dict[str, object]:
    """Count what an import into an empty ledger must make of the lines of a file."""
    outcomes = Counter(line.outcome for line in lines)
    blank, accepted = outcomes.pop(BLANK, 0), outcomes.pop(ACCEPTED)
    duplicates, conflicts = outcomes.pop(DUPLICATE), outcomes.pop(CONFLICT)
    return {
        "source": source.name,
        "rows_read": len(lines) - blank,
        "accepted": accepted,
        "duplicates": duplicates,
        "conflicts": conflicts,
        "rejected": outcomes.total(),
        "rejected_by_reason": dict(sorted(outcomes.items())),
    }


class Irregularity(NamedTuple):
    """A kind of irregularity and the physical lines on which its rows start."""

    kind: str
    outcome: str
    lines: list[int]


def irregularities(source: Source, lines: list[Line]) -> list[Irregularity]:
    """Find where each kind came to stand, in the order in which the kinds are planted."""
    kinds = [(one.kind, one.outcome) for one in source.plants]
    kinds += [(source.resent_kind, DUPLICATE), (LATE_KIND, ACCEPTED)]
    found: dict[str, list[int]] = {kind: [] for kind, _ in kinds}
    number = 1 + source.header.count(b"\n")
    for line in lines:
        if line.kind:
            found[line.kind].append(number)
        number += line.data.count(b"\n")
    return [Irregularity(kind, outcome, found[kind]) for kind, outcome in kinds]


def _ranges(numbers: Iterable[int]) -> str:
    """Write line numbers shortly: 3, 7-9."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def table(source: Source, lines: list[Line]) -> str:
    """Write the irregularities of a file as a table."""
    rows = [f"\n`{source.file}`\n", "| what | import says | rows | lines |", "|---|---|---:|---|"]
    for kind, outcome, numbers in irregularities(source, lines):
        says = "not a row" if outcome == BLANK else outcome
        rows.append(f"| {kind} | {says} | {len(numbers)} | {_ranges(numbers)} |")
    return "\n".join(rows) + "\n"


def readme(text: str, tables: str) -> str:
    """Put fresh tables into the page."""
    before, _, rest = text.partition(BEGIN_TABLE)
    return f"{before}{BEGIN_TABLE}{tables}\n{END_TABLE}{rest.partition(END_TABLE)[2]}"
