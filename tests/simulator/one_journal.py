"""A state whose accounts all tell one journal of their changes."""

from meterledger.simulator.state.book import Journal
from meterledger.simulator.state.keeping import AccountKey, Memory


class OneJournal(Memory):
    """Gives every account the same journal, and nothing back."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def journal_for(self, _account: AccountKey) -> Journal:
        """Return the one journal."""
        return self._journal
