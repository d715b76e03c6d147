"""
The narrow seam to the database: run a named statement, one write transaction.

Stores speak to this and to nothing else; another database comes in by another implementation.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Row(Protocol):
    """One row of a result: by name, by position, or unpacked."""

    def __getitem__(self, key: str | int, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def keys(self) -> list[str]:
        """Return the names of the columns."""


class Database(Protocol):
    """Runs named statements; every error comes out as LedgerError."""

    def rows(self, statement: str, /, **arguments: object) -> list[Row]:
        """Return every row."""

    def row(self, statement: str, /, **arguments: object) -> Row | None:
        """Return the first row, if there is one."""

    def stream(self, statement: str, /, **arguments: object) -> Iterator[Row]:
        """Yield rows as they are read."""

    def tuples(self, statement: str, /, **arguments: object) -> Iterator[tuple[Any, ...]]:
        """Yield rows as plain tuples: several times as quick, for millions of them."""

    def run(self, statement: str, /, **arguments: object) -> int:
        """Run a statement that changes rows, and return how many."""

    def run_many(self, statement: str, rows: Iterable[tuple[object, ...]], /) -> int:
        """Run it for each row (parameters in order of appearance); return how many rows changed."""

    def run_rows(self, statement: str, rows: Sequence[tuple[object, ...]], /, **shared: object) -> int:
        """
        Run a statement that has one VALUES row for many rows at once; return how many rows changed.

        Args:
            statement: Its name.
            rows: The parameters of each row, in order of appearance, without the shared ones.
            shared: The parameters that are the same for every row.
        """

    def rows_for(self, statement: str, rows: Sequence[tuple[object, ...]], /, **shared: object) -> list[Row]:
        """Return every row of a query that has one VALUES row, run for many rows at once."""

    def transaction(self) -> AbstractContextManager[None]:
        """One write transaction; inside another one it joins that one."""

    def snapshot(self) -> AbstractContextManager[None]:
        """One read transaction: every statement inside sees the same ledger."""

    def tide(self) -> int:
        """Return a number that is another one after any commit of another connection; cheap to ask for."""

    def check_integrity(self) -> list[str]:
        """Return what the database finds wrong with its own file."""

    def close(self) -> None:
        """Close the file."""


def required(row: Row | None) -> Row:
    """Return a row that is there: it was written, or known, in the same transaction."""
    if row is None:
        raise AssertionError("unreachable: the row was found or written in this transaction")
    return row
