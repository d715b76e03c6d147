"""
The model: what a ledger has to hold, in dictionaries.

It is told of each row that is handed over, and of nothing else. It shares no code with the ledger, the
planner or the simulator.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from meterledger.proving.history import CustomerLine, Flaw, Row

Lane = tuple[str, str]
"""Event name and the Stripe customer who is billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """One unit of truth: what was used, by whom, when (microseconds since the epoch)."""

    customer: str
    feature: str
    quantity: Decimal
    at: int


@dataclass(frozen=True, slots=True)
class Billed:
    """Who is billed for a customer, since when."""

    since: int
    stripe: str
    canceled: bool
    anchored: bool = False
    """Whether a customers file says when the periods begin."""


@dataclass(slots=True)
class Model:
    """Usage keys that were accepted, and rows that were refused."""

    usage: dict[str, Accepted] = field(default_factory=dict)
    conflicts: set[tuple[str, int]] = field(default_factory=set)
    """Each by the file's text and the line."""
    rejected: dict[tuple[str, int], Row] = field(default_factory=dict)
    """As the conflicts; those whose key was accepted later are closed, and stand here no more."""
    closed: set[tuple[str, int]] = field(default_factory=set)
    customers: dict[str, list[Billed]] = field(default_factory=dict)
    """What customers files said, the latest last; the first row of a customer holds for all time before."""

    def tell_customers(self, lines: Iterable[CustomerLine], since: int) -> None:
        """Take a customers file: who is not in it stays as he was."""
        for line in lines:
            states = self.customers.setdefault(line.customer, [])
            states.append(Billed(since if states else 0, line.stripe, line.canceled, line.anchored))

    def billed(self, customer: str, at: int) -> Billed | None:
        """Return who is billed for usage of a time; None where nobody knows."""
        if self.customers:
            held = [one for one in self.customers.get(customer, ()) if one.since <= at]
            return held[-1] if held else None
        return Billed(0, customer, canceled=False) if customer.startswith("cus_") else None

    def lane_of(self, usage: Accepted) -> Lane | None:
        """Return the meter and the Stripe customer that a usage event belongs to."""
        billed = self.billed(usage.customer, usage.at)
        return (usage.feature, billed.stripe) if billed else None

    def hand_over(self, rows: Iterable[Row]) -> Counter[str]:
        """Take a file, and return how many of its rows are accepted, duplicates, conflicts, rejected."""
        rows = list(rows)
        text = "\n".join(row.line() for row in rows)
        found: Counter[str] = Counter()
        for line, row in enumerate(rows, 1):
            found[self._take((text, line), row)] += 1
        return found

    def _take(self, place: tuple[str, int], row: Row) -> str:
        if row.flaw is not None or self._is_turned_away(row):
            if place not in self.closed:
                self.rejected[place] = row
            return "rejected"
        given = Accepted(
            customer=row.customer, feature=row.feature, quantity=Decimal(row.quantity), at=row.at
        )
        known = self.usage.setdefault(row.key, given)
        if known is not given and known != given:
            self.conflicts.add(place)
            return "conflicts"
        if known is not given:
            return "duplicates"
        self._close(row.key)
        return "accepted"

    def _is_turned_away(self, row: Row) -> bool:
        """With a customers file, nobody may use anything who is not in it, or is canceled by then."""
        if not self.customers:
            return False
        billed = self.billed(row.customer, row.at)
        return billed is None or billed.canceled

    def _close(self, key: str) -> None:
        """A rejection is closed as soon as its key is accepted; where it could not be read, it stays."""
        for place, row in list(self.rejected.items()):
            if row.key == key and row.flaw is not Flaw.MALFORMED:
                del self.rejected[place]
                self.closed.add(place)

    def lanes(self) -> dict[Lane, dict[str, Accepted]]:
        """Return the usage of each meter and customer, by key."""
        lanes: dict[Lane, dict[str, Accepted]] = {}
        for key, accepted in self.usage.items():
            lane = self.lane_of(accepted)
            if lane is not None:
                lanes.setdefault(lane, {})[key] = accepted
        return lanes
