"""Which event identifiers came, how often, and since when they are reserved."""

from meterledger.simulator.instants import DAY_SECONDS

UNIQUE_SECONDS = DAY_SECONDS  # Stripe promises at least this; exactly this is the harshest a client may meet


class Record:
    """
    What is kept of one identifier for the life of the simulator.

    One small mutable object per identifier holds both the reservation and what the ledger page shows, so
    a reservation ends by comparison and nothing has to be swept.
    """

    __slots__ = ("arrivals", "counted", "reserved_at")

    def __init__(self) -> None:
        self.arrivals = 0
        self.counted = 0
        self.reserved_at: float | None = None


class IdentifierBook:
    """The identifiers of one account; uniqueness is per account, whatever the meter."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}

    def arrive(self, identifier: str) -> None:
        """Note a request that carries the identifier, whatever becomes of it."""
        self._record(identifier).arrivals += 1

    def reserve(self, identifier: str, now: float) -> bool:
        """
        Reserve the identifier for the event received now (epoch seconds), and count that event.

        Returns:
            False where the identifier is still reserved by an event of the last 24 hours.
        """
        record = self._record(identifier)
        if record.reserved_at is not None and now - record.reserved_at < UNIQUE_SECONDS:
            return False
        record.reserved_at = now
        record.counted += 1
        return True

    def _record(self, identifier: str) -> Record:
        record = self.records.get(identifier)
        if record is None:
            record = self.records[identifier] = Record()
        return record
