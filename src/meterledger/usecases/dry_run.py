"""A dry run: everything is done, and nothing is kept."""

from collections.abc import Iterator
from contextlib import contextmanager

from meterledger.ledger import Ledger


class _TakenBackError(Exception):
    """Ends the transaction of a dry run."""


@contextmanager
def rolled_back(ledger: Ledger) -> Iterator[None]:
    """One transaction that is taken back at its end."""
    try:
        with ledger.database.transaction():
            yield
            _take_back()
    except _TakenBackError:
        # Numbers given in a transaction that is rolled back are no numbers.
        ledger.imports.forget_names()


def _take_back() -> None:
    raise _TakenBackError
