"""How many meter-event calls of one customer on one meter are open at the same time, and were at most."""

from typing import NamedTuple

import msgspec

from meterledger.simulator.state.book import Journal


class Lane(NamedTuple):
    """What Stripe wants served one call at a time."""

    event_name: str
    customer: str


class ConcurrencyBook:
    """
    Open calls and their highest number by lane, of one account.

    Args:
        journal: Hears of every new highest number.
    """

    KIND = "concurrency"

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.highest: dict[Lane, int] = {}
        self._open: dict[Lane, int] = {}

    def is_open(self, lane: Lane) -> bool:
        """Tell whether a call is in the lane at this moment."""
        return lane in self._open

    def enter(self, lane: Lane) -> None:
        """Note a call that has come."""
        now_open = self._open.get(lane, 0) + 1
        self._open[lane] = now_open
        if now_open > self.highest.get(lane, 0):
            self.highest[lane] = now_open
            self._journal.put(self.KIND, "\x1f".join(lane), (*lane, now_open))

    def leave(self, lane: Lane) -> None:
        """Note that a call's answer is on its way."""
        now_open = self._open[lane] - 1
        if now_open:
            self._open[lane] = now_open
        else:
            del self._open[lane]

    def restore(self, _key: str, document: bytes) -> None:
        """Take in a lane's highest number from a state file; no call of then is open any more."""
        event_name, customer, highest = msgspec.json.decode(document, type=tuple[str, str, int])
        self.highest[Lane(event_name, customer)] = highest
