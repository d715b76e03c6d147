"""Where the state is kept: in memory alone, or in a file too. A file follows the journals."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from meterledger.simulator.state.book import Journal, NoJournal, Restorable

AccountKey = tuple[str, bool]
"""An account's id, and whether it is in live mode."""

SIMULATOR: AccountKey = ("", False)
"""Stands for no account, but for the simulator itself: its clock and its counts."""


class State(Protocol):
    """Keeps what the journals hear of, and gives it back after a restart."""

    def journal_for(self, account: AccountKey) -> Journal:
        """Return the journal of an account."""

    def accounts(self) -> Iterable[AccountKey]:
        """Return the accounts that were kept."""

    def restore(self, account: AccountKey, kinds: Mapping[str, Restorable]) -> None:
        """Give an account's documents back, kind by kind, each in the order they were first put."""

    def forget(self) -> None:
        """Let go of everything that was kept, from the next commit on."""

    def commit(self) -> None:
        """Keep every change since the last time, all of them or none; it raises where it cannot."""


class Memory:
    """Keeps nothing over a restart."""

    def journal_for(self, _account: AccountKey) -> Journal:
        """Return a journal that keeps nothing."""
        return NoJournal()

    def accounts(self) -> Iterable[AccountKey]:
        """Return no account."""
        return ()

    def restore(self, _account: AccountKey, _kinds: Mapping[str, Restorable]) -> None:
        """Give nothing back."""

    def forget(self) -> None:
        """Let go of nothing."""

    def commit(self) -> None:
        """Keep nothing."""
