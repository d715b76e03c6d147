"""Follow against a model: a writer that does whatever it likes, and a list of the rows that it wrote."""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from support.following import SETTLING_WAITS, FollowingShop
from support.importing import HEADER, row
from support.properties import quick

NAME = "u.csv"
ENDS = ("\n", "\r\n", "\n\n", "\n \n")


@dataclass
class Writer:
    """Writes rows into a file in pieces, rotates and truncates it, and remembers what stands where."""

    shop: FollowingShop
    expected: dict[str, int] = field(default_factory=dict)
    """request_id -> line in its file."""
    _waiting: bytes = b""
    _lines: int = 0
    _generation: int = 0

    def begin(self) -> None:
        """Begin a file."""
        self.shop.add(NAME, f"{HEADER}\n")
        self._lines = 1

    def plan(self, kind: int, end: str) -> None:
        """Add a row to what is to be written."""
        request_id = f"r{len(self.expected)}"
        fields = [{}, {"customer_id": '"cus\n1"'}, {"customer_id": '"é""\n\n,"'}][kind % 3]
        text = row(request_id, **fields) + end
        self.expected[request_id] = self._lines + 1
        self._lines += text.count("\n")
        self._waiting += text.encode()

    def write(self, size: int | None = None) -> None:
        """Write some bytes of that, or all."""
        piece = self._waiting[:size]
        self._waiting = self._waiting[len(piece) :]
        self.shop.add(NAME, piece)

    def rotate(self, *, without_end: bool) -> None:
        """Write the rest, rename the file, perhaps without the end of its last line, and begin a new one."""
        self.write()
        path = self.shop.path(NAME)
        if without_end and self._lines > 1:
            os.truncate(path, len(path.read_bytes().rstrip()))
        self._generation += 1
        self.shop.rotate(NAME, f"{NAME}.{self._generation}")
        self.begin()

    def truncate(self) -> None:
        """Copy the file away and begin it anew, as copytruncate does."""
        os.truncate(self.shop.path(NAME), 0)
        self.begin()


Operation = tuple[str, int]
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["row", "row", "row", "write", "write", "look", "rotate", "truncate", "restart"]),
        st.integers(0, 60),
    ),
    max_size=25,
)


def actions(writer: Writer, operations: Iterator[Operation]) -> Iterator[Callable[[], object]]:
    """Yield what happens at each wait of one run, up to the next restart."""

    def rest() -> Iterator[Callable[[], object]]:
        # Long enough for the follower to take everything there is, and to go over to a new file.
        for _ in range(SETTLING_WAITS):
            yield lambda: None

    for what, number in operations:
        match what:
            case "row":
                writer.plan(number, ENDS[number % len(ENDS)])
            case "write":
                yield lambda number=number: writer.write(number)  # type: ignore[misc]
            case "look":
                yield lambda: None
            case "rotate":
                yield lambda number=number: writer.rotate(without_end=bool(number % 2))  # type: ignore[misc]
                yield from rest()
            case "truncate":
                yield writer.write
                yield from rest()
                yield writer.truncate
                yield from rest()
            case _:
                return


@quick
@given(operations=OPERATIONS)
def test_every_complete_row_is_taken_exactly_once(operations: list[Operation]) -> None:
    """Over any appends cut at any byte, rotations, truncations and restarts, rows and lines are right."""
    with tempfile.TemporaryDirectory() as folder:
        shop = FollowingShop(Path(folder))
        writer = Writer(shop)
        writer.begin()
        left = iter(operations)
        for _ in range(1 + sum(what == "restart" for what, _ in operations)):
            shop.follow(NAME, script=actions(writer, left))
        writer.write()
        shop.follow(NAME)
        rejected = shop.rejects()

        assert shop.lines() == writer.expected
        assert shop.rows_read() == len(writer.expected)
        assert rejected == []
