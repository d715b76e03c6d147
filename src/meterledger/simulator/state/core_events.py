"""What happened in an account, as `/v2/core/events` tells it."""

from dataclasses import dataclass

from meterledger.simulator.state.book import Book, Journal
from meterledger.simulator.state.event_log import KEPT_SECONDS
from meterledger.simulator.state.ids import IdSource


@dataclass(frozen=True, slots=True, kw_only=True)
class RelatedObject:
    """What an event is about: an object's id, its type (e.g. `billing.meter`) and the path to read it."""

    id: str
    type: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreEvent:
    """
    Something that happened.

    Attributes:
        id: `evt_...`.
        type: Stripe's word, e.g. `v1.billing.meter.error_report_triggered`.
        created: Seconds since the epoch, to the millisecond.
        related_object: What it is about; None where that is no object.
        data: What is told of it beyond that; None where it is a thin event.
    """

    id: str
    type: str
    created: float
    related_object: RelatedObject | None
    data: dict[str, object] | None


class CoreEventLog:
    """
    The v2 events of one account.

    Args:
        ids: Gives the events their ids.
        journal: Hears of every event.
        livemode: Whether it is the log of live mode.
    """

    KIND = "core_event"

    def __init__(self, ids: IdSource, journal: Journal, *, livemode: bool) -> None:
        self._ids = ids
        self._livemode = livemode
        self._book: Book[CoreEvent] = Book(CoreEvent, self.KIND, "event", journal)

    def record(
        self, event_type: str, related_object: RelatedObject | None, data: dict[str, object] | None, at: float
    ) -> CoreEvent:
        """
        Note that something happened.

        Args:
            event_type: Stripe's word.
            related_object: What it is about, where that is an object.
            data: What is told of it, fit for JSON; None for a thin event.
            at: When, in epoch seconds.
        """
        self._book.drop_first(lambda event: at - event.created > KEPT_SECONDS)
        event_id = self._ids.next("evt_", livemode=self._livemode)
        return self._book.put(
            CoreEvent(
                id=event_id, type=event_type, created=round(at, 3), related_object=related_object, data=data
            )
        )

    def find(self, event_id: str, now: float) -> CoreEvent | None:
        """Return an event of the 30 days before now (epoch seconds), or None where none has the id."""
        event = self._book.find(event_id)
        return None if event is None or now - event.created > KEPT_SECONDS else event

    def newest_first(self, now: float) -> list[CoreEvent]:
        """Return the events of the 30 days before now (epoch seconds), the newest first."""
        return [event for event in self._book.newest_first() if now - event.created <= KEPT_SECONDS]

    def restore(self, key: str, document: bytes) -> None:
        """Take in an event of a state file."""
        self._book.restore(key, document)
