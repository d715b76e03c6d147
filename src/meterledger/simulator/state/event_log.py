"""What happened in an account, as `/v1/events` tells it."""

from dataclasses import dataclass

from meterledger.simulator.instants import DAY_SECONDS
from meterledger.simulator.state.book import Book, Journal
from meterledger.simulator.state.ids import IdSource

KEPT_DAYS = 30  # Stripe lists events of the last 30 days
KEPT_SECONDS = KEPT_DAYS * DAY_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    Something that happened.

    Attributes:
        id: `evt_...`.
        type: Stripe's word, e.g. `invoice.finalized`.
        created: Whole seconds since the epoch.
        document: The object it happened to, as the API showed it then.
    """

    id: str
    type: str
    created: int
    document: dict[str, object]


class EventLog:
    """
    The events of one account.

    Args:
        ids: Gives the events their ids.
        journal: Hears of every event.
        livemode: Whether it is the log of live mode.
    """

    KIND = "event"

    def __init__(self, ids: IdSource, journal: Journal, *, livemode: bool) -> None:
        self._ids = ids
        self._livemode = livemode
        self._book: Book[Event] = Book(Event, self.KIND, "event", journal)

    def record(self, event_type: str, document: dict[str, object], at: float) -> None:
        """Note that something happened to an object, given as the API shows it; at is in epoch seconds."""
        self._book.drop_first(lambda event: at - event.created > KEPT_SECONDS)
        event_id = self._ids.next("evt_", livemode=self._livemode)
        self._book.put(Event(id=event_id, type=event_type, created=int(at), document=document))

    def get(self, event_id: str) -> Event:
        """
        Return an event.

        Raises:
            ApiError: 404 `resource_missing`.
        """
        return self._book.get(event_id)

    def newest_first(self, now: float) -> list[Event]:
        """Return the events of the 30 days before now (epoch seconds), the newest first."""
        return [event for event in self._book.newest_first() if now - event.created <= KEPT_SECONDS]

    def restore(self, key: str, document: bytes) -> None:
        """Take in an event of a state file."""
        self._book.restore(key, document)
