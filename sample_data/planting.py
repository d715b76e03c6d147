"""How irregularities get into a file: what one is, and where it comes to stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from sample_data.usage import Row

# Outcomes that are no reason codes; every other outcome is one.
ACCEPTED, DUPLICATE, CONFLICT, BLANK = "accepted", "duplicate", "conflict", "blank"
LATE_KIND = "31 October, received hours to a day and a half later"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row on its way into a file, with what an import must make of it."""

    row: Row
    data: bytes
    outcome: str = ACCEPTED
    kind: str = ""


def _same_row(row: Row) -> Row:
    return row


def _same_bytes(data: bytes) -> bytes:
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One kind of irregularity: how often, what it does to a row, what an import makes of it."""

    kind: str
    outcome: str
    count: int
    edit: Callable[[Row], Row] = _same_row
    damage: Callable[[bytes], bytes] = _same_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file to write: how its rows look, what its fields are called, what is planted in it."""

    name: str
    file: str
    header: bytes
    render: Callable[[Row], bytes]
    received_at: str
    plants: tuple[Plant, ...]
    resent_rows: int
    resent_kind: str


def _slots(rng: random.Random, source: Source, rows: int) -> Iterator[tuple[int, Plant]]:
    """
    Spread the plants evenly over the rows, each on a row of its own, in a chance order.

    One of each kind comes first, so that the first third of a file shows every kind.
    """
    first = list(source.plants)
    more = [one for one in source.plants for _ in range(one.count - 1)]
    rng.shuffle(first)
    rng.shuffle(more)
    plants = first + more
    for number, one in enumerate(plants):
        start, end = number * rows // len(plants), (number + 1) * rows // len(plants)
        yield rng.randrange(start, end), one


def _planted(source: Source, one: Plant, row: Row) -> Line:
    if one.outcome == BLANK:
        return Line(row=row, data=b"\n", outcome=BLANK, kind=one.kind)
    edited = one.edit(row)
    data = one.damage(source.render(edited))
    return Line(row=edited, data=data, outcome=one.outcome, kind=one.kind)


@dataclass(slots=True, kw_only=True)
class _Draft:
    """A file being put together: its rows, and what is put in after which of them."""

    lines: list[Line]
    inserted: dict[int, list[Line]] = field(default_factory=dict)

    def insert(self, after: int, line: Line) -> None:
        self.inserted.setdefault(min(after, len(self.lines) - 1), []).append(line)

    def merged(self) -> Iterator[Line]:
        for index, line in enumerate(self.lines):
            yield line
            yield from self.inserted.get(index, ())


def _send_block_again(rng: random.Random, source: Source, draft: _Draft) -> None:
    """Copy some neighbouring good rows to a place a little below, with the time they came the second time."""
    start = rng.randrange(len(draft.lines) // 8, len(draft.lines) // 4)
    good = [i for i in range(start, start + 2 * source.resent_rows) if draft.lines[i].outcome == ACCEPTED]
    block = good[: source.resent_rows]
    after = block[-1] + source.resent_rows
    received = draft.lines[after].row[source.received_at]
    for index in block:
        row = {**draft.lines[index].row, source.received_at: received}
        line = Line(row=row, data=source.render(row), outcome=DUPLICATE, kind=source.resent_kind)
        draft.insert(after, line)


def plant(rng: random.Random, source: Source, in_time: list[Row], late: list[Row]) -> list[Line]:
    """Turn rows into the lines of a file, irregularities included."""
    draft = _Draft(lines=[Line(row=row, data=source.render(row)) for row in in_time])
    for index, one in _slots(rng, source, len(in_time)):
        line = _planted(source, one, in_time[index])
        if one.outcome in (DUPLICATE, CONFLICT, BLANK):
            # A copy stands below its original, else the copy would be the accepted one.
            draft.insert(index + rng.randrange(1, 40), line)
        else:
            draft.lines[index] = line
    _send_block_again(rng, source, draft)
    late_lines = [Line(row=row, data=source.render(row), kind=LATE_KIND) for row in late]
    return [*draft.merged(), *late_lines]
