"""Import against a model: a dictionary by usage key that knows what each row becomes."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.usecases import parsing
from support.importing import HEADER, Importing, counts, row, total
from support.properties import quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a generated file; a bad one is refused whatever it says."""

    key: str
    customer: str
    quantity: int
    second: int
    spelling: int
    bad: str | None

    @property
    def content(self) -> tuple[str, int, int]:
        """What makes it the same usage."""
        return self.customer, self.quantity, self.second

    def text(self) -> str:
        """Write it, in one of the ways in which it can be written."""
        fields = {
            "customer_id": self.customer,
            "event_time": (f"2026-10-31T12:00:0{self.second}Z", str(1_793_448_000 + self.second))[
                self.spelling % 2
            ],
            "received_at": ("", "2026-11-01T00:00:00Z")[self.spelling // 2],
        }
        quantity = (str(self.quantity), f"{self.quantity}.00")[self.spelling % 2]
        match self.bad:
            case None:
                return row(self.key, quantity, **fields)
            case "cut":
                return f"{self.key},{self.customer}"
            case "stray quote":
                return row(self.key, quantity, **fields | {"customer_id": f'"{self.customer}'})
            case "foreign bytes":
                return row(self.key, quantity, **fields | {"region": "\udce9"})
            case wrong:
                return row(self.key, wrong, **fields)


LINES = st.builds(
    Line,
    key=st.sampled_from(["r1", "r2", "r3", "r4"]),
    customer=st.sampled_from(["cus_1", "cus_2"]),
    quantity=st.integers(0, 1),
    second=st.integers(0, 1),
    spelling=st.integers(0, 3),
    bad=st.sampled_from([None] * 8 + ["cut", "stray quote", "foreign bytes", "n/a", "-1"]),
)


@quick
@given(
    files=st.lists(st.lists(LINES, max_size=8), min_size=1, max_size=3),
    order=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["default", "other"]), st.booleans()),
        min_size=1,
        max_size=5,
    ),
    chunk=st.integers(1, 4),
)
def test_counts_and_content_are_those_of_a_dictionary(
    files: list[list[Line]], order: list[tuple[int, str, bool]], chunk: int
) -> None:
    """Over any imports of overlapping files the ledger is what a dictionary by usage key would hold."""
    model: dict[tuple[str, str], tuple[str, int, int]] = {}
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patched:
        patched.setattr(parsing, "CHUNK_ROWS", chunk)
        folder = Importing(Path(temporary))
        for number, source, again in order:
            lines = files[number % len(files)]
            text = "".join(f"{line}\n" for line in (HEADER, *(one.text() for one in lines)))
            path = folder.write_bytes(f"{number % len(files)}.csv", text.encode(errors="surrogateescape"))
            report = folder.run(path, source=source, again=again)
            found = Counter(_outcome(model, source, one) for one in lines)
            expected = (
                len(lines), found["accepted"], found["duplicate"], found["conflict"], found["rejected"],
            )  # fmt: skip

            assert expected == counts(report)
        stored = folder.query(
            "SELECT source, request_id, customer_id, quantity, event_time FROM usage_events_readable"
        )
        kept = folder.query("SELECT rows_read, accepted, duplicates, conflicts, rejected FROM imports")

    assert {(source, key): content for (source, key), content in model.items()} == {
        (source, key): (customer, int(quantity), int(at[-3:-1]))
        for source, key, customer, quantity, at in stored
    }
    assert all(rows == sum(parts) for rows, *parts in kept)
    assert total(kept)[1] == len(model)


def _outcome(model: dict[tuple[str, str], tuple[str, int, int]], source: str, line: Line) -> str:
    """Put one line into the model, and return what becomes of it."""
    if line.bad is not None:
        return "rejected"
    key = (source, line.key)
    if key not in model:
        model[key] = line.content
        return "accepted"
    return "duplicate" if model[key] == line.content else "conflict"
